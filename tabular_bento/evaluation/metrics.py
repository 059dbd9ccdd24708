"""The blocks of rows that intervals draw, as rows of one day may share their errors, and the bootstrap over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.clock import DAY
from tabular_bento.features.columns import Columns
from tabular_bento.problem import Declaration

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

GROUPS = 1024
"""Blocks of rows that have no event time."""

Limits = tuple[float, float]
ANY: Limits = (-np.inf, np.inf)
NOT_NEGATIVE: Limits = (0.0, np.inf)
SHARE: Limits = (0.0, 1.0)
"""What a metric can be."""


def event_seconds(declaration: Declaration, columns: Columns) -> Integers | None:
    """When each of n rows took place, in seconds since 1970, shape [n]; None for a problem without an event time."""
    if declaration.event_time is None:
        return None
    kind = declaration.field(declaration.event_time).kind
    values = np.asarray(columns[declaration.event_time]).astype(np.int64)
    return values * (DAY // kind.per_day) if kind.per_day <= DAY else values // (kind.per_day // DAY)


def blocks_of(declaration: Declaration, columns: Columns) -> Integers:
    """What a bootstrap draws of n rows, shape [n]: the days of the event time; without one the rows themselves, of more
    than `GROUPS` rows groups of them.
    """
    event = event_seconds(declaration, columns)
    if event is None:
        return np.arange(len(next(iter(columns.values()))), dtype=np.int64) % GROUPS
    return np.asarray(event // DAY)


def block_bootstrap(
    values: Array, blocks: Integers, statistic: Callable[[Any], Any], resamples: int, seed: int, limits: Limits = ANY
) -> tuple[float, float] | None:
    """95 % interval of `statistic` of the mean of `values`, whole blocks drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13; see `interval_of_draws`. None for fewer
    than two blocks.
    """
    _, where = np.unique(blocks, return_inverse=True)
    sums: Array = np.bincount(where, weights=values).astype(np.float64)
    return interval_of_blocks(sums, np.bincount(where), statistic, resamples, seed, limits)


def interval_of_blocks(
    sums: Array,
    counts: Integers | Array,
    statistic: Callable[[Any], Any],
    resamples: int,
    seed: int,
    limits: Limits = ANY,
) -> tuple[float, float] | None:
    """As `block_bootstrap`, of blocks that are known by the sums and the counts of their values, shape [b] each.

    The counts may be sums as well: then it is of a ratio of sums, None where one that is drawn is over 0. `limits` are
    those of the statistic.
    """
    draws = draws_of_blocks(sums, counts, statistic, resamples, seed)
    if draws is None:
        return None
    low, high = interval_of_draws(draws, statistic(sums.sum() / counts.sum()), len(sums), limits)
    return float(low), float(high)


def draws_of_blocks(
    sums: Array, counts: Integers | Array, statistic: Callable[[Any], Any], resamples: int, seed: int
) -> Array | None:
    """The statistic of each resample of `interval_of_blocks`, shape [resamples]; None where that gives none."""
    if len(sums) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    total = counts[drawn].sum(axis=1)
    if not total.all():
        return None
    return np.asarray(statistic(sums[drawn].sum(axis=1) / total))


def interval_of_draws(draws: Array, value: Any, blocks: int, limits: Limits = ANY) -> Array:
    """The 95 % interval of a metric whose resamples are `draws`: the percentile interval, widened for few blocks.

    Each end is `expansion` times as far from the value of all rows as the percentile is. Without that the intervals of
    3, 5 and 7 days held the metric of all days in 73, 83 and 87 % of cases, with it in 94 % (log loss, Brier score and
    accuracy of days that differ, in a simulation).

    Parameters
    ----------
    draws : ndarray of shape [resamples, ...]
        NaN is left out.
    value : array_like of shape [...]
        Of all rows.
    blocks : int
        Blocks that were drawn from.
    limits : tuple of float
        What no metric of the kind is beyond.

    Returns
    -------
    ndarray of shape [2, ...]
        The ends.
    """
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    more = expansion(blocks) - 1
    ends = np.stack([low + more * np.minimum(low - value, 0.0), high + more * np.maximum(high - value, 0.0)])
    return np.asarray(np.clip(ends, *limits))


@lru_cache
def expansion(blocks: int) -> float:
    """How many times as far as the percentiles of a bootstrap over few blocks the ends of a 95 % interval are.

    Means of b drawn blocks vary less than means of b other blocks, by (b - 1) / b of the variance; and as b blocks
    tell little of that variance, Student's t with b - 1 degrees of freedom takes the place of the normal distribution
    (Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered Errors, Review of Economics
    and Statistics 2008; Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 2015,
    section 5.3). Of 3 blocks it is 2.7, of 7 it is 1.35, of 30 it is 1.06, and of the groups of rows 1.002.
    """
    from scipy import stats  # takes a second, which the workers of a pass need not spend

    return float(np.sqrt(blocks / (blocks - 1)) * stats.t.ppf(0.975, blocks - 1) / stats.norm.ppf(0.975))


@lru_cache(maxsize=1)
def draw_blocks(blocks: int, resamples: int, seed: int) -> Array:
    """How often each of b blocks is drawn in each resample: shape [resamples, b], not to be written to."""
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn
