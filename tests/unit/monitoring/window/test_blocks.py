"""Sums by hour and cells of delays stand for the rows that they were made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabular_bento.evaluation.reference.thresholds import effective_hours, spread
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.window.blocks import (
    ABSOLUTE,
    CELLS,
    ERROR,
    GRID,
    HISTORICAL,
    MODEL,
    NAIVE,
    SQUARE,
    YOUNGEST,
    Blocks,
    cells_of,
    median_hours,
)

rng = np.random.default_rng(0)
ROWS = 3_000
EVENT = rng.integers(-86_400 * 5, 86_400 * 20, ROWS)
AGE = rng.integers(YOUNGEST, 5, ROWS)
ERRORS = tuple(np.where(np.arange(ROWS) % 3 == 0, np.nan, rng.normal(size=ROWS)) for _ in range(3))
GAIN = rng.random(ROWS) < 0.5


def blocks(chosen: slice | np.ndarray) -> Blocks:
    return Blocks.of(EVENT[chosen], AGE[chosen], tuple(each[chosen] for each in ERRORS), GAIN[chosen])


def test_sums_are_those_of_the_rows() -> None:
    whole, known = blocks(slice(None)), ~np.isnan(ERRORS[0])
    assert (whole.rows.sum(), whole.matched.sum()) == (ROWS, known.sum())
    assert whole.historical.sum() == (known & GAIN).sum()
    for first, errors in zip((MODEL, NAIVE, HISTORICAL), ERRORS, strict=True):
        sums = whole.sums.sum(axis=0)
        assert sums[first + ERROR] == pytest.approx(errors[known].sum())
        assert sums[first + ABSOLUTE] == pytest.approx(np.abs(errors[known]).sum())
        assert sums[first + SQUARE] == pytest.approx((errors[known] ** 2).sum())
    counts, sums = whole.matched_by(86_400)
    assert counts.tolist() == np.unique(EVENT[known] // 86_400, return_counts=True)[1].tolist()
    assert sums.sum(axis=0) == pytest.approx(whole.sums.sum(axis=0))


def test_parts_add_up_to_the_whole() -> None:
    whole, added = blocks(slice(None)), Blocks.none()
    for start in range(0, ROWS, 700):
        added = added + blocks(slice(start, start + 700))
    assert added.hour.tolist() == whole.hour.tolist()
    assert added.age.tolist() == whole.age.tolist()
    assert added.counts.tolist() == whole.counts.tolist()
    assert added.sums == pytest.approx(whole.sums)


def test_ages() -> None:
    old = blocks(slice(None)).aged(2)
    same = blocks(AGE >= 2)
    assert (old.rows.tolist(), old.sums.tolist()) == (same.rows.tolist(), same.sums.tolist())
    waiting = blocks(slice(None)).waiting(5)
    unknown = np.isnan(ERRORS[0])
    assert waiting.tolist() == np.bincount(np.maximum(AGE[unknown], 0), minlength=5).tolist()


def test_spread_is_that_of_the_rows() -> None:
    assert blocks(slice(None)).days == spread(np.unique(EVENT // DAY, return_counts=True)[1])
    assert blocks(slice(None)).hours == effective_hours(EVENT)
    assert Blocks.none().days == 1


@given(st.lists(st.floats(-1, 1e4), min_size=1))
def test_the_median_delay_is_within_a_fortieth(hours: list[float]) -> None:
    found = median_hours(np.bincount(cells_of(np.array(hours)), minlength=CELLS))
    assert found == pytest.approx(float(np.median(np.maximum(hours, 0))), rel=0.025, abs=GRID[0])


def test_no_delays_have_no_median() -> None:
    assert median_hours(np.zeros(CELLS, np.int64)) is None
