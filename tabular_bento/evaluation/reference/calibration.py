"""Calibration at training: how far windows of the training part stray from the whole of them.

A week of January is not like the half-year that it is part of, and a thousand rows are not like a hundred thousand.
Both are measured here, apart: what a contiguous window of so many days adds to a column's index, and what so many rows
drawn at random add. A threshold is the sum of the two (`reference.thresholds`), and the number of columns that are
tested at a time is accounted for in both. Of a problem without an event time the first is not known: its limits allow
for chance alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import FIRST, MISSING, Bins, Counts, contributions, noise
from tabular_bento.evaluation.reference.thresholds import effective_hours
from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]

ROWS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Sizes of random windows; a window of fewer rows is not judged."""

SPANS = (1, 2, 4, 7, 14, 30, 60, 90, 180, 365)
"""Days of contiguous windows, as far as they are well within the training part."""

NEAR_WHOLE = (2 / 3, 5 / 6, 0.95, 1.0)
"""Further spans, as shares of the training part: there a window becomes the reference, and its index nothing."""

MATERIAL = 0.05
"""An index below this is of no interest however certain it is; 0.1 is commonly called a moderate shift."""

CHANCE = 0.01
"""How often any column of an unchanged window of random rows may be above its chance limit."""

LEFT_OUT = 26
"""One in so many windows may stray further than all others of their span did, margin included."""

ENOUGH = 20
"""Windows that do not overlap, from which on a span has a margin of its own."""

DRAWS = 400

SPLITS = 64
"""Random splits of the days into halves, of which each says how far two sets of days are apart."""

STRATUM = 28
"""Consecutive days of which each split takes half, so that both halves are of all seasons."""

RUNS = (1, 7, 14, 28)
"""Days in a row that a split keeps together: days, weeks, fortnights and months, as far as there are enough of them."""

LEAST_RUNS = 6
"""Runs of a length, below which the splits by that length are too few to tell how far apart two sets of days are."""

DIGITS = 6


def calibrate(
    columns: Mapping[str, NDArray[Any]],
    profiles: Mapping[str, dict[str, Any]],
    event: NDArray[np.int64] | None,
    seed: int,
) -> dict[str, Any]:
    """The entry `calibration` of a profile, as plain JSON values; the same for the same rows and seed.

    Parameters
    ----------
    columns : mapping
        Columns of n rows, arrays of shape [n], by name.
    profiles : mapping
        Their profiles, as of `reference.profile`.
    event : ndarray of shape [n], optional
        The rows' times in seconds since 1970; None where they have none, which is as if all were of one day.
    seed : int
        Of the rows drawn at random.
    """
    dated = event is not None
    days, spans, row_days = _days(np.zeros(len(next(iter(columns.values()))), np.int64) if event is None else event)
    daily = {name: _daily(Bins(profiles[name]), values, row_days, len(days)) for name, values in columns.items()}
    excess = {name: [_excess(counts, span) for span in spans] for name, counts in daily.items()}
    rng, splits = np.random.default_rng(seed), _splits(len(days), np.random.default_rng(seed))
    return {
        "rows": list(ROWS),
        "days": spans,
        "margin": _margins(excess, spans),
        "day_hours": 0.0 if event is None else rounded(_day_hours(event, row_days)),
        "columns": {
            name: {
                "chance": [rounded(_chance(counts.sum(axis=0), rows, len(daily), rng)) for rows in ROWS],
                "usual": [rounded(float(over.max())) for over in excess[name]],
                "missing": [rounded(_missing_rise(counts, span)) for span in spans],
                "constant_days": _constant_days(columns[name], row_days) if dated else 0,
                "between": rounded(_between(counts, splits, len(daily))),
                "missing_between": rounded(_missing_between(counts)),
                "absent_days": _absent_days(Bins(profiles[name]), counts),
                "present_days": _present_days(Bins(profiles[name]), counts),
            }
            for name, counts in daily.items()
        },
    }


def usual_ratios(
    model: Array, naive: Array, event: NDArray[np.int64] | None, level: Callable[[Array], Array] = np.sqrt
) -> dict[str, list[float]]:
    """By span in days, the ratio of the primary metrics that all windows of training but one in `LEFT_OUT` stay below.

    On a day when there is nothing to predict, a good model is no better than the naive baseline.

    Parameters
    ----------
    model, naive : ndarray of shape [n]
        The first loss of each prediction of the model, and of the naive baseline.
    event : ndarray of shape [n], optional
        The rows' times in seconds since 1970; without them no span is known.
    level : callable
        The metric of a mean loss: of squared errors the root.
    """
    if event is None:
        return {"days": [], "usual_ratio": []}
    _, spans, row_days = _days(event)
    daily = np.stack([np.bincount(row_days, weights=losses) for losses in (model, naive)], axis=1)
    found = []
    for span in spans:
        ours, theirs = windows_of(daily, span).T
        ratios = level(ours[theirs > 0] / theirs[theirs > 0])
        found.append(rounded(float(np.quantile(ratios, 1 - 1 / LEFT_OUT))) if len(ratios) else 1.0)
    return {"days": [float(span) for span in spans], "usual_ratio": found}


def _present_days(bins: Bins, daily: Counts) -> list[float]:
    """Of each category, or value of few, the share of the days with any."""
    there = (daily[:, FIRST : FIRST + len(bins.categorical)] > 0).mean(axis=0)
    return [rounded(share) for share in there.tolist()]


def error_spread(
    error: Array, event: NDArray[np.int64] | None, loss: Array | None = None
) -> dict[str, dict[str, float]]:
    """The entry `unseen` of a profile's `error`: how the mean error, and the mean loss, differ between rows and days.

    Parameters
    ----------
    error : ndarray of shape [n]
        Prediction less label of rows that the model had not seen, or their `Evaluator.residual`; NaN is left out.
    event : ndarray of shape [n], optional
        The rows' times in seconds since 1970; None where they have none.
    loss : ndarray of shape [n], optional
        Their first loss; by default the square of the error.
    """
    known = ~np.isnan(error)
    if not known.any():
        return {}
    days = None if event is None else np.unique(event[known] // DAY, return_inverse=True)[1]
    first = error[known] ** 2 if loss is None else loss[known]
    return {"bias": spread_of(error[known], days), "square": spread_of(first, days)}


def spread_of(values: Array, days: NDArray[np.int64] | None) -> dict[str, float]:
    """Fields of `reference.thresholds.Spread`: variance components of n rows and of their days, numbered from 0.

    The variance of the mean of a day is that of a ratio estimator (Cochran, Sampling Techniques, 1977, chapter 6); what
    it has beyond the chance of its rows is between days.
    """
    mean, variance = float(values.mean()), float(values.var())
    found = {"mean": rounded(mean), "row_sd": rounded(variance**0.5), "day_sd": 0.0, "rows": len(values), "days": 0}
    if days is None or days.max() < 1:
        return found
    rows = np.bincount(days)
    residual = np.bincount(days, weights=values) - mean * rows
    of_day = float((residual**2).sum()) / (len(rows) - 1) / float(rows.mean()) ** 2
    between = max(of_day - variance / float(rows.mean()), 0.0) ** 0.5
    return found | {"day_sd": rounded(between), "days": len(rows)}


def _days(event: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int], NDArray[np.int64]]:
    """The days that have rows, the spans to look at, and the place of each row's day among the days."""
    days, row_days = np.unique(event // DAY, return_inverse=True)
    near = [max(round(share * len(days)), 1) for share in NEAR_WHOLE]
    return days, sorted({span for span in SPANS if span < near[0]} | set(near)), row_days


def _daily(bins: Bins, values: NDArray[Any], row_days: NDArray[np.int64], days: int) -> Counts:
    """Counts of each day, shape [days, bins]."""
    order = np.argsort(row_days, kind="stable")
    parts = np.split(values[order], np.searchsorted(row_days[order], np.arange(1, days)))
    return np.stack([bins.count(part) for part in parts])


def windows_of(daily: NDArray[Any], span: int) -> NDArray[Any]:
    """Sums of each window of `span` days, a window beginning on every day, of sums of days, shape [days, ...]."""
    running = np.concatenate([np.zeros_like(daily[:1]), daily.cumsum(axis=0)])
    return np.asarray(running[span:] - running[:-span])


def _excess(daily: Counts, span: int) -> Array:
    """The index of each window of `span` days against all days, less its noise, shape [windows]."""
    whole, windows = daily.sum(axis=0), windows_of(daily, span)
    if len(windows) == 1:
        return np.zeros(1)
    return np.asarray(np.maximum(contributions(whole, windows).sum(axis=-1) - noise(whole, windows), 0.0))


def _margins(excess: Mapping[str, list[Array]], spans: list[int]) -> list[float]:
    """The factor by span that keeps all columns of a left-out window within what the other windows reached.

    Each window is compared with those that do not overlap it, by its worst column: the distribution of the largest
    statistic over all columns controls the chance that any one of them alarms, however they depend on each other
    (Westfall and Young, Resampling-Based Multiple Testing, 1993, chapter 2). The factor is what one in `LEFT_OUT`
    windows exceeds; where there are too few to tell, that of the longest span with enough of them.
    """
    margins: list[float] = []
    for index, span in enumerate(spans):
        table = np.stack([windows[index] for windows in excess.values()])
        starts = range(0, table.shape[1], span)
        worst = sorted(_ratio_to_others(table, start, span) for start in starts)
        enough = len(worst) >= ENOUGH or not margins
        allowed = round(len(worst) / LEFT_OUT)
        margins.append(rounded(max(worst[-1 - allowed], 1.0)) if enough else margins[-1])
    return margins


def _ratio_to_others(table: Array, start: int, span: int) -> float:
    """The largest ratio of a column's excess, table [columns, windows], to the largest that other windows have."""
    apart = np.abs(np.arange(table.shape[1]) - start) >= span
    if not apart.any():
        return 1.0
    return float((table[:, start] / np.maximum(table[:, apart].max(axis=1), MATERIAL)).max())


def _chance(counts: Counts, rows: int, columns: int, rng: np.random.Generator) -> float:
    """The index that `rows` rows of an unchanged column exceed with probability `CHANCE / columns` (Bonferroni).

    Reference and window are drawn again and again from the reference's shares, a parametric bootstrap (Efron and
    Tibshirani, 1993, chapter 6). So far into the tail the quantile is that of the scaled chi-squared variable with the
    mean and variance of the draws (Satterthwaite, 1946).
    """
    total = int(counts.sum())
    shares = counts / total
    index = contributions(rng.multinomial(total, shares, DRAWS), rng.multinomial(rows, shares, DRAWS)).sum(axis=-1)
    return _far_quantile(index, columns)


def _far_quantile(index: Array, columns: int) -> float:
    """What the scaled chi-squared variable with the mean and variance of the draws exceeds as `_chance` says."""
    from scipy import stats  # takes a second, which the workers of a pass need not spend

    mean, variance = float(index.mean()), float(index.var())
    if not variance:
        return mean
    freedom = 2 * mean**2 / variance
    return mean / freedom * float(stats.chi2.ppf(1 - CHANCE / columns, freedom))


def _splits(days: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Which days are in the first half, shape [SPLITS, days]: for each length of runs, half of the runs of a stratum.

    Days in a row resemble each other, so that halves which share every week are nearer than halves which share none.
    Each stratum is of two runs, or of `STRATUM` days.
    """
    found = []
    for run in RUNS:
        if run > 1 and days // run < LEAST_RUNS:
            break
        runs = -(-days // run)
        order = rng.random((SPLITS, runs))
        first = np.zeros((SPLITS, runs), dtype=np.bool_)
        size = STRATUM if run == 1 else 2
        for start in range(0, runs, size):
            part = order[:, start : start + size]
            first[:, start : start + size] = part < np.median(part, axis=1, keepdims=True)
        found.append(np.repeat(first, run, axis=1)[:, :days])
    return found


def _between(daily: Counts, splits: list[NDArray[np.bool_]], columns: int) -> float:
    """What days differ by: times (1/d + 1/D), the index of d days against D others, as chance exceeds it.

    Rows of one day resemble each other, and so do days in a row: the design effect of cluster samples (Kish, Survey
    Sampling, 1965, chapter 5). Of the lengths of runs, that counts by which halves are furthest apart.
    """
    if len(daily) < 4:
        return 0.0
    return max(_apart(daily, halves, columns) for halves in splits)


def _apart(daily: Counts, halves: NDArray[np.bool_], columns: int) -> float:
    one = halves.astype(np.int64) @ daily
    two = daily.sum(axis=0) - one
    index = np.maximum(contributions(two, one).sum(axis=-1) - noise(two, one), 0.0)
    in_one = halves.sum(axis=1)
    return _far_quantile(index / (1 / in_one + 1 / (len(daily) - in_one)), columns)


def _missing_between(daily: Counts) -> float:
    """The standard deviation of the share missing of days, in terms of that of single rows; 1 where whole days miss it.

    The variance is that of a ratio estimator (Cochran, Sampling Techniques, 1977, chapter 6).
    """
    rows, missing = daily.sum(axis=1), daily[:, MISSING]
    share = missing.sum() / rows.sum()
    if len(daily) < 2 or not 0 < share < 1:
        return 0.0
    residual = missing - share * rows
    return float(np.sqrt((residual**2).sum() / (len(daily) - 1) / (share * (1 - share))) / rows.mean())


def _absent_days(bins: Bins, daily: Counts) -> list[int]:
    """Of each category, or value of few, the longest run of days without any."""
    found = []
    for index in range(FIRST, FIRST + len(bins.categorical)):
        there = np.flatnonzero(daily[:, index])
        gaps = np.diff(np.concatenate([[-1], there, [len(daily)]])) - 1
        found.append(int(gaps.max()))
    return found


def _missing_rise(daily: Counts, span: int) -> float:
    whole, windows = daily.sum(axis=0), windows_of(daily, span)
    rise = windows[:, MISSING] / windows.sum(axis=1) - whole[MISSING] / whole.sum()
    return max(float(rise.max()), 0.0)


def _constant_days(values: NDArray[Any], row_days: NDArray[np.int64]) -> int:
    """The longest run of days on which all known values are the same, days without any counting in."""
    known = np.array([value is not None for value in values]) if values.dtype == object else ~np.isnan(values)
    _, codes = np.unique(values[known], return_inverse=True)
    days = int(row_days.max()) + 1
    lowest, highest = np.full(days, len(codes)), np.full(days, -1)
    np.minimum.at(lowest, row_days[known], codes)
    np.maximum.at(highest, row_days[known], codes)
    longest = run = 0
    held = -1
    for low, high in zip(lowest.tolist(), highest.tolist(), strict=True):
        if high < 0:
            run += 1
        elif low == high:
            run, held = run + 1 if held in (-1, low) else 1, low
        else:
            run, held = 0, -1
        longest = max(longest, run)
    return longest


def _day_hours(event: NDArray[np.int64], row_days: NDArray[np.int64]) -> float:
    """Over how many hours a day's rows are spread at the least, but for one day in twenty."""
    order = np.argsort(row_days, kind="stable")
    parts = np.split(event[order], np.searchsorted(row_days[order], np.arange(1, row_days.max() + 1)))
    return float(np.quantile([effective_hours(part) for part in parts], 0.05))


def rounded(value: float) -> float:
    """A number of a profile in `DIGITS` digits."""
    return float(f"{value:.{DIGITS}g}")
