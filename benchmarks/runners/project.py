"""Trains one kind of runner on a slice of the project of the working folder, and measures it.

Run as ``python -m benchmarks.runners.project KIND ROWS``, each in a process of its own; prints JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.features.columns import rows_of
from tabular_bento.project import Project
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.image import lock_path
from tabular_bento.training import load_config, train
from tabular_bento.training.publishing import write_package

CALLS = {1: 300, 1_000: 15}
"""How often batches of so many rows are predicted."""


class Clock:
    """When each step of a training began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        self.began[step] = time.perf_counter()


def measure(kind: str, rows: int) -> dict[str, Any]:
    """Train a runner of a kind on `rows` rows, drawn evenly over all that have a label, and measure it."""
    project = Project.find()
    problem = project.load_problem()
    files = [project.training] if project.training else []
    config = load_config(*files, problem=problem, runner=kind, report=False, gate={})
    dataset = project.load_source().load(config.source)
    labelled = np.flatnonzero(dataset.labelled)
    chosen = labelled[np.linspace(0, len(labelled) - 1, min(rows, len(labelled))).astype(np.int64)]
    clock = Clock()
    model = train(problem, dataset.where(chosen), config, clock)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_package(folder, model)
        write_manifest(folder)
        package = ModelPackage.load(folder, f"{problem.name}:{kind}", problem)
        size = sum(path.stat().st_size for path in (folder / "runner").rglob("*") if path.is_file())
    test = model.parts["test"]
    columns = test.where(slice(0, 1_000)).columns
    held = rows_of(columns, problem.field_names)
    primary = evaluator_of(problem.task).primary
    document = model.document()
    return {
        "kind": kind,
        "metric": primary,
        "value": document["metrics"]["test"][primary],
        "interval": document["metrics"]["test"][f"{primary}_interval"],
        "baselines": {name: parts["test"][primary] for name, parts in document["baselines"].items()},
        "fit_seconds": clock.began["measuring"] - clock.began[f"fitting {kind}"],
        "runner_bytes": size,
        "image_bytes": image_bytes(kind),
        "microseconds": {
            str(count): 1e6 * _median_seconds(lambda count=count: package.predict(held[:count]), calls)
            for count, calls in CALLS.items()
        },
        "rows": {name: len(part) for name, part in model.parts.items()},
    }


def image_bytes(kind: str) -> int:
    """What the libraries of a runner's lock take that no other server needs, as they are installed here."""
    return sum(map(_installed_bytes, _locked(lock_path(kind)) - _locked(lock_path("linear"))))


def _locked(lock: Path) -> set[str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}


def _installed_bytes(name: str) -> int:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:  # of another system
        return 0
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


def _median_seconds(call: Callable[[], Any], calls: int) -> float:
    call()
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, ".")
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
