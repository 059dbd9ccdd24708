"""The observed performance: how many labels are due, and the errors of predictions that have one.

Labels come late, and those that come early are not a random part of all. Errors are therefore measured on mature
predictions alone, those as old as nearly all labels take to come.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import Evaluator, evaluator_of
from tabular_bento.evaluation.metrics import ANY, GROUPS, NOT_NEGATIVE, SHARE, Limits, interval_of_blocks
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.evaluation.reference.estimate import Interval
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.result import (
    ClassMetrics,
    Errors,
    IntervalCoverage,
    Labels,
    Maturity,
    PerformancePoint,
)
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import (
    ABSOLUTE,
    CELLS,
    ERROR,
    HISTORICAL,
    INSIDE,
    MODEL,
    NAIVE,
    SQUARE,
    Array,
    Blocks,
    Integers,
    median_hours,
    usual_cell,
)
from tabular_bento.monitoring.window.data import WindowData, event_column
from tabular_bento.monitoring.window.scan import limits
from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import LABEL, TIME, output_column

MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window; rows where they have no event time."""

FEW_DAYS = 3
"""Windows of fewer days are shown by the hour."""

_NOT_MEASURED = dict.fromkeys(
    (
        "model",
        "naive_baseline",
        "historical_baseline",
        "ratio_to_naive_baseline",
        "ratio_interval",
        "ratio_to_historical_baseline",
        "historical_ratio_interval",
        "blocks",
    )
)


def due_from(data: WindowData, settings: DriftSettings) -> int | None:
    """How many of the limits of age a prediction must have passed for its label to be due; None if nobody knows."""
    if settings.maturity_hours is not None:
        return 1
    return usual_cell(data.joined.came, data.blocks.waiting(CELLS)) if data.blocks.matched.any() else None


def measuring(reference: Reference) -> Evaluator | None:
    """What measures the predictions of the reference's model; None where rows name none."""
    return None if reference.declaration is None else evaluator_of(reference.declaration.task)


def summarize(
    data: WindowData, evaluator: Evaluator | None, settings: DriftSettings, level: float | None = None
) -> Labels:
    """How many labels there are, how many are due, and the errors of those; `level` is that of the intervals."""
    joined, blocks, index = data.joined, data.blocks, due_from(data, settings)
    matched, rows = int(blocks.matched.sum()), int(blocks.rows.sum())
    maturity, measured = None, dict[str, Any](_NOT_MEASURED)
    if index is not None and rows:
        mature = blocks.aged(index)
        maturity = _maturity(mature, rows, index, settings)
        if maturity.matched and evaluator:
            measured = _measure(mature, data.dated, evaluator, settings, level)
    return Labels(
        matched=matched,
        coverage=matched / rows if rows else None,
        repeated=joined.repeated,
        contradictory=joined.contradictory,
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        truncated=joined.truncated,
        bad=joined.bad,
        before_prediction=joined.before,
        median_delay_hours=median_hours(joined.came),
        maturity=maturity,
        **measured,
    )


def _maturity(mature: Blocks, rows: int, index: int, settings: DriftSettings) -> Maturity:
    due, matched = int(mature.rows.sum()), int(mature.matched.sum())
    coverage = matched / due if due else None
    return Maturity(
        hours=float(limits(settings.maturity_hours)[index - 1]) if index else 0.0,
        source="observed" if settings.maturity_hours is None else "setting",
        predictions=due,
        share=due / rows,
        matched=matched,
        coverage=coverage,
        judged=matched >= settings.min_labels and coverage is not None and coverage >= settings.min_coverage,
    )


def _measure(
    mature: Blocks, dated: bool, evaluator: Evaluator, settings: DriftSettings, level: float | None
) -> dict[str, Any]:
    kind: Literal["day", "hour", "row"] = "day" if dated else "row"
    counts, sums = mature.matched_by(DAY if dated else HOUR)
    if dated and len(counts) < MIN_BLOCKS:
        kind = "hour"
        counts, sums = mature.matched_by(HOUR)
    ratio, interval = _ratio(sums, NAIVE, evaluator, settings)
    known = not np.isnan(sums[:, NAIVE]).any()
    measured: dict[str, Any] = {
        "model": _errors(counts, sums, MODEL, evaluator, settings),
        "naive_baseline": _errors(counts, sums, NAIVE, evaluator, settings) if known else None,
        "ratio_to_naive_baseline": ratio,
        "ratio_interval": interval,
        "blocks": kind,
        "interval": interval_coverage(counts, sums, level, settings),
    }
    if not mature.historical.any():
        return dict(_NOT_MEASURED) | measured
    ratio, interval = _ratio(sums, HISTORICAL, evaluator, settings)
    return measured | {
        "historical_baseline": _errors(counts, sums, HISTORICAL, evaluator, settings),
        "ratio_to_historical_baseline": ratio,
        "historical_ratio_interval": interval,
    }


def _errors(
    counts: NDArray[np.int64], sums: Array, whose: int, evaluator: Evaluator, settings: DriftSettings
) -> Errors:
    n, (first, second) = int(counts.sum()), evaluator.losses
    losses = sums[:, [whose + SQUARE, whose + ABSOLUTE]]
    value, other = evaluator.level(losses.sum(axis=0) / n)

    def interval(index: int, statistic: Any = np.asarray, limits: Limits = NOT_NEGATIVE) -> Interval | None:
        values = sums[:, whose + index]
        return interval_of_blocks(values, counts, statistic, settings.resamples, settings.seed, limits)

    metrics: dict[str, Any] = {
        first: float(value),
        f"{first}_interval": interval(SQUARE, evaluator.first_level),
        second: float(other),
        f"{second}_interval": interval(ABSOLUTE),
    }
    return Errors(
        n=n, **metrics, bias=float(sums[:, whose + ERROR].sum() / n), bias_interval=interval(ERROR, limits=ANY)
    )


def _ratio(
    sums: Array, whose: int, evaluator: Evaluator, settings: DriftSettings
) -> tuple[float | None, Interval | None]:
    """The ratio of two first metrics with its 95 % interval: both of the same drawn blocks."""
    losses, theirs = sums[:, MODEL + SQUARE], sums[:, whose + SQUARE]
    if np.isnan(theirs).any():
        return None, None
    ratio = float(evaluator.first_level(losses.sum() / theirs.sum())) if theirs.any() else None
    interval = interval_of_blocks(
        losses, theirs, evaluator.first_level, settings.resamples, settings.seed, NOT_NEGATIVE
    )
    return ratio, interval


def series(data: WindowData, evaluator: Evaluator | None, settings: DriftSettings) -> list[PerformancePoint]:
    """The errors of mature predictions by the day, and of a window of fewer than three days by the hour."""
    index = due_from(data, settings)
    if index is None or not data.dated or evaluator is None:
        return []
    mature = data.blocks.aged(index)
    some = mature.matched > 0
    if not some.any():
        return []
    hours, where = np.unique(mature.hour[some], return_inverse=True)
    counts = np.bincount(where, weights=mature.matched[some]).astype(np.int64)
    losses = np.bincount(where, weights=mature.sums[some, MODEL + SQUARE]).astype(np.float64)
    days = hours * HOUR // DAY
    by_hour = days[-1] - days[0] < FEW_DAYS - 1
    starts = np.flatnonzero(np.append(True, np.diff(hours if by_hour else days) > 0))
    points, metric = [], evaluator.losses[0]
    ends = [*starts[1:].tolist(), len(hours)]
    for first, end in zip(starts.tolist(), ends, strict=True):
        n, loss = counts[first:end], losses[first:end]
        second = int(hours[first] * HOUR if by_hour else days[first] * DAY)
        interval = interval_of_blocks(loss, n, evaluator.first_level, settings.resamples, settings.seed, NOT_NEGATIVE)
        measured: dict[str, Any] = {
            metric: float(evaluator.first_level(loss.sum() / n.sum())),
            f"{metric}_interval": interval,
        }
        start = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
        points.append(PerformancePoint(start=start, n=int(n.sum()), **measured))
    return points


def interval_coverage(
    counts: Integers, sums: Array, level: float | None, settings: DriftSettings
) -> IntervalCoverage | None:
    """The coverage of the intervals of a window.

    Parameters
    ----------
    counts : ndarray of shape [b]
        Mature predictions with a label, by block of time.
    sums : ndarray of shape [b, values]
        Sums over them.
    level : float, optional
        How often a label is to be inside; None of a problem without intervals.
    settings : DriftSettings
        Of the bootstrap.
    """
    if level is None or not len(counts) or np.isnan(sums[:, INSIDE]).any():
        return None
    n, inside = int(counts.sum()), sums[:, INSIDE]
    return IntervalCoverage(
        level=level,
        n=n,
        coverage=float(inside.sum() / n),
        coverage_interval=interval_of_blocks(inside, counts, np.asarray, settings.resamples, settings.seed, SHARE),
    )


def class_metrics(
    labels: Labels, data: WindowData, declaration: Declaration | None, settings: DriftSettings
) -> ClassMetrics | None:
    """Ranking, calibration and confusion of the window's sample; None of a task without classes, or without labels.

    The losses need no more than sums, and are of all rows; a ROC AUC needs the probabilities side by side.

    Parameters
    ----------
    labels : Labels
        Which labels are due.
    data : WindowData
        The window.
    declaration : Declaration, optional
        Of the model's problem.
    settings : DriftSettings
        Of the bootstrap.
    """
    if declaration is None or not declaration.task.class_names or labels.model is None or labels.maturity is None:
        return None
    sample, (predicted, probability) = data.sample, declaration.outputs[:2]
    columns = [output_column(name) for name in (*predicted.columns, *probability.columns)]
    if not {LABEL, TIME.name, *columns} <= set(sample.column_names):
        return None
    due = data.now.timestamp() - seconds_of(sample[TIME.name]) >= labels.maturity.hours * HOUR
    shares = np.column_stack([numbers_of(sample[name]) for name in columns[1:]])
    codes = numbers_of(sample[LABEL])
    usable = due & np.isfinite(shares).all(axis=1) & np.isfinite(codes) & sample[columns[0]].is_valid().to_numpy()
    if not usable.any():
        return None
    outputs: dict[str, NDArray[Any]] = {
        predicted.name: _values(sample[columns[0]], predicted.kind)[usable],
        probability.name: shares[usable],
    }
    blocks = _blocks(sample, event_column(declaration), labels.blocks)[usable]
    measured = evaluator_of(declaration.task).measure(outputs, codes[usable], blocks, settings.resamples, settings.seed)
    known = {name: _plain(value) for name, value in measured.to_dict().items() if name in ClassMetrics.model_fields}
    return ClassMetrics(**known)


def _values(column: pa.ChunkedArray, kind: Kind) -> NDArray[Any]:
    return np.array(column.to_pylist(), dtype=object if kind is Kind.TEXT else np.float64)


def _blocks(sample: pa.Table, event: str | None, kind: str | None) -> NDArray[np.int64]:
    """What the bootstrap draws, as of the losses."""
    if event is None or kind == "row":
        return np.arange(sample.num_rows, dtype=np.int64) % GROUPS
    return np.asarray(seconds_of(sample[event]) // (DAY if kind == "day" else HOUR)).astype(np.int64)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
