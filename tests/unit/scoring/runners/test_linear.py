from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from tabular_bento.errors import PackageError
from tabular_bento.scoring.runners import load_runner
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.scoring.runners.linear import LinearParameters, LinearRunner
from tabular_bento.scoring.runners.linear_fitting import ALPHAS, LEAST_USUAL_ALPHA, MOST_CODES
from tabular_bento.tasks import Task
from tabular_bento.testing.made_up import NAMES, TASKS, made_up
from tests.unit.scoring.test_without_scipy import HIDDEN, without_scipy

REGRESSION, BINARY, MULTICLASS = TASKS


def fit(data: FittingData, task: Task, **parameters: Any) -> LinearRunner:
    return LinearRunner.fit(data, LinearParameters(**parameters), task, 0)


def complete(task: Task) -> tuple[FittingData, np.ndarray]:
    """Rows of numbers without gaps, and the same standardised."""
    data = made_up(task)
    X = np.random.default_rng(2).normal(3, 2, (len(data.y), 4)).astype(np.float32)
    X[:, 0] = np.nan_to_num(data.X[:, 0])
    wide = X.astype(np.float64)
    return FittingData(X, data.y, np.linspace(0.5, 2, len(X))), (wide - wide.mean(axis=0)) / wide.std(axis=0)


def test_a_regression_is_scikit_learns_ridge_of_standardised_columns() -> None:
    data, columns = complete(REGRESSION)
    for alpha in (0.01, 100.0):
        theirs = Ridge(alpha=alpha).fit(columns, data.y, data.weights).predict(columns)
        np.testing.assert_allclose(fit(data, REGRESSION, alpha=alpha).predict(data.X)[:, 0], theirs, atol=1e-10)


@pytest.mark.parametrize("task", [BINARY, MULTICLASS], ids=lambda task: task.kind)
def test_a_classification_is_scikit_learns_logistic_regression(task: Any) -> None:
    data, columns = complete(task)
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(columns, data.y, data.weights).predict_proba(columns)
    found = task.probabilities(fit(data, task, alpha=10.0).predict(data.X))
    np.testing.assert_allclose(found, theirs, atol=2e-4)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_the_penalty_is_the_best_on_the_validation_part(task: Task) -> None:
    data = made_up(task, with_validation=True)
    noise = np.random.default_rng(0).permutation(data.y)
    strong = fit(replace(data, validation=FittingData(data.X, noise)), task)
    weak = fit(replace(data, validation=FittingData(data.X, data.y)), task)
    sizes = [np.abs(runner.coefficients.slope).sum() for runner in (strong, weak)]
    assert sizes[0] < sizes[1] / 4
    assert not LinearParameters(alpha=3.0).needs_validation


def test_a_penalty_below_the_usual_is_for_classes_that_are_separated_without_a_mistake() -> None:
    random = np.random.default_rng(3)
    X = random.normal(size=(400, 2)).astype(np.float32)
    apart = (X[:, 0] > 0).astype(np.float64)
    X[:, 0] += np.sign(X[:, 0])
    mistaken = np.where(random.random(400) < 0.02, 1 - apart, apart)
    chosen = [
        fit(FittingData(X[:200], y[:200], validation=FittingData(X[200:], y[200:])), BINARY).chosen["alpha"]
        for y in (apart, mistaken)
    ]
    assert chosen[0] <= 0.001
    assert chosen[1] >= LEAST_USUAL_ALPHA


def test_many_rows_are_all_fitted_with_the_penalty_that_some_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up(MULTICLASS, with_validation=True)
    monkeypatch.setattr("tabular_bento.scoring.runners.linear_fitting._CHOOSING_ROWS", 100)
    found = fit(data, MULTICLASS).predict(data.X)
    every = [fit(data, MULTICLASS, alpha=alpha).predict(data.X) for alpha in ALPHAS["log_loss"]]
    assert min(np.abs(found - scores).max() for scores in every) < 0.02


def test_a_code_has_a_contribution_of_its_own_and_a_rare_or_unknown_one_has_none() -> None:
    data = made_up(REGRESSION)
    code = NAMES.index("city_code")
    X = data.X.copy()
    X[:3, code] = 9
    runner = fit(FittingData(X, data.y, coded=(code,)), REGRESSION, alpha=0.01)
    rows = np.repeat(X[10:11], 9, axis=0)
    rows[:, code] = [1, 2, 3, 0, 9, 10, 1e9, -4, np.nan]
    scores = runner.predict(rows)[:, 0]
    assert scores[0] - scores[1] == pytest.approx(1, abs=0.2)
    assert scores[2] - scores[1] == pytest.approx(1, abs=0.2)
    assert len(set(scores[3:])) == 1


def test_the_most_frequent_of_many_codes_have_coefficients() -> None:
    random = np.random.default_rng(0)
    codes = np.concatenate([np.arange(1, 401), np.repeat(np.arange(201, 401), 2)]).astype(np.float32)
    data = FittingData(codes[:, None], random.normal(size=len(codes)), coded=(0,))
    table = fit(data, REGRESSION, alpha=1.0, min_code_rows=1).coefficients.codes[:, 0]
    assert np.flatnonzero(table).tolist() == list(range(201, 401))
    assert len(np.flatnonzero(table)) == MOST_CODES


def test_numbers_count_up_to_one_width_beyond_the_range_of_training() -> None:
    data = made_up(REGRESSION)
    X = np.nan_to_num(data.X)
    X[0, 0] = np.inf
    runner = fit(FittingData(X, data.y), REGRESSION, alpha=1.0)
    lowest, highest = X[1:, 0].min(), X[1:, 0].max()
    width = highest - lowest
    rows = np.repeat(X[5:6], 6, axis=0)
    rows[:, 0] = [np.inf, highest + 1.01 * width, 10 * highest + 10 * width, highest, highest + width / 2, lowest]
    scores = runner.predict(rows)[:, 0]
    assert len(set(scores[:3])) == 1
    slope = (scores[3] - scores[5]) / width
    assert slope != 0
    np.testing.assert_allclose(scores[4] - scores[3], slope * width / 2, rtol=1e-4)
    np.testing.assert_allclose(scores[0] - scores[3], slope * width, rtol=1e-4)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_folds_choose_the_penalty_too(task: Task) -> None:
    data = made_up(task)
    noise = FittingData(data.X, np.random.default_rng(0).permutation(data.y))
    strong = fit(replace(data, folds=(replace(data, validation=noise),) * 2), task)
    weak = fit(replace(data, folds=(replace(data, validation=FittingData(data.X, data.y)),) * 2), task)
    assert strong.chosen["alpha"] > 30 * weak.chosen["alpha"]
    again = fit(data, task, **strong.chosen)
    assert again.chosen == {}
    np.testing.assert_allclose(again.predict(data.X), strong.predict(data.X), atol=0.02)


def test_a_missing_number_is_the_mean_of_training_and_its_indicator() -> None:
    data = made_up(REGRESSION)
    y = np.where(np.isnan(data.X[:, 1]), 5.0, 0.0)
    runner = fit(FittingData(data.X, y), REGRESSION, alpha=1e-6)
    rows = np.repeat(data.X[5:6], 2, axis=0)
    rows[:, 1] = [np.nan, 0.3]
    np.testing.assert_allclose(runner.predict(rows)[:, 0], [5, 0], atol=1e-3)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_contributions_are_beside_the_mean_row_of_training(task: Task) -> None:
    data = made_up(task)
    runner = fit(data, task, alpha=1.0)
    found = runner.explain(data.X)
    np.testing.assert_allclose(found[:, :, :-1].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found[0, :, -1], runner.predict(data.X).mean(axis=0), atol=1e-9)
    assert not found[:, :, [NAMES.index("constant"), NAMES.index("empty")]].any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slope", [[1.0, 2.0]]),
        ("intercept", [float("nan")]),
        ("codes", [[1.0]]),
        ("coded", [99.0]),
        ("format", 2),
        ("mean", "many"),
    ],
)
def test_a_file_of_other_shapes_or_numbers_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    fit(made_up(REGRESSION), REGRESSION, alpha=1.0).save(tmp_path)
    path = tmp_path / LinearRunner.file
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(PackageError, match=r"model\.json cannot be read"):
        load_runner("linear", tmp_path)


def test_it_is_served_by_numpy_alone(tmp_path: Path) -> None:
    data = made_up(MULTICLASS)
    runner = fit(data, MULTICLASS, alpha=1.0)
    runner.save(tmp_path)
    np.save(tmp_path / "X.npy", data.X)
    program = """
import json
import numpy as np
from pathlib import Path
from tabular_bento.scoring.runners import load_runner
folder = Path(sys.argv[1])
X = np.load(folder / "X.npy")
scores = load_runner("linear", folder).predict(X)
print(json.dumps([scores.tobytes().hex(), sorted({name.split(".")[0] for name in sys.modules})]))
"""
    scores, modules = without_scipy(program, str(tmp_path))
    assert bytes.fromhex(scores) == runner.predict(data.X).tobytes()
    assert not {*HIDDEN, "threadpoolctl", "xgboost", "lightgbm", "keras", "jax"} & set(modules)


def test_many_rows_at_once_are_scored_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up(MULTICLASS)
    runner = fit(data, MULTICLASS, alpha=1.0)
    whole = runner.predict(data.X)
    monkeypatch.setattr("tabular_bento.scoring.runners.coefficients._ELEMENTS", 100)
    again = LinearRunner(replace(runner.coefficients))
    assert again.predict(data.X).tobytes() == whole.tobytes()
