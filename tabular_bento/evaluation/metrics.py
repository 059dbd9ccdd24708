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
    values: Array, blocks: Integers, statistic: Callable[[Any], Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % percentile interval of `statistic` of the mean of `values`, whole blocks drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13. None for fewer than two blocks.
    """
    _, where = np.unique(blocks, return_inverse=True)
    sums: Array = np.bincount(where, weights=values).astype(np.float64)
    return interval_of_blocks(sums, np.bincount(where), statistic, resamples, seed)


def interval_of_blocks(
    sums: Array, counts: Integers | Array, statistic: Callable[[Any], Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """As `block_bootstrap`, of blocks that are known by the sums and the counts of their values, shape [b] each.

    The counts may be sums as well: then it is of a ratio of sums, None where one that is drawn is over 0.
    """
    if len(sums) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    total = counts[drawn].sum(axis=1)
    if not total.all():
        return None
    low, high = np.quantile(statistic(sums[drawn].sum(axis=1) / total), [0.025, 0.975])
    return float(low), float(high)


@lru_cache(maxsize=1)
def draw_blocks(blocks: int, resamples: int, seed: int) -> Array:
    """How often each of b blocks is drawn in each resample: shape [resamples, b], not to be written to."""
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn
