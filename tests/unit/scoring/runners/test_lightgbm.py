from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import PackageError, TrainingError
from tabular_bento.scoring.runners import fit_kind, load_runner
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.scoring.runners.lightgbm import LightGBMParameters, LightGBMRunner
from tabular_bento.testing.made_up import TASKS, made_up
from tests.unit.scoring.test_without_scipy import HIDDEN, without_scipy

REGRESSION, BINARY, MULTICLASS = TASKS


def fit(data: FittingData, **parameters: Any) -> LightGBMRunner:
    return LightGBMRunner.fit(data, LightGBMParameters(**parameters), BINARY, 0)


def test_without_a_number_of_rounds_the_validation_part_says_how_many_help() -> None:
    data = made_up(BINARY)
    noise = FittingData(data.X, np.random.default_rng(0).permutation(data.y))
    few, many = (
        fit(replace(data, validation=unseen), learning_rate=0.2) for unseen in (noise, FittingData(data.X, data.y))
    )
    assert few.booster.num_trees() < 20 < many.booster.num_trees()
    assert fit(data).booster.num_trees() == 120
    assert fit(data, rounds=7).booster.num_trees() == 7
    again = fit(data, rounds=few.booster.num_trees(), learning_rate=0.2)
    assert again.predict(data.X).tobytes() == few.predict(data.X).tobytes()


def test_codes_are_split_into_sets_where_that_is_asked_for() -> None:
    data = made_up(BINARY)
    plain, sets = (fit(data, rounds=5, learning_rate=0.3, categorical=asked).text for asked in (False, True))
    assert "\ncat_threshold=" not in plain
    assert "\ncat_threshold=" in sets


def test_scores_of_unseen_and_extreme_codes_are_finite() -> None:
    data = made_up(BINARY)
    runner = fit(data, rounds=5, categorical=True)
    rows = np.repeat(data.X[:1], 5, axis=0)
    rows[:, data.coded[0]] = [np.nan, -1, 100, 1e30, 3e9]
    scores = runner.predict(rows)
    assert np.isfinite(scores).all()
    assert np.concatenate([runner.predict(rows[i : i + 1]) for i in range(5)]).tobytes() == scores.tobytes()


def test_it_is_served_where_scipy_and_scikit_learn_are_not_installed(tmp_path: Path) -> None:
    data = made_up(BINARY)
    runner = fit(data, rounds=5)
    runner.save(tmp_path)
    np.save(tmp_path / "X.npy", data.X)
    program = """
import json
import numpy as np
from pathlib import Path
from tabular_bento.scoring.runners import load_runner
folder = Path(sys.argv[1])
X = np.load(folder / "X.npy")
runner = load_runner("lightgbm", folder)
same = runner.explain(X[:5]).shape == (5, 1, X.shape[1] + 1)
print(json.dumps([runner.predict(X).tobytes().hex(), same, sorted({name.split(".")[0] for name in sys.modules})]))
"""
    scores, same, modules = without_scipy(program, str(tmp_path))
    assert bytes.fromhex(scores) == runner.predict(data.X).tobytes()
    assert same
    assert not set(HIDDEN) & set(modules)


class WithoutOpenMP:
    """What a system without libgomp raises where LightGBM is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")


def test_a_system_without_openmp_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up(BINARY)
    parameters = LightGBMParameters(rounds=2)
    fit(data, rounds=2).save(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "lightgbm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutOpenMP(), *sys.meta_path])
    message = r"LightGBM cannot be loaded \(libgomp.*apt-get install libgomp1"
    with pytest.raises(PackageError, match=message):
        load_runner("lightgbm", tmp_path)
    with pytest.raises(TrainingError, match=message):
        fit_kind("lightgbm", data, parameters, BINARY, 0)
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # type: ignore[arg-type]
    with pytest.raises(PackageError, match=r"needs lightgbm.*: pip install 'tabular-bento\[lightgbm\]'"):
        load_runner("lightgbm", tmp_path)


def test_a_changed_file_is_refused_by_its_sum(tmp_path: Path) -> None:
    fit(made_up(BINARY), rounds=2).save(tmp_path)
    path = tmp_path / LightGBMRunner.file
    path.write_text(path.read_text().replace("leaf_value=", "leaf_value=1"))
    with pytest.raises(PackageError, match=r"model\.txt cannot be read \(its SHA-256 sum"):
        load_runner("lightgbm", tmp_path)
