"""What a pass measures of each row of a classification, against scikit-learn and plain sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.window.errors import (
    ABSOLUTE,
    ERROR,
    HISTORICAL,
    INSIDE,
    MODEL,
    NAIVE,
    SQUARE,
    RowErrors,
)
from tabular_bento.problem import Problem
from tests.unit.classes import LATE, RETURNED, ZONES

ROWS = 500
RNG = np.random.default_rng(0)


def errors(problem: Problem, naive: Any, baseline: str | tuple[str, ...] | None = None) -> RowErrors:
    declaration = replace(problem.declaration, baseline=baseline)
    return RowErrors.of(Reference("model:1", declaration, (), pa.table({}), naive_baseline=naive))


def logged(found: RowErrors, probability: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(found.required, probability.T, strict=True))


def test_a_binary_row_has_log_loss_brier_score_and_residual() -> None:
    found = errors(RETURNED, [0.7, 0.3])
    assert found.required == ("output.probability.no", "output.probability.yes, at once")
    positive, codes = RNG.random(ROWS), RNG.integers(0, 2, ROWS).astype(np.float64)
    values = found.row_values(logged(found, np.stack([1 - positive, positive], axis=1)), codes).values
    assert values[MODEL + SQUARE].mean() == pytest.approx(log_loss(codes, positive))
    assert values[MODEL + ABSOLUTE].mean() == pytest.approx(brier_score_loss(codes, positive))
    assert values[MODEL + ERROR].mean() == pytest.approx(positive.mean() - codes.mean())
    assert values[NAIVE + SQUARE].mean() == pytest.approx(log_loss(codes, np.full(ROWS, 0.3)))
    assert np.array_equal(values[HISTORICAL : HISTORICAL + 3], values[NAIVE : NAIVE + 3]), "there is no history"


def test_a_feature_that_is_a_share_is_the_historical_baseline_of_a_binary() -> None:
    found = errors(LATE, [0.7, 0.3], baseline="weight")
    assert found.columns == (*found.required, "feature.weight")
    codes, share = np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.9, np.nan])
    columns = {**logged(found, np.full((3, 2), 0.5)), "feature.weight": share}
    values = found.row_values(columns, codes)
    assert values.historical.tolist() == [True, True, False]
    expected = -np.log([0.8, 0.9, 0.3])
    assert values.values[HISTORICAL + SQUARE] == pytest.approx(expected), "where it is missing, the class share"


def test_a_row_of_many_classes_has_the_sum_of_squares_and_the_confidence() -> None:
    found = errors(ZONES, [0.2, 0.3, 0.5])
    assert found.columns == found.required
    probability = RNG.dirichlet((1, 1, 1), ROWS)
    codes = RNG.integers(0, 3, ROWS).astype(np.float64)
    values = found.row_values(logged(found, probability), codes).values
    assert values[MODEL + SQUARE].mean() == pytest.approx(log_loss(codes, probability, labels=[0, 1, 2]))
    squares = ((probability - np.eye(3)[codes.astype(int)]) ** 2).sum(axis=1)
    assert values[MODEL + ABSOLUTE] == pytest.approx(squares)
    right = (probability.argmax(axis=1) == codes).mean()
    assert values[MODEL + ERROR].mean() == pytest.approx(probability.max(axis=1).mean() - right)


def test_features_that_are_shares_are_the_historical_baseline_of_many_classes() -> None:
    found = errors(ZONES, [0.2, 0.3, 0.5], baseline=("one", "two", "three"))
    history = ("feature.one", "feature.two", "feature.three")
    assert found.columns == (*found.required, *history)
    shares = np.array([[0.6, 0.3, 0.1], [0.2, np.nan, 0.1], [np.inf, 0.1, 0.1]])
    columns = {**logged(found, np.full((3, 3), 1 / 3)), **dict(zip(history, shares.T, strict=True))}
    values = found.row_values(columns, np.array([0.0, 1.0, 2.0]))
    assert values.historical.tolist() == [True, False, False]
    assert values.values[HISTORICAL + SQUARE] == pytest.approx(-np.log([0.6, 0.3, 0.5])), "else the class shares"


@pytest.mark.parametrize(
    ("problem", "labels", "codes"),
    [
        (RETURNED, pa.array(["no", "yes, at once", None, "perhaps"]), [0, 1, np.nan, np.nan]),
        (LATE, pa.array([True, False, None]), [1, 0, np.nan]),
        (ZONES, pa.array([30, 20, None, 7]), [0, 2, np.nan, np.nan]),
        (ZONES, pa.array([30.0, 20.5]), [0, np.nan]),
    ],
)
def test_labels_of_the_log_become_the_numbers_of_their_classes(problem: Problem, labels: Any, codes: Any) -> None:
    assert np.array_equal(errors(problem, None).codes(labels), codes, equal_nan=True)


def test_without_shares_of_the_classes_no_baseline_is_known() -> None:
    found = errors(LATE, None)
    values = found.row_values(logged(found, np.full((2, 2), 0.5)), np.array([0.0, 1.0])).values
    assert np.isnan(values[NAIVE:INSIDE]).all()
    assert not np.isnan(values[MODEL:NAIVE]).any()
