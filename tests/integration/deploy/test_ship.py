"""`make ship` releases last: a step that fails before leaves the champion, and so does a refusal, with its report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, copy_of_store
from tests.releases import CANDIDATE, champion, release, store_of_two


def make(target: str, store: Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BENTOML_HOME": str(store), "SHIP_DIR": str(folder), **settings}
    command = ["make", "--no-print-directory", target]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def steps_of(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("== ") for line in result.stdout.splitlines() if line.startswith("== ")]


@pytest.mark.slow
def test_nothing_is_released_where_the_image_cannot_be_built(trained: dict[str, Any], tmp_path: Path) -> None:
    store, tools = copy_of_store(trained["tag"], tmp_path / "store"), tmp_path / "bin"
    release(store, trained["tag"])
    tools.mkdir()
    podman = tools / "podman"
    podman.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 125\n")
    podman.chmod(0o755)
    shutil.rmtree(tmp_path / "ship", ignore_errors=True)
    result = make("ship", store, tmp_path / "ship", PATH=f"{tools}:{os.environ['PATH']}")

    assert result.returncode
    assert steps_of(result) == ["train", "gate", "build", "containerize"]
    assert champion(store) == trained["tag"]


def test_a_refusal_leaves_the_champion_and_its_report(trained: dict[str, Any], tmp_path: Path) -> None:
    store, folder = store_of_two(trained["tag"], tmp_path / "store"), tmp_path / "ship"
    release(store, trained["tag"])
    result = make("release", store, folder, RELEASE=CANDIDATE, TABULAR_BENTO_COMPARE_MAX_SIZE_RATIO="0.5")

    assert result.returncode, "a package of nearly the size of the one in service is larger than what is allowed"
    assert "is refused: package bytes: " in result.stderr
    assert json.loads((folder / "compare" / "compare.json").read_text())["verdict"] == "refused"
    assert (folder / "compare" / "compare.html").exists()
    assert champion(store) == trained["tag"]


def test_the_release_comes_after_the_image_was_built_tested_and_scanned() -> None:
    for settings, steps in (
        ([], "train gate build containerize smoke scan release"),
        (["SCAN=no"], "train gate build containerize smoke release"),
    ):
        command = ["make", "--no-print-directory", "--eval", "steps: ; @echo $(SHIP_STEPS)", *settings, "steps"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert result.stdout.split() == steps.split()
