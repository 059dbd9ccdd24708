"""A shift that all segments have in common, where days move some segments more than others."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.common_shift import CommonShift, common_shift

DAY = 86_400
DAYS, A_DAY = 168, 60
MOVED = {"calm": 0.2, "windy": 1.0, "stormy": 3.0}
"""How much of what a week brings moves each segment."""


def _rows(seed: int) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.int64]]:
    """Errors, segments and times."""
    rng = np.random.default_rng(seed)
    days = np.repeat(np.arange(DAYS), A_DAY)
    segments = rng.choice(list(MOVED), len(days)).astype(object)
    weeks = rng.normal(0, 4, DAYS // 7)[days // 7]
    error = weeks * np.vectorize(MOVED.__getitem__)(segments) + rng.normal(0, 3, len(days))
    return error, segments, days * DAY


def _learnt(optimism: float = 1.0) -> CommonShift:
    error, segments, event = _rows(0)
    found = CommonShift.from_profile({"shift": common_shift(error, {"sky": segments}, event, optimism)})
    assert found is not None
    return found


def _shifts(known: CommonShift, seed: int, step: float) -> list[float]:
    """Of each week, in terms of its limit."""
    error, segments, event = _rows(seed)
    found = []
    for week in range(DAYS // 7):
        inside = event // DAY // 7 == week
        measured = known.measure(error[inside] + step, segments[inside])
        assert measured is not None
        found.append(measured[0] / known.limit(measured[1], 7, 3.3))
    return found


def test_weights_sum_to_one_and_prefer_what_days_do_not_move() -> None:
    known = _learnt()
    assert sum(known.weights.values()) == pytest.approx(1, abs=1e-4)
    assert known.weights["calm"] > 0.9 > 0.3 > known.weights["stormy"]


def test_a_small_shift_of_all_segments_is_found_and_weeks_are_not() -> None:
    """The mean error of these weeks varies by several times the shift."""
    known = _learnt()
    assert np.mean(np.abs(_shifts(known, 1, 0.0)) > 1) <= 2 / 24
    assert np.mean(np.array(_shifts(known, 1, 2.0)) > 1) >= 0.9
    assert np.mean(np.array(_shifts(known, 1, -2.0)) < -1) >= 0.9


def test_a_shift_of_one_segment_that_days_move_is_not_common() -> None:
    known = _learnt()
    error, segments, event = _rows(2)
    week = event // DAY < 7
    moved = error[week] + 2.0 * (segments[week] == "stormy")
    measured = known.measure(moved, segments[week])
    assert measured is not None
    assert abs(measured[0]) < known.limit(measured[1], 7, 3.3)


def test_fewer_rows_may_stray_further() -> None:
    known = _learnt()
    limits = [known.limit(rows, 7, 3.3) for rows in (20, 100, 100_000)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] > 1.5 * limits[-1]


def test_limits_grow_with_the_optimism_of_training_errors() -> None:
    assert _learnt(2.0).usual == pytest.approx([2 * limit for limit in _learnt().usual], rel=1e-4)


def test_the_field_whose_segments_tell_most_is_chosen() -> None:
    error, segments, event = _rows(0)
    other = np.random.default_rng(9).choice(["a", "b"], len(error)).astype(object)
    given = {"other": other, "sky": segments}
    found = common_shift(error, given, event, 1.0)
    assert found["by"] == "sky"
    assert json.dumps(common_shift(error, given, event, 1.0)) == json.dumps(found)


@pytest.mark.parametrize("lacking", ["times", "segments", "days", "labels"])
def test_nothing_is_judged_without(lacking: str) -> None:
    error, segments, event = _rows(0)
    if lacking == "times":
        assert common_shift(error, {"sky": segments}, None, 1.0) == {}
    elif lacking == "segments":
        assert common_shift(error, {"sky": np.full(len(error), "calm", dtype=object)}, event, 1.0) == {}
        assert common_shift(error, {}, event, 1.0) == {}
    elif lacking == "days":
        assert common_shift(error, {"sky": segments}, event % (8 * DAY), 1.0) == {}
    else:
        assert common_shift(np.full(len(error), np.nan), {"sky": segments}, event, 1.0) == {}
    assert CommonShift.from_profile({}) is None


def test_a_window_without_a_segment_is_not_judged() -> None:
    assert _learnt().measure(np.zeros(10), np.full(10, "calm", dtype=object)) is None
