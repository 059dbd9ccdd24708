from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tabular_bento.evaluation.baselines import HISTORICAL, NAIVE, RIDGE, baseline_scores
from tests.unit.models import DATED, PARCELS

DECLARATION = DATED.declaration
COLUMN = DECLARATION.feature_names.index("city_mean")


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(500, len(DECLARATION.feature_names))).astype(np.float32)


def test_the_naive_baseline_adds_nothing_to_the_offset(matrix: np.ndarray) -> None:
    scores = baseline_scores(DECLARATION, matrix, matrix[:, 0].astype(np.float64), {"test": matrix[:7]})
    assert scores[NAIVE]["test"].tolist() == [0.0] * 7


def test_without_an_offset_it_is_the_mean_of_the_training_labels(matrix: np.ndarray) -> None:
    three = matrix[:, :3]
    scores = baseline_scores(PARCELS.declaration, three, np.arange(500.0), {"test": three[:2]})
    assert scores[NAIVE]["test"].tolist() == [249.5] * 2
    assert set(scores) == {NAIVE, RIDGE}


def test_the_historical_baseline_is_the_declared_feature_and_the_overall_mean_where_that_is_missing(
    matrix: np.ndarray,
) -> None:
    part = matrix[:3].copy()
    part[1, COLUMN] = np.nan
    scores = baseline_scores(DECLARATION, matrix, np.full(len(matrix), 4.0), {"test": part})[HISTORICAL]["test"]
    assert scores.tolist() == [float(part[0, COLUMN]), 4.0, float(part[2, COLUMN])]
    assert HISTORICAL not in baseline_scores(replace(DECLARATION, baseline=None), matrix, matrix[:, 0], {"test": part})


def test_ridge_finds_what_is_linear_although_values_are_missing(matrix: np.ndarray) -> None:
    y = 3.0 * matrix[:, 2].astype(np.float64) - 2.0 * matrix[:, 5] + 1.0
    part = np.concatenate([matrix, np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)])
    predicted = baseline_scores(DECLARATION, matrix, y, {"test": part})[RIDGE]["test"]

    assert np.isfinite(predicted).all()
    assert np.abs(predicted[:-1] - y).max() < 0.1
    assert np.abs(predicted[:-1] - LinearRegression().fit(matrix, y).predict(matrix)).max() < 0.1


def test_a_feature_without_any_value_does_not_stop_ridge(matrix: np.ndarray) -> None:
    matrix[:, 4] = np.nan
    predicted = baseline_scores(DECLARATION, matrix, matrix[:, 0].astype(np.float64), {"test": matrix})[RIDGE]["test"]
    assert np.isfinite(predicted).all()


def test_every_baseline_has_every_part(matrix: np.ndarray) -> None:
    y = matrix[:, 0].astype(np.float64)
    scores = baseline_scores(DECLARATION, matrix, y, {"a": matrix[:5], "b": matrix[5:12]})
    assert set(scores) == {NAIVE, HISTORICAL, RIDGE}
    for parts in scores.values():
        assert {name: len(values) for name, values in parts.items()} == {"a": 5, "b": 7}
