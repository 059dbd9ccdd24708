"""Releases of a model whose feature code is not the champion's: compared with a server that runs the champion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.scoring.ledger import ReleaseLedger
from tabular_bento.serving.ports import free_port
from tests.models import ROOT, SMALL
from tests.releases import CANDIDATE, champion, check_one_line, command, release, store_of_two
from tests.serving import ServedPort, serve

PARTS = ("tabular_bento", "features", "training", "monitoring", "requirements")
FILES = ("service.py", "pyproject.toml")


@pytest.fixture(autouse=True)
def month_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small model's test part is a month."""
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MIN_DAYS", "28")


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, none released."""
    return store_of_two(trained["tag"], tmp_path / "store")


@pytest.fixture
def old_checkout(tmp_path: Path) -> Path:
    """A checkout whose feature code is another, though it computes the same."""
    folder = tmp_path / "checkout"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    with (folder / "features" / "functions.py").open("a") as file:
        file.write("\n_FORMER = True\n")
    return folder


@pytest.fixture
def served(store: Path, old_checkout: Path, tmp_path: Path) -> Iterator[ServedPort]:
    """A server that runs the champion, which was trained and released in the other checkout."""
    environment = {**os.environ, "BENTOML_HOME": str(store)}
    for arguments in (["--config", str(SMALL)], ["release", "latest"]):
        program = [sys.executable, "-m", "training", *arguments]
        subprocess.run(program, cwd=old_checkout, env=environment, capture_output=True, check=True)
    with serve(tmp_path, cwd=old_checkout, BENTOML_HOME=str(store)) as server:
        yield server


@pytest.mark.slow
def test_a_champion_of_other_feature_code_is_compared_with_through_its_server(
    trained: dict[str, Any], store: Path, served: ServedPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_SAMPLE", "5000")
    former = champion(store)
    assert former not in (None, trained["tag"])
    result = command(store, "release", trained["tag"], expect=2)
    check_one_line(result, "was made by other feature code")
    assert "--baseline URL" in result.stderr

    url = served.process.url
    record = json.loads(command(store, "release", trained["tag"], "--baseline", url, "--json").stdout.splitlines()[-1])
    assert (champion(store), record["previous"]) == (trained["tag"], former)
    report = json.loads(Path(record["evidence"]["report"]).read_text())
    assert (report["baseline"]["kind"], report["baseline"]["model"]) == ("server", former)
    assert (report["verdict"], report["rows"]["compared"]) == ("accepted", 5_000)

    result = command(store, "release", CANDIDATE, "--baseline", url, expect=3)
    check_one_line(result, f"serves {former}, which is not the package of the champion {trained['tag']}")


def test_a_baseline_that_is_no_server_is_reported(trained: dict[str, Any], store: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = command(store, "release", trained["tag"], "--baseline", url, expect=2)
    check_one_line(result, "--baseline has no use where nothing is compared")
    release(store, trained["tag"])
    check_one_line(command(store, "release", CANDIDATE, "--baseline", url, expect=3), "No server listens at")
    check_one_line(command(store, "release", CANDIDATE, "--baseline", "latest", expect=3), "is no URL")
    command(store, "release", CANDIDATE, "--baseline", url, "--force", "now", expect=2)
    assert [record.tag for record in ReleaseLedger(store, "flights").history()] == [trained["tag"]]
