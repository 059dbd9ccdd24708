"""Metrics, and the blocks that their intervals draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.errors import MonitoringError
from tabular_bento.evaluation.metrics import GROUPS, blocks_of, evaluator_of, event_seconds, regression_metrics
from tabular_bento.problem import Declaration
from tests.unit.problems import PRICES

RNG = np.random.default_rng(0)
TIMES = {
    Kind.DATE: (np.array([0, 1, 15_000]), [0, 86_400, 15_000 * 86_400]),
    Kind.LOCAL_TIME: (np.array([5, 86_399, 86_400]), [5, 86_399, 86_400]),
    Kind.INSTANT: (np.array([1_999_999, 86_400_000_000]), [1, 86_400]),
}


def dated(kind: Kind) -> Declaration:
    fields = (Field("when", kind), Field("size", Kind.NUMBER))
    task = Regression(Field("price", Kind.NUMBER))
    return Problem(name="dated", fields=fields, task=task, event_time="when").declaration


@pytest.mark.parametrize("kind", TIMES)
def test_every_kind_of_time_dates_rows(kind: Kind) -> None:
    values, seconds = TIMES[kind]
    found = event_seconds(dated(kind), {"when": values})
    assert found is not None
    assert found.tolist() == seconds
    assert blocks_of(dated(kind), {"when": values}).tolist() == [second // 86_400 for second in seconds]


def test_without_an_event_time_rows_are_the_blocks() -> None:
    declaration = PRICES.declaration
    assert event_seconds(declaration, {"area": np.zeros(5)}) is None
    assert blocks_of(declaration, {"area": np.zeros(5)}).tolist() == [0, 1, 2, 3, 4]
    assert blocks_of(declaration, {"area": np.zeros(5_000)}).max() == GROUPS - 1


def test_metrics_are_of_rows_with_a_label() -> None:
    labels = RNG.normal(size=1_000)
    predicted = labels + RNG.normal(0, 2, 1_000)
    unlabelled = np.where(np.arange(1_000) % 10 == 0, np.nan, labels)
    found = regression_metrics(predicted, unlabelled, np.arange(1_000), 200, 0, within=1.0)
    known = ~np.isnan(unlabelled)
    error = (predicted - labels)[known]
    assert found.n == 900
    assert found.rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert found.bias == pytest.approx(error.mean())
    assert found.within == pytest.approx((np.abs(error) <= 1).mean())
    assert found.rmse_interval is not None
    assert found.rmse_interval[0] < found.rmse < found.rmse_interval[1]
    assert regression_metrics(predicted, labels, np.zeros(1_000, np.int64), 200, 0).rmse_interval is None
    with pytest.raises(ValueError, match="no row has a label"):
        regression_metrics(predicted, np.full(1_000, np.nan), np.arange(1_000), 200, 0)


def test_the_task_names_its_evaluator() -> None:
    assert evaluator_of(PRICES.task) is regression_metrics

    @dataclass(frozen=True)
    class Ranking(Regression):
        kind: ClassVar[str] = "ranking"
        evaluator: ClassVar[str] = "ranking"

    with pytest.raises(MonitoringError, match="there are: regression"):
        evaluator_of(Ranking(Field("price", Kind.NUMBER)))
