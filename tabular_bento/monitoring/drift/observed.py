"""What the observed performance says: whether errors and bias are as they may be, and what is wrong with the labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tabular_bento.evaluation.evaluators import Evaluator, metric_title
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.evaluation.reference.common_shift import CommonShift
from tabular_bento.evaluation.reference.estimate import Interval
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.thresholds import HOUR, RARE
from tabular_bento.monitoring.drift.performance import measuring
from tabular_bento.monitoring.drift.result import Errors, Finding, Labels, Severity
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import ERROR, MODEL
from tabular_bento.monitoring.window.data import WindowData, texts_of
from tabular_bento.monitoring.window.errors import RowErrors, measurable
from tabular_bento.pages.formats import decimals, duration
from tabular_bento.traffic.schema import LABEL, TIME, input_column

RARER = 1e-5
"""How often chance may make a bias of bounded residuals an alarm; of others, days of huge errors make chance larger."""

BAND = 0.05
"""How often the metric of a window of unseen rows is outside of the band."""


SHIFT_ERRORS = 3.3
"""Standard errors by which a shift of all segments may be further off in a window of fewer rows than training had."""


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


def coverage_findings(labels: Labels, settings: DriftSettings) -> Iterator[Finding]:
    """Whether fewer labels are inside of their intervals than these promise, by all of the 95 % interval.

    Days are unlike each other. A window of fewer days than a bootstrap can draw warns, where another one alarms.
    """
    found = labels.interval
    if found is None:
        return
    known = found.coverage_interval
    ranged = f" ({known[0]:.1%} to {known[1]:.1%})" if known else ""
    text = f"{found.coverage:.1%}{ranged} of {found.n:,} labels are inside of the intervals, which are to hold "
    text += f"{found.level:.4g} of them"
    if labels.maturity is None or not labels.maturity.judged:
        text += f"; {settings.min_labels:,} due labels are needed to judge it"
        yield Finding.of("note", "few_labels", text)
    elif known and known[1] < found.level:
        short = labels.blocks == "hour"
        yield Finding.of("warning" if short else "alarm", "interval_coverage", text)
    else:
        yield Finding.of("note", "interval_coverage_allowed", f"{text}, as is allowed")


def band(labels: Labels, reference: Reference, days: float) -> Interval | None:
    """The first metric of windows like this one of rows that the model had not seen."""
    known, evaluator = reference.error_spread, measuring(reference)
    if not known or not labels.model or evaluator is None:
        return None
    mean, off = known.square.mean, known.square.limit(labels.model.n, days, BAND)
    low, high = evaluator.first_level(np.array([max(mean - off, 0.0), mean + off]))
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
        text = (
            f"{_off(off, evaluator)} on average, apart from the "
            f"{decimals(known.bias.mean, sign=True)} of rows that the model had not seen; windows of {days:.0f} days "
            f"differ by up to {decimals(limit)}"
        )
        level: Severity = "alarm" if abs(off) > strong else "warning"
        yield Finding.of(level, "bias", text)


def _off(value: float, evaluator: Evaluator) -> str:
    """By how much predictions are off to one side, in words."""
    what, true = ("predictions", "the labels") if evaluator.in_target_unit else ("probabilities", "shares of labels")
    return f"{what} are {decimals(abs(value))} {'above' if value > 0 else 'below'} {true}"


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
        text = (
            f"{_off(shift, evaluator)} in all segments of {known.by} alike, apart from what the segments "
            f"differ by; windows of {days:.0f} days of training stayed "
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
