"""The page for people: what the template `drift.html` shows.

The first screen has the verdict, the columns that drifted most, the error over time and what to look at first; all
that they rest on follows, and Evidently's own report is folded up at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabular_bento.evaluation.evaluators import metric_title
from tabular_bento.monitoring.drift.checks import LONGEST
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import METRICS, SMALL_KINDS, Column, DriftResult, Errors, Labels
from tabular_bento.monitoring.drift.runs import TONES, trend, window
from tabular_bento.pages import charts, compressed, render
from tabular_bento.pages.classification import confusion_matrix
from tabular_bento.pages.formats import capitalised, decimals, digits, duration
from tabular_bento.pages.histograms import histograms

SHOWN = 3
"""Columns of the first screen."""

FIRST = 3
"""Findings of the first screen."""

ASIDE = 2
"""Bins of a histogram that are no part of its scale: missing values, and those out of range."""


def page(result: DriftResult, plots: str | None, history: Sequence[Entry], missing: Sequence[str] = ()) -> str:
    """The whole page.

    Parameters
    ----------
    result : DriftResult
        The verdict and all that it rests on.
    plots : str, optional
        Evidently's page, None where there is none.
    history : sequence of Entry
        The last windows, this one the last.
    missing : sequence of str
        What the page lacks because the problem does not declare it, see `undeclared`.
    """
    findings = result.findings
    asking = [finding for finding in findings if finding.severity != "note"]
    return render(
        "drift.html",
        result=result,
        tone=TONES[result.verdict],
        alert=_alert(result),
        lead=_lead(result),
        size=_size(result),
        columns_shown=[_shown(column) for column in _most_drifted(result.columns)],
        performance=_performance(result),
        no_performance=_no_performance(result),
        look_first=asking[:FIRST],
        nearest=", ".join(f"{one.name} ({one.excess:.0%} of it)" for one in result.columns[:SHOWN] if one.excess),
        more=max(len(asking) - FIRST, 0),
        asking=asking,
        notes=[finding for finding in findings if finding.severity == "note"],
        columns=[_row(column) for column in result.columns],
        limits=_limits(result),
        title=_title(result),
        digits=digits(_value(result)),
        heads=[head for name in (*_metrics(result), "bias") for head in (metric_title(name), "95 %")],
        errors=_errors(result),
        labels=_labels(result.labels),
        classes=_classes(result.labels),
        ratios=_ratios(result),
        calibration=_calibration(result, history),
        segments=[segment.model_copy(update={"value": segment.value[:LONGEST]}) for segment in result.segments],
        segment_errors=_segment_errors(result),
        trend=trend(history, result.decision.max_drifted_share, result.settings.get("max_error_ratio") or 1.0),
        windows=[window(entry) for entry in history],
        plots=compressed(plots) if plots else None,
        missing=missing,
    )


def _alert(result: DriftResult) -> str:
    alert = result.alert
    if result.verdict != "drift" or alert.of == 1:
        return ""
    counted = f"{alert.drifted} of the last {alert.windows} windows drifted, {alert.after} of {alert.of} alert"
    return f"alert ({counted})" if alert.alert else f"no alert yet ({counted})"


def _lead(result: DriftResult) -> str:
    decision = result.decision
    parts = []
    if small := next((SMALL_KINDS[one.kind] for one in result.findings if one.kind in SMALL_KINDS), None):
        parts.append(f"{small.capitalize()} any column.")
    if decision.features_scored:
        weighed = "features" if any(column.role == "feature" for column in result.columns) else "inputs"
        parts.append(
            f"{decision.features_drifted} of {decision.features_scored} {weighed} drifted "
            f"({decision.drifted_share or 0:.0%} by importance; the limit is {decision.max_drifted_share:.0%})."
        )
        parts.append("The prediction drifted." if decision.prediction_drifted else "The prediction did not drift.")
    if result.labels.model and result.labels.ratio_to_naive_baseline is not None:
        ratio = result.labels.ratio_to_naive_baseline
        value = decimals(result.labels.model.metric(result.metric))
        parts.append(f"{capitalised(_title(result))} {value}, {ratio:.3f} of the naive baseline's.")
    return " ".join(parts)


def _title(result: DriftResult) -> str:
    """What the metric of the result is called."""
    return metric_title(result.metric or "error")


def _value(result: DriftResult) -> float | None:
    """The metric of the model, observed or estimated."""
    measured = result.labels.model or result.estimate
    return measured.metric(result.metric) if measured and result.metric else None


def _size(result: DriftResult) -> str:
    days = result.decision.days
    over = "" if days is None else f" over {days:,.0f} day{'s' if round(days) != 1 else ''}"
    return f"{result.rows.scored:,} rows{over}"


def _limits(result: DriftResult) -> str:
    if all(column.threshold is None for column in result.columns):
        return "No limit applies to this window."
    if result.decision.days is None:
        return f"The limits are those of {_size(result)} drawn at random from the training rows."
    return f"The limits are those of windows of the training rows with {_size(result)}."


def _most_drifted(columns: Sequence[Column]) -> list[Column]:
    drawn = [column for column in columns if column.histogram is not None]
    return sorted(drawn, key=lambda column: not column.drifted)[:SHOWN]


def _shown(column: Column) -> dict[str, Any]:
    """A column of the first screen, with its histogram."""
    found = column.histogram
    assert found is not None
    figure = histograms(
        ["missing", "other" if found.edges is None else "out of range", *found.bins[ASIDE:]],
        found.reference,
        found.window,
        edges=found.edges,
        aside=ASIDE,
        dates=found.dates,
    )
    return {"column": column, "figure": figure}


def _row(column: Column) -> dict[str, Any]:
    """A row of the table of columns; the bins of its sparkline are shares, of missing and unknown values too."""
    found = column.histogram
    if found is None:
        return {"column": column, "reference": [], "window": []}
    shares = {}
    for name, counts in (("reference", found.reference), ("window", found.window)):
        total = sum(counts) or 1
        shares[name] = [count / total for count in counts]
    kept = [i for i in range(len(found.bins)) if i >= ASIDE or max(share[i] for share in shares.values()) > 0]
    return {"column": column, **{name: [share[i] for i in kept] for name, share in shares.items()}}


def _performance(result: DriftResult) -> charts.Figure | None:
    """The error by day or hour, or of the whole window where it has no time; None without labels."""
    points, metric = result.performance, result.metric
    title = _title(result)
    if points:
        intervals = [point.metric_interval(metric) for point in points]
        line = charts.Line(
            "model",
            [point.start.isoformat() for point in points],
            [point.metric(metric) for point in points],
            low=[interval and interval[0] for interval in intervals],
            high=[interval and interval[1] for interval in intervals],
            text=[f"of {point.n:,} rows" for point in points],
        )
        return charts.series([line], band=result.performance_band, band_name="usual in the reference", title=title)
    rows = [
        charts.Interval(name, value, *(errors.metric_interval(metric) or (None, None)))
        for name, errors in _measured(result.labels)
        if (value := errors.metric(metric)) is not None
    ]
    if result.estimate and (value := result.estimate.metric(metric or "")) is not None:
        low, high = result.estimate.metric_interval(metric or "") or (None, None)
        rows.append(charts.Interval("estimate", value, low, high, hollow=True))
    return charts.intervals(rows, title=title) if rows else None


def _no_performance(result: DriftResult) -> str:
    """What the chart of errors lacks, in words."""
    labels = result.labels
    if labels.model is None:
        missing = _labels(labels) if not labels.matched else "No label is due yet."
        return missing + (" Shown is the error estimated without labels." if result.estimate else "")
    if not result.performance:
        return "The rows have no time of their own, so the error is of the whole window."
    return ""


def _measured(labels: Labels) -> list[tuple[str, Errors]]:
    measured = (
        ("model", labels.model),
        ("historical baseline", labels.historical_baseline),
        ("naive baseline", labels.naive_baseline),
    )
    return [(name, errors) for name, errors in measured if errors]


def _errors(result: DriftResult) -> list[dict[str, Any]]:
    """Rows of the table of errors."""
    metrics = _metrics(result)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "guess": False,
            "n": errors.n,
            "cells": [(errors.metric(one), errors.metric_interval(one)) for one in (*metrics, "bias")],
        }
        for name, errors in _measured(result.labels)
    ]
    if estimate := result.estimate:
        cells = [*((estimate.metric(one), estimate.metric_interval(one)) for one in metrics), (None, None)]
        rows.append({"name": "model, estimated without labels", "guess": True, "n": estimate.n, "cells": cells})
    return rows


def _classes(labels: Labels) -> dict[str, Any] | None:
    """Metrics of the classes and their confusion matrix."""
    found = labels.classes
    if found is None:
        return None
    return {
        "n": found.n,
        "rows": [(metric_title(name), found.metric(name), found.metric_interval(name)) for name in found.metrics],
        "matrix": confusion_matrix(found.confusion_matrix, found.classes),
    }


def _metrics(result: DriftResult) -> tuple[str, ...]:
    """The metrics of the model that were observed or estimated."""
    model, estimate = result.labels.model, result.estimate
    if model:
        return model.metrics
    return tuple(name for name in METRICS if estimate and estimate.metric(name) is not None)


def _labels(labels: Labels) -> str:
    maturity = labels.maturity
    if not labels.matched and maturity is None:
        return "No label has come yet, so how old a prediction must be to have one is not known either."
    delay = labels.median_delay_hours
    late = f", {duration(max(delay, 0))} after it (median)" if delay is not None else ""
    parts = [f"{labels.matched:,} predictions have a label, {labels.coverage or 0:.1%} of all{late}."]
    if maturity:
        parts.append(
            f"{maturity.predictions:,} ({maturity.share:.1%}) are due, being older than {duration(maturity.hours)} "
            f"({'as set' if maturity.source == 'setting' else 'within which 95 % of the labels came'}); "
            f"{maturity.coverage or 0:.1%} of those have one."
        )
    if known := labels.interval:
        ends = known.coverage_interval
        ranged = f" ({ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
        parts.append(
            f"{known.coverage:.1%}{ranged} of these are inside of the intervals, of {known.level:.4g} that are to be."
        )
    return " ".join(parts)


def _ratios(result: DriftResult) -> str:
    labels = result.labels
    pairs = (
        ("the naive baseline", labels.ratio_to_naive_baseline, labels.ratio_interval),
        ("the historical baseline", labels.ratio_to_historical_baseline, labels.historical_ratio_interval),
    )
    found = [
        f"{ratio:.3f} {f'({interval[0]:.3f} to {interval[1]:.3f}) ' if interval else ''}of that of {name}"
        for name, ratio, interval in pairs
        if ratio
    ]
    judged = labels.maturity is None or labels.maturity.judged
    if not found:
        return ""
    return f"{capitalised(_title(result))} is {' and '.join(found)}{'' if judged else ': too little to judge'}."


def _calibration(result: DriftResult, history: Sequence[Entry]) -> charts.Figure | None:
    """The error estimated without labels against the observed one, by window; None with fewer than two windows."""
    title = _title(result)
    known = [entry for entry in history if entry.metric == result.metric]
    known = [entry for entry in known if entry.value is not None and entry.estimated is not None]
    if len(known) < 2:
        return None
    return charts.scatter(
        [entry.estimated for entry in known],
        [entry.value for entry in known],
        x_title=f"{title} estimated without labels",
        y_title=f"{title} observed",
        diagonal=True,
        text=[f"{entry.start:%Y-%m-%d}" for entry in known],
        last=known[-1].key == Entry.of(result).key,
    )


def _segment_errors(result: DriftResult) -> charts.Figure | None:
    values = {segment.value[:LONGEST]: segment.metric(result.metric) for segment in result.segments}
    known = [(name, value) for name, value in values.items() if value is not None][:12]
    if not known:
        return None
    return charts.bars([name for name, _ in known], [value for _, value in known], title=_title(result))
