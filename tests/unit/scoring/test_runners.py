from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento import Binary, Field, Kind, Multiclass, Regression
from tabular_bento.scoring.runners import load_runner, runner_class
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.scoring.runners.xgboost import XGBoostParameters, XGBoostRunner
from tabular_bento.tasks import Task

REGRESSION = Regression(Field("cost", Kind.NUMBER))
BINARY = Binary(Field("late", Kind.BOOLEAN))
MULTICLASS = Multiclass(Field("grade", Kind.TEXT), classes=("a", "b", "c", "d"))
TASKS = (REGRESSION, BINARY, MULTICLASS)
KINDS = ("xgboost", "sklearn")
PARAMETERS: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 15, "min_child_weight": 1.0},
    "sklearn": {"max_iter": 15},
}
ROWS = 600


def data(task: Task, seed: int = 0) -> tuple[Any, Any]:
    """Features with gaps, and codes that depend on the first of them."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(ROWS, 4)).astype(np.float32)
    score = X[:, 0] + random.normal(0, 0.5, ROWS)
    X[random.random(X.shape) < 0.1] = np.nan
    if task is REGRESSION:
        return X, score.astype(np.float64)
    edges = [1.0] if task is BINARY else [-1.0, 0.0, 1.5]
    return X, np.digitize(score, edges).astype(np.float64)


def fitted(kind: str, task: Task, X: Any, y: Any, weights: Any = None) -> Any:
    runner = runner_class(kind)
    return runner.fit(FittingData(X, y, weights), runner.Parameters(**PARAMETERS[kind]), task, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_raw_scores_of_a_classification_are_log_odds(kind: str) -> None:
    for task in (BINARY, MULTICLASS):
        X, y = data(task)
        probability = task.probabilities(fitted(kind, task, X, y).predict(X))
        shares = np.bincount(y.astype(int)) / ROWS
        np.testing.assert_allclose(probability.mean(axis=0), shares, atol=0.02)
        likely = probability[np.arange(ROWS), y.astype(int)]
        assert -np.log(likely).mean() < 0.7 * -(shares * np.log(shares)).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_without_anything_to_learn_from_the_scores_are_those_of_the_shares(kind: str) -> None:
    nothing = np.zeros((ROWS, 2), dtype=np.float32)
    for task in (BINARY, MULTICLASS):
        _, y = data(task)
        probability = task.probabilities(fitted(kind, task, nothing, y).predict(nothing))
        np.testing.assert_allclose(probability[0], np.bincount(y.astype(int)) / ROWS, atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_weight_three_counts_as_three_rows(kind: str) -> None:
    nothing = np.zeros((ROWS, 2), dtype=np.float32)
    _, y = data(BINARY)
    weights = np.where(y == 1, 3.0, 1.0)
    probability = BINARY.probabilities(fitted(kind, BINARY, nothing, y, weights).predict(nothing))
    assert probability[0, 1] == pytest.approx(weights[y == 1].sum() / weights.sum(), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_no_training_row_has_is_improbable(kind: str, tmp_path: Path) -> None:
    X, y = data(MULTICLASS)
    known = y != 1
    runner = fitted(kind, MULTICLASS, X[known], y[known])
    runner.save(tmp_path)
    raw = load_runner(kind, tmp_path).predict(X)
    probability = MULTICLASS.probabilities(raw)
    assert np.isfinite(raw).all()
    assert probability.shape == (ROWS, 4)
    assert probability[:, 1].max() < 0.001


def test_without_a_number_of_rounds_the_validation_part_says_how_many_help() -> None:
    X, y = data(MULTICLASS)
    noise = np.random.default_rng(1).permutation(y)
    free = XGBoostParameters(learning_rate=0.3)
    assert free.needs_validation
    assert not XGBoostParameters(rounds=7).needs_validation
    few, many, fixed = (
        XGBoostRunner.fit(FittingData(X, y, validation=FittingData(X, labels)), parameters, MULTICLASS, 0)
        for parameters, labels in ((free, noise), (free, y), (XGBoostParameters(rounds=7), noise))
    )
    rounds = [runner.booster.num_boosted_rounds() for runner in (few, many, fixed)]
    assert rounds[0] < 20 < rounds[1]
    assert rounds[2] == 7
    assert XGBoostRunner.fit(FittingData(X, y), free, MULTICLASS, 0).booster.num_boosted_rounds() == 120


def test_rounds_beyond_the_best_are_not_kept() -> None:
    X, y = data(BINARY)
    noise = FittingData(X, np.random.default_rng(1).permutation(y))
    chosen = XGBoostRunner.fit(FittingData(X, y, validation=noise), XGBoostParameters(), BINARY, 0)
    rounds = chosen.booster.num_boosted_rounds()
    given = XGBoostRunner.fit(FittingData(X, y), XGBoostParameters(rounds=rounds), BINARY, 0)
    assert chosen.predict(X).tobytes() == given.predict(X).tobytes()


def test_of_several_depths_the_one_is_taken_that_loses_least_on_unseen_rows() -> None:
    X, y = data(BINARY)
    rows = FittingData(X, y, validation=FittingData(X, y))
    given = XGBoostParameters(max_depth=(2, 8), rounds=10)
    assert given.needs_validation
    deep = XGBoostRunner.fit(rows, given, BINARY, 0)
    assert deep.chosen == {"max_depth": 8}
    alone = XGBoostRunner.fit(rows, XGBoostParameters(max_depth=8, rounds=10), BINARY, 0)
    assert deep.predict(X).tobytes() == alone.predict(X).tobytes()
    assert alone.chosen == {}
    noise = FittingData(X, np.random.default_rng(1).permutation(y))
    flat = XGBoostRunner.fit(replace(rows, validation=noise), given, BINARY, 0)
    assert flat.chosen == {"max_depth": 2}
    free = XGBoostRunner.fit(rows, XGBoostParameters(max_depth=(2, 8), learning_rate=0.3), BINARY, 0)
    assert set(free.chosen) == {"rounds", "max_depth"}


def test_folds_say_how_many_rounds_help_and_the_booster_is_that_of_all_rows() -> None:
    X, y = data(BINARY)
    rows = FittingData(X, y)
    noise = replace(rows, validation=FittingData(X, np.random.default_rng(1).permutation(y)))
    few, many = (
        XGBoostRunner.fit(replace(rows, folds=(fold,) * 2), XGBoostParameters(learning_rate=0.3), BINARY, 0)
        for fold in (noise, replace(rows, validation=rows))
    )
    assert few.chosen["rounds"] < 20 < many.chosen["rounds"]
    alone = XGBoostRunner.fit(rows, XGBoostParameters(learning_rate=0.3, **few.chosen), BINARY, 0)
    assert alone.predict(X).tobytes() == few.predict(X).tobytes()


def test_weights_count_in_the_validation_part_too() -> None:
    X, y = data(BINARY)
    weights = np.where(y == 1, 50.0, 1.0)
    found = [
        XGBoostRunner.fit(FittingData(X, y, weights, FittingData(X, y, each)), XGBoostParameters(), BINARY, 0)
        for each in (weights, None)
    ]
    rounds = [runner.booster.num_boosted_rounds() for runner in found]
    assert rounds[0] > rounds[1]


def test_small_tables_of_classes_have_leaves() -> None:
    X, y = data(MULTICLASS)
    runner = XGBoostRunner.fit(FittingData(X[:60], y[:60]), XGBoostParameters(rounds=20), MULTICLASS, 0)
    probability = MULTICLASS.probabilities(runner.predict(X[:60]))
    assert -np.log(probability[np.arange(60), y[:60].astype(int)]).mean() < 0.7


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if runner_class(kind).explains])
def test_contributions_and_the_base_value_add_up_to_the_raw_scores(kind: str, task: Task, tmp_path: Path) -> None:
    X, y = data(task)
    runner = fitted(kind, task, X, y)
    X = X[:100]

    whole = runner.explain(X)
    runner.save(tmp_path)

    assert whole.dtype == np.float64
    assert whole.shape == (100, task.raw_columns, 5)
    assert len(np.unique(whole[:, :, -1], axis=0)) == 1
    np.testing.assert_allclose(whole.sum(axis=2), runner.predict(X), rtol=1e-5, atol=1e-5)
    assert whole.tobytes() == np.concatenate([runner.explain(X[i : i + 1]) for i in range(100)]).tobytes()
    assert whole.tobytes() == load_runner(kind, tmp_path).explain(X).tobytes()
    assert runner.explain(X[:0]).shape == (0, task.raw_columns, 5)
    assert np.abs(whole[:, :, 0]).mean() > 2 * np.abs(whole[:, :, 1:-1]).mean()


def test_a_runner_without_explanations_says_so() -> None:
    assert not runner_class("sklearn").explains
