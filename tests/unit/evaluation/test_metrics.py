"""The blocks that intervals draw."""

from __future__ import annotations

import numpy as np
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.evaluation.metrics import GROUPS, blocks_of, event_seconds
from tabular_bento.problem import Declaration
from tests.unit.problems import PRICES

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
