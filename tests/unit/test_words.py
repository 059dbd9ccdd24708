"""One word for one thing: words that were given up come back nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.models import ROOT

RETIRED = re.compile(
    r"came true|zero gain|historical gain|known part|realised error|strange outcome|torn line|set aside"
    r"|\b(?:doors?|entrances?|outcomes?|ruling|praise|hangup|shrinkage|told|answer(?:s|ed)?)\b",
    re.IGNORECASE,
)
"""Endpoint or protocol, request handler, label, naive or historical baseline, offset, and so on are the words."""

ROOTS = ("tabular_bento", "features", "training", "monitoring", "benchmarks", "deploy", "examples", "docs")
SUFFIXES = {".py", ".md", ".html", ".js", ".yaml", ".json", ".toml", ".proto"}

FILES = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "service.py",
        *(path for name in ROOTS for path in sorted((ROOT / name).rglob("*"))),
    )
    if path.suffix in SUFFIXES and not {"node_modules", "var", "__pycache__"} & set(path.parts)
]


def test_there_are_files_to_read() -> None:
    assert len(FILES) > 200


@pytest.mark.parametrize("root", ["README.md", "service.py", *ROOTS])
def test_no_retired_word_is_used(root: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] == Path(root).parts[0]
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if RETIRED.search(line)
    ]
    assert not found, "\n".join(found)
