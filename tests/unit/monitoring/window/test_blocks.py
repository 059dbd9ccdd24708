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
    BlockSums,
    cells_of,
    median_hours,
    usual_cell,
)
from tabular_bento.monitoring.window.errors import RowValues
from tests.unit.monitoring.window.values import values_of

rng = np.random.default_rng(0)
ROWS = 3_000
EVENT = rng.integers(-86_400 * 5, 86_400 * 20, ROWS)
AGE = rng.integers(YOUNGEST, 5, ROWS)
ERRORS = tuple(np.where(np.arange(ROWS) % 3 == 0, np.nan, rng.normal(size=ROWS)) for _ in range(3))
GAIN = rng.random(ROWS) < 0.5


SEGMENT = rng.integers(0, 3, ROWS).astype(np.uint8)
SCALES = (1.0, 1.0, 1.0)


def sums(chosen: slice | np.ndarray = slice(None), size: float = 1.0) -> BlockSums:
    errors = tuple(size * each[chosen] for each in ERRORS)
    labelled = ~np.isnan(errors[0])
    values = values_of(*(each[labelled] for each in errors), GAIN[chosen][labelled])
    return BlockSums.of(EVENT[chosen], AGE[chosen], labelled, values, SCALES, SEGMENT[chosen])


def blocks(chosen: slice | np.ndarray) -> Blocks:
    return sums(chosen).blocks()


def test_sums_are_those_of_the_rows() -> None:
    whole, known = blocks(slice(None)), ~np.isnan(ERRORS[0])
    assert (whole.rows.sum(), whole.matched.sum()) == (ROWS, known.sum())
    assert whole.historical.sum() == (known & GAIN).sum()
    for first, errors in zip((MODEL, NAIVE, HISTORICAL), ERRORS, strict=True):
        found = whole.sums.sum(axis=0)
        assert found[first + ERROR] == pytest.approx(errors[known].sum())
        assert found[first + ABSOLUTE] == pytest.approx(np.abs(errors[known]).sum())
        assert found[first + SQUARE] == pytest.approx((errors[known] ** 2).sum())
    counts, found = whole.matched_by(86_400)
    assert counts.tolist() == np.unique(EVENT[known] // 86_400, return_counts=True)[1].tolist()
    assert found.sum(axis=0) == pytest.approx(whole.sums.sum(axis=0))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e9, 1e28])
def test_parts_in_any_order_add_up_to_the_whole_to_the_bit(size: float) -> None:
    """Whatever their size beside the usual one: it decides on what is rounded away alone."""
    order = rng.permutation(ROWS)
    whole, added = sums(size=size).blocks(), BlockSums.none(SCALES)
    for start in (1_400, 0, 2_100, 700, 2_800):
        added = sums(order[start : start + 700], size) + added
    again = added.blocks()
    assert (again.hour.tolist(), again.age.tolist()) == (whole.hour.tolist(), whole.age.tolist())
    assert again.counts.tolist() == whole.counts.tolist()
    assert again.sums.tobytes() == whole.sums.tobytes()


def test_segments_are_parts_of_the_whole() -> None:
    whole = sums()
    assert whole.segments() == [0, 1, 2]
    for segment in whole.segments():
        alone = sums(segment == SEGMENT).blocks()
        assert whole.blocks([segment]).sums.tobytes() == alone.sums.tobytes()
        assert whole.blocks([segment]).counts.tolist() == alone.counts.tolist()


def test_hours_may_be_far_apart() -> None:
    """Such as those of a clock that was never set."""
    event, none = np.array([-(10**11), 0, 10**11]), np.zeros(3, np.bool_)
    found = Blocks.of(event, np.zeros(3, np.int64), none, RowValues(np.empty((9, 0)), np.empty(0, np.bool_)))
    assert found.hour.tolist() == (event // 3_600).tolist()
    assert found.rows.tolist() == [1, 1, 1]


def test_a_baseline_that_is_not_known_has_no_sum() -> None:
    error = np.array([1.0, 2.0])
    values = values_of(error, np.full(2, np.nan), error, np.full(2, False))
    found = Blocks.of(np.zeros(2, np.int64), np.zeros(2, np.int64), np.full(2, True), values).sums[0]
    assert found[MODEL + ABSOLUTE] == 3
    assert np.isnan(found[NAIVE : NAIVE + 3]).all()


def test_one_very_late_label_does_not_decide_when_labels_are_due() -> None:
    """A tenth of the labels never come. One is a year late, of a prediction that is as old, as by a wrong clock."""
    waiting = np.bincount(cells_of(rng.uniform(700, 1_400, 100)), minlength=CELLS)
    came = np.bincount(cells_of(rng.exponential(5, 900)), minlength=CELLS)
    usual = usual_cell(came, waiting)
    assert GRID[usual] == pytest.approx(15, rel=0.2)
    late = came + np.bincount([CELLS - 2], minlength=CELLS)
    assert usual_cell(late, waiting) - usual in (0, 1)


def test_a_few_labels_say_when_they_are_due() -> None:
    came = np.bincount(cells_of(np.array([2.0, 3.0])), minlength=CELLS)
    assert usual_cell(came, np.zeros(CELLS, np.int64)) == cells_of(np.array([3.0]))[0]


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
