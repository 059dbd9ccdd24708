"""What the page on operation says of releases and of a server is what happens; the rest of it is of the manifests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.models import ROOT
from tests.releases import add_candidate, champion, release, store_of_two
from tests.serving import ServedPort, serve

PAGE = (ROOT / "docs" / "operate.md").read_text()
COMMANDS = re.findall(r"^\.venv/bin/tabular-bento (.*?) +#", PAGE, re.MULTILINE)


def run(command: str, store: Path, served: ServedPort) -> str:
    """What a command of the page prints."""
    settings = {"BENTOML_HOME": str(store), "PORT": str(served.process.port)}
    settings |= {"TABULAR_BENTO_COMPARE_MIN_DAYS": "28", "TABULAR_BENTO_COMPARE_MAX_LATENCY_RATIO": "1000"}
    program = [sys.executable, "-m", "tabular_bento", *command.split()]
    result = subprocess.run(
        program, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_page_has_the_commands_of_a_release_and_of_its_way_back() -> None:
    assert COMMANDS == ["release flights:TAG", "reload", "history", "rollback"]


@pytest.mark.slow
def test_a_release_is_rolled_out_and_back_as_the_page_says(trained: dict[str, Any], tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", trained["tag"], "flights:rebuilt"
    store_of_two(first, store)
    add_candidate(store, first, second, share=0.99)
    release(store, first)
    to_release, reload, history, rollback = COMMANDS
    with serve(tmp_path, BENTOML_HOME=str(store)) as served:
        for path in re.findall(r"^\| `GET (/\w+)` \|", PAGE, re.MULTILINE):
            with urllib.request.urlopen(served.process.url + path, timeout=60) as response:
                assert response.status == 200, path
        assert served.get("/model")[1]["tag"] == first
        assert f"{second} is the champion" in run(to_release.replace("flights:TAG", second), store, served)
        assert served.get("/model")[1]["tag"] == first, "a server takes it when it is signalled"
        assert f"{second} serves now" in run(reload, store, served)
        assert served.get("/model")[1]["tag"] == second
        assert second in run(history, store, served).splitlines()[1]
        assert f"{first} is the champion again" in run(rollback, store, served)
        assert champion(store) == first
        assert f"{first} serves now" in run(reload, store, served)
        assert served.get("/model")[1]["tag"] == first
