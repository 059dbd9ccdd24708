"""The observed performance: how many labels are due, the errors of predictions that have one, and what they say.

Labels come late, and those that come early are not a random part of all. Errors are therefore measured on mature
predictions alone, those as old as nearly all labels take to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import Evaluator, evaluator_of, metric_title
from tabular_bento.evaluation.metrics import interval_of_blocks
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.evaluation.reference.common_shift import CommonShift
from tabular_bento.evaluation.reference.estimate import Interval
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.thresholds import HOUR, RARE
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.coverage import coverage_findings, interval_coverage
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
from tabular_bento.monitoring.window.columns import texts_of
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.monitoring.window.errors import RowErrors, measurable
from tabular_bento.monitoring.window.scan import limits
from tabular_bento.traffic.schema import LABEL, TIME, input_column

Array = NDArray[np.float64]

MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window; rows where they have no event time."""

RARER = 1e-5
"""How often chance may make a bias of bounded residuals an alarm; of others, days of huge errors make chance larger."""

BAND = 0.05
"""How often the metric of a window of unseen rows is outside of the band."""

FEW_DAYS = 3
"""Windows of fewer days are shown by the hour."""

SHIFT_ERRORS = 3.3
"""Standard errors by which a shift of all segments may be further off in a window of fewer rows than training had."""

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


def first_metric(evaluator: Evaluator, means: Any) -> Any:
    """The first metric of means of the first loss, of any shape."""
    both = np.stack([means, np.zeros_like(means)], axis=-1)
    return evaluator.level(both)[..., 0]


def _errors(
    counts: NDArray[np.int64], sums: Array, whose: int, evaluator: Evaluator, settings: DriftSettings
) -> Errors:
    n, (first, second) = int(counts.sum()), evaluator.losses
    losses = sums[:, [whose + SQUARE, whose + ABSOLUTE]]
    value, other = evaluator.level(losses.sum(axis=0) / n)

    def interval(index: int, statistic: Any = np.asarray) -> Interval | None:
        values = sums[:, whose + index]
        return interval_of_blocks(values, counts, statistic, settings.resamples, settings.seed)

    metrics: dict[str, Any] = {
        first: float(value),
        f"{first}_interval": interval(SQUARE, partial(first_metric, evaluator)),
        second: float(other),
        f"{second}_interval": interval(ABSOLUTE),
    }
    return Errors(n=n, **metrics, bias=float(sums[:, whose + ERROR].sum() / n), bias_interval=interval(ERROR))


def _ratio(
    sums: Array, whose: int, evaluator: Evaluator, settings: DriftSettings
) -> tuple[float | None, Interval | None]:
    """The ratio of two first metrics with its 95 % interval: both of the same drawn blocks."""
    losses, theirs = sums[:, MODEL + SQUARE], sums[:, whose + SQUARE]
    if np.isnan(theirs).any():
        return None, None
    ratio = float(first_metric(evaluator, losses.sum() / theirs.sum())) if theirs.any() else None
    if len(losses) < 2:
        return ratio, None
    drawn = np.random.default_rng(settings.seed).integers(len(losses), size=(settings.resamples, len(losses)))
    ours, others = losses[drawn].sum(axis=1), theirs[drawn].sum(axis=1)
    if not others.all():
        return ratio, None
    low, high = np.quantile(first_metric(evaluator, ours / others), [0.025, 0.975])
    return ratio, (float(low), float(high))


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
    level = partial(first_metric, evaluator)
    ends = [*starts[1:].tolist(), len(hours)]
    for first, end in zip(starts.tolist(), ends, strict=True):
        n, loss = counts[first:end], losses[first:end]
        second = int(hours[first] * HOUR if by_hour else days[first] * DAY)
        measured: dict[str, Any] = {
            metric: float(level(loss.sum() / n.sum())),
            f"{metric}_interval": interval_of_blocks(loss, n, level, settings.resamples, settings.seed),
        }
        start = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
        points.append(PerformancePoint(start=start, n=int(n.sum()), **measured))
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
        yield Finding.of("notice", "low_coverage", text)
    if not labels.matched:
        yield Finding.of("note", "no_labels", "no prediction of the window has a label yet, so its error is not known")
    elif labels.model is None:
        age = duration(maturity.hours) if maturity else "it must be"
        text = (
            f"no prediction that has a label is older than {age}: the first labels "
            "to come are not like the rest, so they are not measured"
        )
        yield Finding.of("note", "no_mature_labels", text)
    elif evaluator := measuring(reference):
        yield from _error_findings(labels, labels.model, evaluator, reference, days, settings)
        yield from coverage_findings(labels, settings)
    yield from _faults(labels)


def _error_findings(
    labels: Labels,
    model: Errors,
    evaluator: Evaluator,
    reference: Reference,
    days: float,
    settings: DriftSettings,
) -> Iterator[Finding]:
    ratio, interval = labels.ratio_to_naive_baseline, labels.ratio_interval
    if ratio is None:
        return
    title = metric_title(evaluator.losses[0])
    ranged = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    text = f"{title} {decimals(model.metric(evaluator.losses[0]))} of {model.n:,} labels, "
    text += f"{ratio:.3f}{ranged} of the naive baseline's"
    if trained := reference.error.get("ratio_to_naive_baseline"):
        text += f" ({trained:.3f} of the rows it was tested on)"
    limit = max(settings.max_error_ratio, reference.usual_ratio(days))
    if labels.maturity and not labels.maturity.judged:
        yield Finding.of("note", "few_labels", f"{text}; {settings.min_labels:,} due labels are needed to judge it")
        return
    if interval and interval[0] > limit:
        yield Finding.of("alarm", "observed_performance", f"{text}, of at most {limit:.3g}")
    else:
        yield Finding.of("note", "observed_performance_allowed", f"{text}, as is allowed")
    yield from _bias_findings(model, evaluator, reference, days, settings)
    history = labels.historical_ratio_interval
    if history and history[0] > 1:
        text = (
            f"{title} is {labels.ratio_to_historical_baseline:.3f} of that of the historical baseline: the look-up "
            "table is better"
        )
        yield Finding.of("notice", "worse_than_history", text)


def decimals(value: float | None, *, sign: bool = False) -> str:
    """A metric in two decimals, or in three digits where it is small."""
    if value is None:
        return "unknown"
    small = 0 < abs(value) < 1
    return format(value, ("+" if sign else "") + (".3g" if small else ".2f"))


def band(labels: Labels, reference: Reference, days: float) -> Interval | None:
    """The first metric of windows like this one of rows that the model had not seen."""
    known, evaluator = reference.error_spread, measuring(reference)
    if not known or not labels.model or evaluator is None:
        return None
    mean, off = known.square.mean, known.square.limit(labels.model.n, days, BAND)
    low, high = first_metric(evaluator, np.array([max(mean - off, 0.0), mean + off]))
    return float(low), float(high)


def _bias_findings(
    model: Errors, evaluator: Evaluator, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    """Whether predictions are further off to one side than those of windows of unseen rows were.

    The mean of prediction less label is a paired difference: a shift of the labels by a part of their deviation, which
    their distribution hides, is many times the deviation of this mean.
    """
    known = reference.error_spread
    if known is None:
        return
    floor = settings.bias_floor * evaluator.bias_scale(known.bias, known.square)
    limit = max(known.bias.limit(model.n, days, RARE), floor)
    strong = (1 + settings.strong_drift) * limit
    if evaluator.has_bounded_residuals:
        strong = min(strong, max(known.bias.limit(model.n, days, RARER), floor))
    off = model.bias - known.bias.mean
    if abs(off) > limit:
        what, true = _compared(evaluator)
        text = (
            f"{what} are {decimals(abs(off))} {'above' if off > 0 else 'below'} {true} on average, apart from the "
            f"{decimals(known.bias.mean, sign=True)} of rows that the model had not seen; windows of {days:.0f} days "
            f"differ by up to {decimals(limit)}"
        )
        level: Severity = "alarm" if abs(off) > strong else "warning"
        yield Finding.of(level, "bias", text)


def _compared(evaluator: Evaluator) -> tuple[str, str]:
    return ("predictions", "the labels") if evaluator.in_target_unit else ("probabilities", "shares of labels")


def shift_findings(
    labels: Labels, data: WindowData, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    """Whether all segments are off by the same, further than windows of training were; of the window's sample."""
    known, errors, evaluator = CommonShift.from_profile(reference.error), RowErrors.of(reference), measuring(reference)
    if known is None or evaluator is None or not (labels.maturity and labels.maturity.judged):
        return
    segment, sample = input_column(known.by), data.sample
    if not {segment, LABEL, TIME.name, *errors.required} <= set(sample.column_names):
        return
    missing = np.full(sample.num_rows, np.nan)
    columns = {name: numbers_of(sample[name]) if name in sample.column_names else missing for name in errors.columns}
    off = errors.row_values(columns, numbers_of(sample[LABEL])).values[MODEL + ERROR]
    due = data.now.timestamp() - seconds_of(sample[TIME.name]) >= labels.maturity.hours * HOUR
    usable = due & np.all([measurable(columns[name]) for name in errors.required], axis=0)
    found = known.measure(np.where(usable, off, np.nan), np.array(texts_of(sample[segment]).to_pylist(), dtype=object))
    if found is None:
        return
    shift, rows = found
    limit = known.limit(rows, days, SHIFT_ERRORS)
    if spread := reference.error_spread:
        limit = max(limit, settings.bias_floor * evaluator.bias_scale(spread.bias, spread.square))
    if abs(shift) > limit:
        what, true = _compared(evaluator)
        text = (
            f"{what} are {decimals(abs(shift))} {'above' if shift > 0 else 'below'} {true} in all segments of "
            f"{known.by} alike, apart from what the segments differ by; windows of {days:.0f} days of training stayed "
            f"within {decimals(limit)}"
        )
        yield Finding.of("warning", "common_shift", text)


def _faults(labels: Labels) -> Iterator[Finding]:
    if labels.before_prediction:
        text = f"time: {labels.before_prediction:,} labels were received before their prediction was made"
        yield Finding.of("notice", "label_before_prediction", text, "time")
    if labels.contradictory:
        text = f"{labels.contradictory:,} predictions have labels that differ; the latest of each counts"
        yield Finding.of("notice", "contradictory_labels", text)
    if labels.unknown:
        yield Finding.of(
            "notice", "unknown_labels", f"{labels.unknown:,} labels are of predictions that the log does not hold"
        )
    if labels.bad:
        yield Finding.of("notice", "bad_labels", f"{labels.bad:,} labels cannot be read and were left out")


def duration(hours: float) -> str:
    """Hours in words of the right size."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.1f} seconds"
