"""Whether a candidate's losses are no worse than the baseline's by more than a margin, on the same rows.

Both models are judged on the same rows, so what is resampled is their difference: whole blocks of rows are drawn with
replacement, and both losses of a drawn block go together, since what makes a day hard is hard for both (a paired block
bootstrap: Künsch, The jackknife and the bootstrap for general stationary observations, Annals of Statistics 1989).
Blocks are the days of the event time, or groups of rows where there is none, see
`tabular_bento.evaluation.metrics.blocks_of`.

The task's evaluator gives two losses a row and, as its `level`, the metrics that their means are: RMSE and MAE of
squared and absolute errors, log loss and Brier score of themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Level = Callable[[Array], Array]
"""Metrics of mean losses, of shape [..., 2] both: an evaluator's `level`."""

Status = Literal["not_worse", "worse", "unclear"]

LOSSES = 2
"""Losses of each row."""

FAMILY = 0.95
"""Coverage of the intervals of all segments together."""

LEAST_DAYS = 11
"""Blocks below which no interval is judged by: so few do not show how heavy the tails of their errors are."""

MOST_BLOCKS = 10_000_000
"""More are not asked for."""

_ROWS = 0
_CHUNK = 512
"""Resamples at a time, so that many segments do not take much memory."""


def day_sums(baseline: Array, candidate: Array, days: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    """The distinct days in order, and sums for each, shape [d, 5], of the losses of n rows, of shape [n, 2] each.

    The sums are of the rows, of the first loss of both models and of the second loss of both; `differences` reads them.
    """
    distinct, where = np.unique(days, return_inverse=True)
    return distinct, _sums(baseline, candidate, where, len(distinct))


def segment_sums(
    baseline: Array, candidate: Array, days: NDArray[np.int64], segments: list[NDArray[np.bool_]]
) -> Array:
    """The same for the rows of each of s masks of shape [n]: shape [s, d, 5], all over the days of all rows."""
    distinct, where = np.unique(days, return_inverse=True)
    parts = [_sums(baseline[mask], candidate[mask], where[mask], len(distinct)) for mask in segments]
    return np.stack(parts) if parts else np.empty((0, len(distinct), 1 + 2 * LOSSES))


def _sums(baseline: Array, candidate: Array, where: NDArray[np.int64], size: int) -> Array:
    losses = (values[:, loss] for loss in range(LOSSES) for values in (baseline, candidate))
    return np.stack(
        [np.bincount(where, weights=value, minlength=size) for value in (np.ones(len(where)), *losses)], axis=1
    )


def levels(sums: Array, level: Level) -> Array:
    """Both metrics of the baseline, then of the candidate, of sums [..., 5]: shape [..., 2, 2]; NaN for no rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., 1:] / sums[..., _ROWS, None]
    return level(np.stack([means[..., :2], means[..., 2:]], axis=-1))


def differences(sums: Array, level: Level) -> Array:
    """Both metrics of the candidate less the baseline's, of summed sums [..., 5]: shape [..., 2]; NaN for no rows."""
    both = levels(sums, level)
    return np.asarray(both[..., 1, :] - both[..., 0, :])


def interval(sums: Array, drawn: Array, coverage: float, level: Level) -> Array:
    """Two-sided interval of each difference, of day sums [d, 5]: shape [2, 2], by metric, then low and high.

    The percentile interval, expanded for the number of days as Student's t would be (Hesterberg, What Teachers Should
    Know About the Bootstrap, The American Statistician 2015, section 5.3): without it few days give intervals that
    are too narrow.
    """
    tail = tail_share(sums.shape[0], coverage)
    return np.quantile(differences(drawn @ sums, level), [tail, 1 - tail], axis=0).T


def tail_share(days: int, coverage: float) -> float:
    """The share to cut off at each end of the bootstrap's distribution, so that the interval has this coverage."""
    if days < 2:
        return 0.0
    return float(stats.norm.cdf(-np.sqrt(days / (days - 1)) * stats.t.ppf((1 + coverage) / 2, days - 1)))


def standard_errors(sums: Array, drawn: Array, level: Level) -> Array:
    """Standard error of each difference, of day sums [d, 5]: shape [2], by metric, as the bootstrap has it."""
    days = len(sums)
    return np.asarray(np.std(differences(drawn @ sums, level), axis=0) * np.sqrt(days / (days - 1)))


def blocks_needed(error: float, blocks: int, margin: float, coverage: float, power: float) -> int | None:
    """Blocks with which a candidate that is as good is found to be not worse, with probability `power`.

    The usual sample size of a non-inferiority test: the half width of the interval and the quantile of the power must
    fit into the margin together (Julious, Sample sizes for clinical trials with Normal data, Statistics in Medicine
    2004, section 5).

    Parameters
    ----------
    error : float
        Standard error of the difference on `blocks` blocks; on n it is `error * sqrt(blocks / n)`.
    blocks : int
        The blocks that it was measured on.
    margin : float
        What may be lost, in the unit of `error`.
    coverage : float
        Of the two-sided interval.
    power : float
        Between 0.5 and 1.

    Returns
    -------
    int or None
        None for more than `MOST_BLOCKS`, or a margin of nothing.
    """

    def decided(number: int) -> bool:
        quantiles = stats.t.ppf((1 + coverage) / 2, number - 1) + stats.t.ppf(power, number - 1)
        return bool(quantiles * error * np.sqrt(blocks / number) <= margin)

    if margin <= 0 or not decided(MOST_BLOCKS):
        return None
    return bisect_left(range(MOST_BLOCKS), True, lo=2, key=decided)


def simultaneous(sums: Array, drawn: Array, level: Level) -> Array:
    """Intervals of the differences by segment that hold together, of sums [s, d, 5]: shape [s, 2, 2], as `interval`.

    All of them cover in `FAMILY` of cases. The largest standardized deviation over all segments and both metrics,
    resample by resample, gives one factor for all (max-t: Westfall and Young, Resampling-Based Multiple Testing, 1993;
    Romano and Wolf, Econometrica 2005), which Student's t widens for the days of each segment.
    """
    delta = differences(sums.sum(axis=1), level)
    flat = sums.transpose(1, 0, 2).reshape(sums.shape[1], -1)  # by day, so that one matrix product sums all resamples
    parts = [
        differences((drawn[start : start + _CHUNK] @ flat).reshape(-1, len(sums), sums.shape[2]), level)
        for start in range(0, len(drawn), _CHUNK)
    ]
    draws = np.concatenate(parts)
    days = np.maximum((sums[:, :, _ROWS] > 0).sum(axis=1), 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.nanstd(draws, axis=0) * np.sqrt(days / (days - 1))[:, None]
        deviations = np.nan_to_num(np.abs(draws - delta) / error, nan=0.0, posinf=0.0)
    factor = np.quantile(deviations.reshape(len(draws), -1).max(axis=1), FAMILY)
    covered = stats.norm.cdf(factor)
    spread = stats.t.ppf(covered, days - 1)[:, None] * error
    return np.stack([delta - spread, delta + spread], axis=-1)


def status_of(low: float, high: float, margin: float) -> Status:
    """What an interval says of a difference of which up to `margin` is allowed.

    `not_worse` when all of it is within the margin; `worse` when it shows a loss (all above zero) that is not within
    the margin; else `unclear`: there is too little to tell.
    """
    if high <= margin:
        return "not_worse"
    return "worse" if low > 0 else "unclear"
