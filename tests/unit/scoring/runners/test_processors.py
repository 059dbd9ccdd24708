"""Scores and contributions have the same bits whatever vector units a processor has; keras is in `test_keras`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.scoring.runners import runner_class
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.tasks import Task
from tabular_bento.testing.made_up import TASKS, made_up
from tests.models import ROOT

PARAMETERS: dict[str, dict[str, Any]] = {
    "linear": {"alpha": 1.0},
    "xgboost": {"rounds": 10},
    "lightgbm": {"rounds": 10, "categorical": True},
    "sklearn": {"max_iter": 4},
}
NOISE = 150
"""More features than NumPy adds up in one block of a sum."""

BITS = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from tabular_bento.scoring.runners import load_runner

X, found = np.load(Path(sys.argv[1]) / "X.npy"), {}
for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    runner = load_runner(folder.name.split("-")[0], folder)
    alone = np.concatenate([runner.predict(X[place : place + 1]) for place in range(20)])
    bits = [runner.predict(X).tobytes(), alone.tobytes()]
    bits += [runner.explain(X[:20]).tobytes()] if runner.explains else []
    found[folder.name] = [hashlib.sha256(part).hexdigest() for part in bits]
print(json.dumps(found))
"""


def wide(task: Task) -> FittingData:
    """The made-up table with features that say nothing."""
    data = made_up(task)
    noise = np.random.default_rng(0).normal(size=(len(data.X), NOISE)).astype(np.float32)
    return FittingData(np.concatenate([data.X, noise], axis=1), data.y, coded=data.coded)


@pytest.mark.parametrize(
    "kinds", [("linear",), pytest.param(("xgboost", "lightgbm", "sklearn"), marks=pytest.mark.slow)], ids="-".join
)
def test_the_bits_do_not_depend_on_the_processor(kinds: tuple[str, ...], tmp_path: Path) -> None:
    for kind in kinds:
        for task in (TASKS[0], TASKS[2]):
            runner, data = runner_class(kind), wide(task)
            folder = tmp_path / f"{kind}-{task.kind}"
            folder.mkdir()
            runner.fit(data, runner.Parameters(**PARAMETERS[kind]), task, 0).save(folder)
            np.save(tmp_path / "X.npy", data.X)
    dispatched = import_module("numpy._core._multiarray_umath").__cpu_dispatch__
    found = []
    for core, disabled, glibc in (
        ("SkylakeX", [], ""),
        ("Haswell", dispatched[1:], "glibc.cpu.hwcaps=-AVX512F"),
        ("Nehalem", dispatched, "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA"),
    ):
        environment = {"OPENBLAS_CORETYPE": core, "NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
        environment |= {"GLIBC_TUNABLES": glibc, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", BITS, str(tmp_path)]
        result = subprocess.run(
            command, env=os.environ | environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        found.append(json.loads(result.stdout))
    assert len(found[0]) == len(kinds) * 2
    assert found[0] == found[1] == found[2]
