"""The statistics, against plain loops and known values."""

from __future__ import annotations

import numpy as np
import pytest

from tabular_bento.evaluation.metrics import draw_blocks
from tabular_bento.evaluation.noninferiority import (
    blocks_needed,
    day_sums,
    differences,
    interval,
    levels,
    segment_sums,
    simultaneous,
    standard_errors,
    status_of,
    tail_share,
)

RNG = np.random.default_rng(0)
ROWS = 900
DAYS = np.sort(RNG.integers(0, 40, ROWS)).astype(np.int64)
BASELINE = RNG.normal(0, 10, ROWS)
CANDIDATE = BASELINE + RNG.normal(0, 2, ROWS)


def losses(errors: np.ndarray) -> np.ndarray:
    """Squared and absolute errors."""
    return np.stack([errors**2, np.abs(errors)], axis=1)


def level(means: np.ndarray) -> np.ndarray:
    """RMSE and MAE of mean losses."""
    return np.stack([np.sqrt(means[..., 0]), means[..., 1]], axis=-1)


def plain(baseline: np.ndarray, candidate: np.ndarray) -> list[float]:
    rmse = np.sqrt((candidate**2).mean()) - np.sqrt((baseline**2).mean())
    return [rmse, np.abs(candidate).mean() - np.abs(baseline).mean()]


def test_the_differences_are_those_of_the_rows() -> None:
    distinct, sums = day_sums(losses(BASELINE), losses(CANDIDATE), DAYS)
    assert distinct.tolist() == sorted(set(DAYS.tolist()))
    assert differences(sums.sum(axis=0), level) == pytest.approx(plain(BASELINE, CANDIDATE))
    day = distinct[7] == DAYS
    assert differences(sums[7], level) == pytest.approx(plain(BASELINE[day], CANDIDATE[day]))
    assert levels(sums.sum(axis=0), level)[1, 1] == pytest.approx(np.abs(CANDIDATE).mean())


def test_the_interval_is_that_of_whole_days_drawn_with_both_errors_together() -> None:
    distinct, sums = day_sums(losses(BASELINE), losses(CANDIDATE), DAYS)
    drawn = draw_blocks(len(distinct), 400, 3)
    draws = []
    for counts in drawn.astype(int):
        rows = np.concatenate([np.flatnonzero(day == DAYS) for day in np.repeat(distinct, counts)])
        draws.append(plain(BASELINE[rows], CANDIDATE[rows]))
    tail = tail_share(len(distinct), 0.95)
    expected = np.quantile(draws, [tail, 1 - tail], axis=0).T
    assert interval(sums, drawn, 0.95, level) == pytest.approx(expected)


def test_few_days_widen_the_interval_as_student_s_t_would() -> None:
    assert tail_share(100_000, 0.95) == pytest.approx(0.025, rel=1e-3)
    assert tail_share(10, 0.95) < 0.012
    assert tail_share(1, 0.95) == 0


def test_as_many_blocks_as_are_needed_accept_an_equal_candidate_with_the_power_asked_for() -> None:
    rng, rows = np.random.default_rng(4), 40

    def window(days: int) -> np.ndarray:
        ours, theirs = (losses(errors) for errors in rng.normal(0, 10, (2, days * rows)))
        return day_sums(ours, theirs, np.repeat(np.arange(days), rows))[1]

    large = window(400)
    error = standard_errors(large, draw_blocks(400, 2_000, 0), level)
    needed = blocks_needed(float(error[1]), 400, 0.5, 0.95, 0.8)
    assert needed is not None
    drawn = draw_blocks(needed, 800, 0)
    accepted = [interval(window(needed), drawn, 0.95, level)[1, 1] <= 0.5 for _ in range(400)]
    assert 0.72 <= np.mean(accepted) <= 0.88


def test_half_the_margin_needs_four_times_the_blocks() -> None:
    wide, narrow = (blocks_needed(0.1, 50, margin, 0.99, 0.8) for margin in (0.1, 0.05))
    assert narrow == pytest.approx(4 * wide, rel=0.01)
    assert blocks_needed(0.1, 50, 100.0, 0.99, 0.8) < 11
    assert blocks_needed(0.1, 50, 0.0, 0.99, 0.8) is None
    assert blocks_needed(0.0, 50, 0.1, 0.99, 0.8) == 2


def test_segments_are_those_of_their_rows_and_an_empty_day_is_none() -> None:
    masks = [BASELINE > 0, np.arange(ROWS) == 5]
    sums = segment_sums(losses(BASELINE), losses(CANDIDATE), DAYS, masks)
    found = simultaneous(sums, draw_blocks(sums.shape[1], 300, 0), level)
    delta = differences(sums.sum(axis=1), level)
    assert delta[0] == pytest.approx(plain(BASELINE[masks[0]], CANDIDATE[masks[0]]))
    assert delta[1] == pytest.approx(plain(BASELINE[masks[1]], CANDIDATE[masks[1]]))
    assert (found[0, :, 0] < delta[0]).all()
    assert (found[0, :, 1] > delta[0]).all()


def test_the_intervals_of_many_segments_hold_together() -> None:
    rng = np.random.default_rng(1)
    missed, alone = 0, 0
    for _ in range(100):
        days = np.repeat(np.arange(40), 60)
        groups = rng.integers(0, 12, len(days))
        baseline = rng.normal(0, 10, len(days))
        candidate = rng.normal(0, 10, len(days))  # of the same distribution: every true difference is zero
        sums = segment_sums(losses(baseline), losses(candidate), days, [groups == group for group in range(12)])
        found = simultaneous(sums, draw_blocks(40, 1_000, 0), level)
        excluded = (found[..., 0] > 0) | (found[..., 1] < 0)
        missed += bool(excluded.any())
        alone += int(excluded.sum())
    assert missed <= 12, "5 % is 5 of 100"
    assert alone <= 2 * missed


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1, 0.5, "not_worse"), (0.1, 0.9, "not_worse"), (0.1, 1.1, "worse"), (2, 3, "worse"), (-0.1, 1.1, "unclear")],
)
def test_what_an_interval_says(low: float, high: float, said: str) -> None:
    assert status_of(low, high, 1.0) == said
