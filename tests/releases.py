"""Stores with two models, and the commands that release them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from features.problem import PROBLEM
from tabular_bento.scoring.ledger import ReleaseLedger
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import RUNNER_FOLDER, ModelPackage
from tabular_bento.scoring.parity import read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.releases import Release
from tabular_bento.scoring.runners.xgboost import XGBoostRunner
from tests.conftest import copy_of_store
from tests.models import run_command
from tests.serving import ServedPort

CANDIDATE = "flights:candidate"


def store_of_two(tag: str, store: Path) -> Path:
    """A new store with the session's model `tag`, and `CANDIDATE`: the same with fewer trees, so a worse one."""
    copy_of_store(tag, store)
    add_candidate(store, tag, CANDIDATE)
    return store


def folder_of(store: Path, tag: str) -> Path:
    return store / "models" / tag.replace(":", "/")


def add_candidate(store: Path, tag: str, candidate: str, share: float = 0.7) -> None:
    """Add a real package that predicts otherwise than `tag`, with a share of its trees."""
    source, folder = folder_of(store, tag), folder_of(store, candidate)
    shutil.copytree(source, folder)
    predictor = ModelPackage.load(source, tag, PROBLEM).predictor
    assert isinstance(predictor.runner, XGBoostRunner)
    booster = predictor.runner.booster
    runner = XGBoostRunner(booster[: round(share * booster.num_boosted_rounds())])
    runner.save(folder / RUNNER_FOLDER)
    write_parity(folder, read_rows(source, PROBLEM.fields), Predictor(PROBLEM, predictor.extractor, runner))
    entry = folder / "model.yaml"
    entry.write_text(entry.read_text().replace(tag.split(":")[1], candidate.split(":")[1]))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


def command(store: Path, *arguments: str, expect: int = 0, alone: bool = False) -> subprocess.CompletedProcess[str]:
    """Run `tabular-bento` with `arguments` on a store; `alone` in a new interpreter."""
    result = run_command(*arguments, alone=alone, BENTOML_HOME=str(store))
    assert result.returncode == expect, result.stdout + result.stderr
    return result


def release(store: Path, tag: str) -> Release:
    """Release a model without a comparison, and give the record."""
    ledger = ReleaseLedger(store, PROBLEM.name)
    return ledger.move(
        "release", ledger.verify(tag, PROBLEM), {"kind": "forced", "reason": "a test"}, ledger.champion()
    )


def check_one_line(result: subprocess.CompletedProcess[str], words: str) -> None:
    """The command failed with one line that has `words`, and printed nothing else."""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("tabular-bento ")
    assert words in result.stderr
    assert not result.stdout.strip()


def eventually(holds: Callable[[], bool], what: Callable[[], object] = lambda: "", seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def log_of(served: ServedPort) -> str:
    """What the server has printed."""
    return served.process.log.read_text(errors="replace")


def champion(store: Path) -> str | None:
    """The tag of the champion; None where nothing was released."""
    record = ReleaseLedger(store, PROBLEM.name).champion()
    return record and record.tag


def tags(store: Path) -> list[str]:
    """The tags that were ever the champion, oldest first."""
    return [record.tag for record in ReleaseLedger(store, PROBLEM.name).history()]
