"""The observed performance: how many labels are due, the errors of predictions that have one, and what they say.

Labels come late, and those that come early are not a random part of all. Errors are therefore measured on mature
predictions alone, those as old as nearly all labels take to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.metrics import interval_of_blocks
from tabular_bento.evaluation.reference.estimate import Interval
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.thresholds import HOUR, RARE
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.checks import note
from tabular_bento.monitoring.drift.result import Errors, Finding, Labels, Maturity, PerformancePoint, Severity
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import (
    ABSOLUTE,
    CELLS,
    ERROR,
    HISTORICAL,
    MODEL,
    NAIVE,
    SQUARE,
    Blocks,
    median_hours,
    usual_cell,
)
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.monitoring.window.scan import limits

Array = NDArray[np.float64]

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


def summarize(data: WindowData, settings: DriftSettings) -> Labels:
    """How many labels there are, how many are due, and the errors of those."""
    joined, blocks, index = data.joined, data.blocks, due_from(data, settings)
    matched, rows = int(blocks.matched.sum()), int(blocks.rows.sum())
    maturity, measured = None, dict[str, Any](_NOT_MEASURED)
    if index is not None and rows:
        mature = blocks.aged(index)
        maturity = _maturity(mature, rows, index, settings)
        if maturity.matched:
            measured = _measure(mature, data.dated, settings)
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


def _measure(mature: Blocks, dated: bool, settings: DriftSettings) -> dict[str, Any]:
    kind: Literal["day", "hour", "row"] = "day" if dated else "row"
    counts, sums = mature.matched_by(DAY if dated else HOUR)
    if dated and len(counts) < MIN_BLOCKS:
        kind = "hour"
        counts, sums = mature.matched_by(HOUR)
    ratio, interval = _ratio(sums, NAIVE, settings)
    measured: dict[str, Any] = {
        "model": _errors(counts, sums, MODEL, settings),
        "naive_baseline": None if np.isnan(sums[:, NAIVE]).any() else _errors(counts, sums, NAIVE, settings),
        "ratio_to_naive_baseline": ratio,
        "ratio_interval": interval,
        "blocks": kind,
    }
    if not mature.historical.any():
        return dict(_NOT_MEASURED) | measured
    ratio, interval = _ratio(sums, HISTORICAL, settings)
    return measured | {
        "historical_baseline": _errors(counts, sums, HISTORICAL, settings),
        "ratio_to_historical_baseline": ratio,
        "historical_ratio_interval": interval,
    }


def _errors(counts: NDArray[np.int64], sums: Array, whose: int, settings: DriftSettings) -> Errors:
    n = int(counts.sum())

    def interval(index: int, statistic: Any = np.asarray) -> Interval | None:
        values = sums[:, whose + index]
        return interval_of_blocks(values, counts, statistic, settings.resamples, settings.seed)

    return Errors(
        n=n,
        rmse=float(np.sqrt(sums[:, whose + SQUARE].sum() / n)),
        rmse_interval=interval(SQUARE, np.sqrt),
        mae=float(sums[:, whose + ABSOLUTE].sum() / n),
        mae_interval=interval(ABSOLUTE),
        bias=float(sums[:, whose + ERROR].sum() / n),
        bias_interval=interval(ERROR),
    )


def _ratio(sums: Array, whose: int, settings: DriftSettings) -> tuple[float | None, Interval | None]:
    """The ratio of two RMSEs with its 95 % interval: both of the same drawn blocks."""
    squares, theirs = sums[:, MODEL + SQUARE], sums[:, whose + SQUARE]
    if np.isnan(theirs).any():
        return None, None
    ratio = float(np.sqrt(squares.sum() / theirs.sum())) if theirs.any() else None
    if len(squares) < 2:
        return ratio, None
    drawn = np.random.default_rng(settings.seed).integers(len(squares), size=(settings.resamples, len(squares)))
    ours, others = squares[drawn].sum(axis=1), theirs[drawn].sum(axis=1)
    if not others.all():
        return ratio, None
    low, high = np.quantile(np.sqrt(ours / others), [0.025, 0.975])
    return ratio, (float(low), float(high))


def series(data: WindowData, settings: DriftSettings) -> list[PerformancePoint]:
    """The errors of mature predictions by the day, and of a window of fewer than three days by the hour."""
    index = due_from(data, settings)
    if index is None or not data.dated:
        return []
    mature = data.blocks.aged(index)
    some = mature.matched > 0
    if not some.any():
        return []
    hours, where = np.unique(mature.hour[some], return_inverse=True)
    counts = np.bincount(where, weights=mature.matched[some]).astype(np.int64)
    squares = np.bincount(where, weights=mature.sums[some, MODEL + SQUARE]).astype(np.float64)
    days = hours * HOUR // DAY
    by_hour = days[-1] - days[0] < FEW_DAYS - 1
    starts = np.flatnonzero(np.append(True, np.diff(hours if by_hour else days) > 0))
    points = []
    ends = [*starts[1:].tolist(), len(hours)]
    for first, end in zip(starts.tolist(), ends, strict=True):
        n, square = counts[first:end], squares[first:end]
        second = int(hours[first] * HOUR if by_hour else days[first] * DAY)
        points.append(
            PerformancePoint(
                start=datetime.fromtimestamp(second, UTC).replace(tzinfo=None),
                n=int(n.sum()),
                rmse=float(np.sqrt(square.sum() / n.sum())),
                rmse_interval=interval_of_blocks(square, n, np.sqrt, settings.resamples, settings.seed),
            )
        )
    return points


def label_findings(labels: Labels, reference: Reference, days: float, settings: DriftSettings) -> Iterator[Finding]:
    """The observed performance where it can be judged, else why it cannot; then what is wrong with the labels."""
    maturity = labels.maturity
    overdue = maturity is not None and maturity.predictions >= settings.min_labels and not maturity.judged
    if maturity and overdue and (maturity.coverage or 0) < settings.min_coverage:
        text = (
            f"{maturity.matched:,} of {maturity.predictions:,} predictions older than {duration(maturity.hours)} have "
            "a label: those that came may not be like the others, so the error is not judged"
        )
        yield _notice("low_coverage", text)
    if not labels.matched:
        yield note("no_labels", "no prediction of the window has a label yet, so its error is not known")
    elif labels.model is None:
        age = duration(maturity.hours) if maturity else "it must be"
        text = (
            f"no prediction that has a label is older than {age}: the first labels "
            "to come are not like the rest, so they are not measured"
        )
        yield note("no_mature_labels", text)
    else:
        yield from _error_findings(labels, labels.model, reference, days, settings)
    yield from _faults(labels)


def _error_findings(
    labels: Labels, model: Errors, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    ratio, interval = labels.ratio_to_naive_baseline, labels.ratio_interval
    if ratio is None:
        return
    ranged = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    text = f"RMSE {model.rmse:.2f} of {model.n:,} labels, {ratio:.3f}{ranged} of the naive baseline's"
    if trained := reference.error.get("ratio_to_naive_baseline"):
        text += f" ({trained:.3f} of the rows it was tested on)"
    limit = max(settings.max_error_ratio, reference.usual_ratio(days))
    if labels.maturity and not labels.maturity.judged:
        yield note("few_labels", f"{text}; {settings.min_labels:,} due labels are needed to judge it")
        return
    if interval and interval[0] > limit:
        yield Finding(
            severity="alarm", kind="observed_performance", column=None, text=f"{text}, of at most {limit:.3g}"
        )
    else:
        yield note("observed_performance_allowed", f"{text}, as is allowed")
    yield from _bias_findings(model, reference, days, settings)
    history = labels.historical_ratio_interval
    if history and history[0] > 1:
        text = (
            f"RMSE is {labels.ratio_to_historical_baseline:.3f} of that of the historical baseline: the look-up table "
            "is better"
        )
        yield _notice("worse_than_history", text)


def band(labels: Labels, reference: Reference, days: float) -> Interval | None:
    """The RMSE of windows like this one of rows that the model had not seen."""
    known = reference.error_spread
    return known.band(labels.model.n, days) if known and labels.model else None


def _bias_findings(model: Errors, reference: Reference, days: float, settings: DriftSettings) -> Iterator[Finding]:
    """Whether predictions are further off to one side than those of windows of unseen rows were.

    The mean of prediction less label is a paired difference: a shift of the labels by a part of their deviation, which
    their distribution hides, is many times the deviation of this mean.
    """
    known = reference.error_spread
    if known is None:
        return
    limit = max(known.bias.limit(model.n, days, RARE), settings.bias_floor * known.rmse)
    off = model.bias - known.bias.mean
    if abs(off) > limit:
        text = (
            f"predictions are {abs(off):.2f} {'above' if off > 0 else 'below'} the labels on average, apart from the "
            f"{known.bias.mean:+.2f} of rows that the model had not seen; windows of {days:.0f} days differ by up to "
            f"{limit:.2f}"
        )
        level: Severity = "alarm" if abs(off) > (1 + settings.strong_drift) * limit else "warning"
        yield Finding(severity=level, kind="bias", column=None, text=text)


def _faults(labels: Labels) -> Iterator[Finding]:
    if labels.before_prediction:
        text = f"time: {labels.before_prediction:,} labels were received before their prediction was made"
        yield _notice("label_before_prediction", text, "time")
    if labels.contradictory:
        text = f"{labels.contradictory:,} predictions have labels that differ; the latest of each counts"
        yield _notice("contradictory_labels", text)
    if labels.unknown:
        yield _notice("unknown_labels", f"{labels.unknown:,} labels are of predictions that the log does not hold")
    if labels.bad:
        yield _notice("bad_labels", f"{labels.bad:,} labels cannot be read and were left out")


def _notice(kind: str, text: str, column: str | None = None) -> Finding:
    return Finding(severity="notice", kind=kind, column=column, text=text)


def duration(hours: float) -> str:
    """Hours in words of the right size."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.1f} seconds"
