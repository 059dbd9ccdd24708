from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabular_bento.errors import TableError
from tabular_bento.features.sums import ExactSums


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e12, 1e12).map(lambda v: round(v, 3))), max_size=50))
def test_sums_are_those_of_fractions_to_the_resolution(pairs: list[tuple[int, float]]) -> None:
    cells = np.array([cell for cell, _ in pairs], dtype=np.int64)
    values = np.array([value for _, value in pairs], dtype=np.float64)

    sums = ExactSums.of(values, cells, 4).values()

    for cell in range(4):
        expected = sum((Fraction(value) for at, value in pairs if at == cell), Fraction(0))
        assert abs(Fraction(sums[cell]) - expected) <= Fraction(len(pairs) + 1, 2**44) + abs(expected) / 2**52


def test_the_order_and_the_partition_make_no_difference() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1e6, 10_000)
    cells = random.integers(0, 10, 10_000)
    order = random.permutation(10_000)
    whole = ExactSums.of(values, cells, 10)
    parts = [ExactSums.of(values[part], cells[part], 10) for part in np.array_split(order, 7)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part

    assert total.values().tolist() == whole.values().tolist()
    assert total.total() == whole.total()


@pytest.mark.parametrize("value", [2.0**50, -(2.0**60), float("inf"), float("nan")])
def test_what_cannot_be_summed_is_refused(value: float) -> None:
    with pytest.raises(TableError, match="cannot be summed"):
        ExactSums.of(np.array([1.0, value]), np.array([0, 0]), 1)
