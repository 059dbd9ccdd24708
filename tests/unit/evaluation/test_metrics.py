"""The blocks that intervals draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.evaluation.metrics import (
    ANY,
    GROUPS,
    NOT_NEGATIVE,
    SHARE,
    block_bootstrap,
    blocks_of,
    event_seconds,
    expansion,
    interval_of_blocks,
    interval_of_draws,
)
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


def losses_of_days(kind: str, days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Losses of some 60 rows a day of days that differ by chance, and the day of each."""
    day = np.repeat(np.arange(days), rng.poisson(60, days) + 1)
    effect, odds = rng.normal(0, 0.5, days)[day], rng.normal(-2, 1.5, len(day))
    if kind == "accuracy":
        return (rng.random(len(day)) < 1 / (1 + np.exp(-2.2 - effect))).astype(float), day
    probability, label = 1 / (1 + np.exp(-odds)), rng.random(len(day)) < 1 / (1 + np.exp(-odds - effect))
    if kind == "brier":
        return (probability - label) ** 2, day
    return -np.log(np.where(label, probability, 1 - probability)), day


@pytest.mark.parametrize("days", [3, 5, 7, 14])
@pytest.mark.parametrize("kind", ["log_loss", "brier", "accuracy"])
def test_intervals_of_few_days_hold_the_metric_of_all_days(kind: str, days: int) -> None:
    rng = np.random.default_rng(days)
    truth = losses_of_days(kind, 20_000, rng)[0].mean()
    held, by_percentiles, trials = 0, 0, 400
    for _ in range(trials):
        values, blocks = losses_of_days(kind, days, rng)
        interval = block_bootstrap(values, blocks, np.asarray, 400, 0, SHARE if kind == "accuracy" else NOT_NEGATIVE)
        assert interval is not None
        low, high = interval
        middle, more = values.mean(), expansion(days)
        held += low <= truth <= high
        by_percentiles += middle + (low - middle) / more <= truth <= middle + (high - middle) / more
    assert held >= 0.91 * trials, held / trials
    if days <= 7:
        assert by_percentiles <= 0.91 * trials, "the fault that the expansion is for"


def test_the_expansion_is_that_of_students_t_and_vanishes_for_many_blocks() -> None:
    assert expansion(2) == pytest.approx(np.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975))
    assert [round(expansion(blocks), 2) for blocks in (3, 7, 30, GROUPS)] == [2.69, 1.35, 1.06, 1.0]


def test_both_ends_are_moved_away_from_the_value_and_none_beyond_what_a_metric_can_be() -> None:
    draws = np.linspace(0.5, 0.9, 1_001)
    plain, few = (interval_of_draws(draws, 0.8, blocks, ANY) for blocks in (100_000, 4))
    assert plain == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-4)
    assert (0.8 - few[0]) / (0.8 - plain[0]) == pytest.approx(expansion(4), rel=1e-3)
    assert (few[1] - 0.8) / (plain[1] - 0.8) == pytest.approx(expansion(4), rel=1e-3)
    assert interval_of_draws(draws, 0.8, 2, SHARE).tolist() == [0.0, 1.0]
    assert interval_of_draws(draws, 0.8, 2, NOT_NEGATIVE)[0] == 0.0
    assert interval_of_draws(draws, 0.4, 4)[0] == pytest.approx(0.51), "an end on the wrong side stays"


def test_intervals_of_few_blocks_are_of_each_cell_and_leave_out_what_is_not_known() -> None:
    draws = np.column_stack([np.linspace(0, 1, 101), np.where(np.arange(101) < 50, np.nan, 0.25)])
    low, high = interval_of_draws(draws, [0.5, 0.25], 1_000_000)
    assert low == pytest.approx([0.025, 0.25], abs=1e-4)
    assert high == pytest.approx([0.975, 0.25], abs=1e-4)


def test_one_block_and_a_ratio_over_nothing_have_no_interval() -> None:
    assert block_bootstrap(np.ones(5), np.zeros(5, np.int64), np.asarray, 100, 0) is None
    assert interval_of_blocks(np.ones(3), np.zeros(3), np.asarray, 100, 0) is None
