"""The runner of docs/write-a-runner.md, from the page."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.models import ROOT

PAGE = ROOT / "docs" / "write-a-runner.md"


def page_files() -> dict[str, str]:
    """The files that the page shows, by their name."""
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    named = [(re.match(r"# (\S+\.\w+)\n", block), block) for block in blocks]
    return {found[1]: block for found, block in named if found}


def settings() -> str:
    """The settings of a project that the page shows."""
    (found,) = re.findall(r"```toml\n(runner = .*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def write_files(folder: Path) -> None:
    """Write the files into a folder."""
    for name, text in page_files().items():
        (folder / name).write_text(text)


def neighbours_runner() -> Any:
    """The class, as of a distribution that is installed."""
    module = ModuleType("neighbours")
    exec(page_files()["neighbours.py"], vars(module))
    module.NeighboursRunner.distribution = "numpy"
    return module.NeighboursRunner
