"""Metrics and baselines of regressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.errors import MonitoringError
from tabular_bento.evaluation.evaluators import HISTORICAL, NAIVE, RegressionEvaluator, evaluator_of
from tabular_bento.evaluation.evaluators.regression import RIDGE, RegressionMetrics
from tests.unit.models import DATED, PARCELS
from tests.unit.problems import PRICES

RNG = np.random.default_rng(0)
DECLARATION = DATED.declaration
COLUMN = DECLARATION.feature_names.index("city_mean")


def baselines(
    problem: Problem, X: np.ndarray, y: np.ndarray, parts: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Scores of the baselines, shape [rows] each."""
    found = evaluator_of(problem.task).baselines(problem.declaration, X, y, parts)
    return {name: {part: raw[:, 0] for part, raw in scores.items()} for name, scores in found.items()}


def regression_metrics(
    predicted: np.ndarray, labels: np.ndarray, blocks: np.ndarray, within: float | None = None
) -> RegressionMetrics:
    measured = RegressionEvaluator(PRICES.task).measure({"price": predicted}, labels, blocks, 200, 0, within)
    assert isinstance(measured, RegressionMetrics)
    return measured


def test_metrics_are_of_rows_with_a_label() -> None:
    labels = RNG.normal(size=1_000)
    predicted = labels + RNG.normal(0, 2, 1_000)
    unlabelled = np.where(np.arange(1_000) % 10 == 0, np.nan, labels)
    found = regression_metrics(predicted, unlabelled, np.arange(1_000), within=1.0)
    known = ~np.isnan(unlabelled)
    error = (predicted - labels)[known]
    assert found.n == 900
    assert found.rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert found.bias == pytest.approx(error.mean())
    assert found.within == pytest.approx((np.abs(error) <= 1).mean())
    assert found.rmse_interval is not None
    assert found.rmse_interval[0] < found.rmse < found.rmse_interval[1]
    assert regression_metrics(predicted, labels, np.zeros(1_000, np.int64)).rmse_interval is None
    with pytest.raises(ValueError, match="no row has a label"):
        regression_metrics(predicted, np.full(1_000, np.nan), np.arange(1_000))


def test_the_task_names_its_evaluator() -> None:
    assert isinstance(evaluator_of(PRICES.task), RegressionEvaluator)

    @dataclass(frozen=True)
    class Ranking(Regression):
        kind: ClassVar[str] = "ranking"
        evaluator: ClassVar[str] = "ranking"

    with pytest.raises(MonitoringError, match="there are: regression"):
        evaluator_of(Ranking(Field("price", Kind.NUMBER)))


def test_losses_and_their_levels_are_those_of_the_metrics() -> None:
    evaluator, labels = evaluator_of(PRICES.task), RNG.normal(size=50)
    outputs = {"price": labels + RNG.normal(size=50)}
    measured = evaluator.measure(outputs, labels, np.arange(50), 200, 0).to_dict()
    levels = evaluator.level(evaluator.row_losses(outputs, labels).mean(axis=0))
    assert levels.tolist() == pytest.approx([measured[name] for name in evaluator.losses])
    assert evaluator.residual(outputs, labels).mean() == measured["bias"]
    assert evaluator.primary == evaluator.losses[0]
    assert set(evaluator.metrics) < set(measured)


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(500, len(DECLARATION.feature_names))).astype(np.float32)


def test_the_naive_baseline_adds_nothing_to_the_offset(matrix: np.ndarray) -> None:
    scores = baselines(DATED, matrix, matrix[:, 0].astype(np.float64), {"test": matrix[:7]})
    assert scores[NAIVE]["test"].tolist() == [0.0] * 7


def test_without_an_offset_it_is_the_mean_of_the_training_labels(matrix: np.ndarray) -> None:
    three = matrix[:, :3]
    scores = baselines(PARCELS, three, np.arange(500.0), {"test": three[:2]})
    assert scores[NAIVE]["test"].tolist() == [249.5] * 2
    assert set(scores) == {NAIVE, RIDGE}


def test_the_historical_baseline_is_the_declared_feature_and_the_overall_mean_where_that_is_missing(
    matrix: np.ndarray,
) -> None:
    part = matrix[:3].copy()
    part[1, COLUMN] = np.nan
    scores = baselines(DATED, matrix, np.full(len(matrix), 4.0), {"test": part})[HISTORICAL]["test"]
    assert scores.tolist() == [float(part[0, COLUMN]), 4.0, float(part[2, COLUMN])]
    assert HISTORICAL not in baselines(replace(DATED, baseline=None, example={}), matrix, matrix[:, 0], {"test": part})


def test_ridge_finds_what_is_linear_although_values_are_missing(matrix: np.ndarray) -> None:
    y = 3.0 * matrix[:, 2].astype(np.float64) - 2.0 * matrix[:, 5] + 1.0
    part = np.concatenate([matrix, np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)])
    predicted = baselines(DATED, matrix, y, {"test": part})[RIDGE]["test"]

    assert np.isfinite(predicted).all()
    assert np.abs(predicted[:-1] - y).max() < 0.1
    assert np.abs(predicted[:-1] - LinearRegression().fit(matrix, y).predict(matrix)).max() < 0.1


def test_a_feature_without_any_value_does_not_stop_ridge(matrix: np.ndarray) -> None:
    matrix[:, 4] = np.nan
    predicted = baselines(DATED, matrix, matrix[:, 0].astype(np.float64), {"test": matrix})[RIDGE]["test"]
    assert np.isfinite(predicted).all()


def test_every_baseline_has_every_part(matrix: np.ndarray) -> None:
    y = matrix[:, 0].astype(np.float64)
    scores = baselines(DATED, matrix, y, {"a": matrix[:5], "b": matrix[5:12]})
    assert set(scores) == {NAIVE, HISTORICAL, RIDGE}
    for parts in scores.values():
        assert {name: len(values) for name, values in parts.items()} == {"a": 5, "b": 7}
