from __future__ import annotations

import numpy as np
import pytest
from features.definition import HISTORICAL_GAIN
from sklearn.linear_model import LinearRegression

from features.functions import FEATURE_NAMES
from tabular_bento.evaluation.baselines import baseline_gains

COLUMN = FEATURE_NAMES.index(HISTORICAL_GAIN)


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(500, len(FEATURE_NAMES))).astype(np.float32)


def test_zero_gain_arrives_as_late_as_it_left(matrix: np.ndarray) -> None:
    gains = baseline_gains(matrix, matrix[:, 0].astype(np.float64), {"test": matrix[:7]})
    assert gains["zero_gain"]["test"].tolist() == [0.0] * 7


def test_the_historical_gain_is_what_history_knows_and_the_overall_mean_of_what_it_does_not(
    matrix: np.ndarray,
) -> None:
    gain = np.full(len(matrix), 4.0)
    part = matrix[:3].copy()
    part[1, COLUMN] = np.nan
    gains = baseline_gains(matrix, gain, {"test": part})[HISTORICAL_GAIN]["test"]
    assert gains.tolist() == [float(part[0, COLUMN]), 4.0, float(part[2, COLUMN])]


def test_ridge_finds_what_is_linear_although_values_are_missing(matrix: np.ndarray) -> None:
    gain = 3.0 * matrix[:, 2].astype(np.float64) - 2.0 * matrix[:, 5] + 1.0
    part = np.concatenate([matrix, np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)])
    predicted = baseline_gains(matrix, gain, {"test": part})["ridge"]["test"]

    assert np.isfinite(predicted).all()
    assert np.abs(predicted[:-1] - gain).max() < 0.1
    assert np.abs(predicted[:-1] - LinearRegression().fit(matrix, gain).predict(matrix)).max() < 0.1


def test_every_baseline_has_every_part(matrix: np.ndarray) -> None:
    gains = baseline_gains(matrix, matrix[:, 0].astype(np.float64), {"a": matrix[:5], "b": matrix[5:12]})
    assert set(gains) == {"zero_gain", HISTORICAL_GAIN, "ridge"}
    for parts in gains.values():
        assert {name: len(values) for name, values in parts.items()} == {"a": 5, "b": 7}
