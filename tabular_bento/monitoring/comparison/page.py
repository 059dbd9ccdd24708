"""The page for people, `compare.html`: the decision, the interval that it rests on, then who pays and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from tabular_bento.evaluation.evaluators import metric_title
from tabular_bento.monitoring.comparison.decision import decimals
from tabular_bento.monitoring.comparison.predictions import PairedPredictions
from tabular_bento.monitoring.comparison.result import (
    ComparedModel,
    CompareResult,
    Mode,
    Segment,
    SegmentMetric,
    Verdict,
)
from tabular_bento.pages import charts, render

_DECISIONS: dict[tuple[Mode, Verdict], tuple[str, str]] = {
    ("equivalent", "accepted"): ("Equivalent.", "{candidate} predicts what {baseline} predicts."),
    ("equivalent", "refused"): ("Not equivalent.", "{candidate} predicts otherwise than {baseline}."),
    ("equivalent", "cannot_tell"): ("Cannot tell", "whether {candidate} predicts what {baseline} predicts."),
    ("not_worse", "accepted"): ("Accepted.", "{candidate} is not worse than {baseline}."),
    ("not_worse", "refused"): ("Refused.", "{candidate} may not replace {baseline}."),
    ("not_worse", "cannot_tell"): ("Cannot tell", "whether {candidate} is worse than {baseline}."),
}
_TONES: dict[Verdict, str] = {"accepted": "good", "refused": "alarm", "cannot_tell": "warning"}
_STATUS = {
    "not_worse": ("good", "not worse"),
    "held": ("good", "within its margin"),
    "worse": ("alarm", "worse"),
    "harmed": ("alarm", "loses too much"),
    "unclear": ("warning", "not decided"),
    "too_few": ("neutral", "too few to judge"),
}
_COSTS = {
    "one_row_microseconds": ("Time of one row", 1e3, "ms"),
    "thousand_rows_microseconds": ("Time of a thousand rows", 1e3, "ms"),
    "package_bytes": ("Size of the package", 1e6, "MB"),
}
_POINTS = 3_000
"""Rows of the scatter plot, evenly over all."""

_SEGMENTS = 45
"""Rows of the forest plot of segments; the table has all."""

_FEW_ULPS = 1_000_000

_FAR = 0.1
"""Of a probability, how far is shown as far."""


def page(result: CompareResult, paired: PairedPredictions) -> str:
    """The whole page; without rows, when nothing was compared, the decision alone."""
    decision, text = _DECISIONS[result.mode, result.verdict]
    daily, change = _daily(result)
    named = {"candidate": result.candidate.name, "baseline": result.baseline.name}
    return render(
        "compare.html",
        result=result,
        tone=_TONES[result.verdict],
        decision=decision,
        message=text.format(**named),
        what=_what(result),
        unit=f" {result.unit}" if result.unit else "",
        statuses=_STATUS,
        titles={metric.name: metric_title(metric.name) for metric in result.metrics},
        title=metric_title(result.metric),
        digits=max((decimals(metric.margin) for metric in result.metrics), default=3),
        metrics=_metrics(result),
        points=_scatter(result, paired),
        moves=_moves(result, paired),
        segments=_segments(result),
        segment_order=_ordered(result.segments),
        daily=daily,
        daily_change=change,
        costs=[_cost(cost) for cost in result.costs],
        worst=_worst(result),
        ulps=_ulps(result),
        models=[(role, _model(model), model) for role, model in _models(result)],
    )


def _models(result: CompareResult) -> tuple[tuple[str, ComparedModel], ...]:
    return ("baseline", result.baseline), ("candidate", result.candidate)


def _model(model: ComparedModel) -> str:
    return model.name if model.model in (None, model.name) else f"{model.name} ({model.model})"


def _what(result: CompareResult) -> str:
    rows, source = result.rows, result.source
    when = f", {source.first:%Y-%m-%d} to {source.last:%Y-%m-%d}" if source.first and source.last else ""
    days = f" over {rows.days:,} days" if source.first else ""
    return f"{rows.compared:,} rows, {rows.labels:,} of them with a label{days}; {source.where}{when}."


def _metrics(result: CompareResult) -> charts.Figure | None:
    """Both differences as shares of the baseline's metric, with their intervals and margins; a ring is not decided."""
    rows = [
        charts.Interval(
            f"{metric_title(metric.name)} {metric.delta / metric.baseline:+.2%}",
            metric.delta / metric.baseline,
            metric.interval[0] / metric.baseline,
            metric.interval[1] / metric.baseline,
            metric.margin / metric.baseline,
            metric.status == "unclear",
        )
        for metric in result.metrics
        if metric.interval and metric.baseline
    ]
    return _forest(rows, "share of the baseline's; right of 0 is worse") if rows else None


def _segments(result: CompareResult) -> charts.Figure | None:
    """The same of the first metric of each segment that is judged."""
    rows = []
    for part in _ordered(result.segments):
        metric = part.metric(result.metric)
        if metric.interval and metric.baseline:
            rows.append(
                charts.Interval(
                    f"{part.field} {part.value}" + (" (loses)" if part.status == "harmed" else ""),
                    metric.delta / metric.baseline,
                    *_clipped(metric),
                    metric.margin / metric.baseline,
                    part.status == "unclear",
                )
            )
    title = f"{metric_title(result.metric)}, share of the baseline's; right of 0 is worse"
    return _forest(rows[:_SEGMENTS], title) if rows else None


def _forest(rows: list[charts.Interval], title: str) -> charts.Figure:
    figure = charts.intervals(rows, title, zero=0.0)
    figure["layout"]["xaxis"]["tickformat"] = "+.1~%"
    return figure


def _clipped(metric: SegmentMetric) -> tuple[float, float]:
    """An interval as shares; the end of a very wide one is cut, so that the others can be seen."""
    low, high = metric.interval or (0.0, 0.0)
    reach = 10 * metric.margin
    return max(low, metric.delta - reach) / metric.baseline, min(high, metric.delta + reach) / metric.baseline


def _ordered(segments: list[Segment]) -> list[Segment]:
    """By field in the order declared, those that lose first, then the largest."""
    fields = list(dict.fromkeys(part.field for part in segments))
    return sorted(segments, key=lambda part: (fields.index(part.field), part.status != "harmed", -part.labels))


def _scatter(result: CompareResult, paired: PairedPredictions) -> charts.Figure | None:
    if not len(paired):
        return None
    places = np.unique(np.linspace(0, len(paired) - 1, _POINTS).astype(np.int64))
    unit = f", {result.unit}" if result.unit else ""
    found = paired.distance
    return charts.scatter(
        [float(f"{value:.6g}") for value in found.before[places]],
        [float(f"{value:.6g}") for value in found.after[places]],
        f"baseline{unit}",
        f"candidate{unit}",
        diagonal=True,
    )


def _moves(result: CompareResult, paired: PairedPredictions) -> charts.Figure | None:
    """Shares of the predictions by how far they moved, around what counts as moved."""
    if not len(paired):
        return None
    found = paired.distance
    by = float(result.settings["moved_by"]) if found.classes is None else _FAR
    unit = f" {result.unit}" if result.unit else ""
    edges = [0.0, *(by * share for share in (0.05, 0.2, 0.4, 1.0, 2.0)), np.inf]
    distance = np.abs(found.delta)
    moved = distance > 0
    names, shares = ["to the bit"], [float(np.mean(~moved))]
    for low, high in pairwise(edges):
        names.append(f"{low:g} to {high:g}{unit}" if np.isfinite(high) else f"more than {low:g}{unit}")
        shares.append(float(np.mean(moved & (distance > low) & (distance <= high))))
    return charts.bars(names, shares, "share of the predictions", percent=True)


def _daily(result: CompareResult) -> tuple[charts.Figure | None, charts.Figure | None]:
    """The metric of both by the day; and the difference, which two lines that lie near together do not show."""
    if len(result.days) < 2:
        return None, None
    days = [f"{day.day:%Y-%m-%d}" for day in result.days]
    labels = [f"({day.labels:,} labels)" for day in result.days]
    before, after = zip(*(day.values(result.metric) for day in result.days), strict=True)
    lines = [
        charts.Line("baseline", days, list(before), colour=charts.REFERENCE, dash="dash"),
        charts.Line("candidate", days, list(after), text=labels),
    ]
    title, change = metric_title(result.metric), [b - a for a, b in zip(before, after, strict=True)]
    figure = charts.series([charts.Line("difference", days, change)], title="difference")
    figure["layout"]["yaxis"] |= {"zeroline": True, "tickformat": "+~g"}
    return charts.series(lines, title=f"{title}, {result.unit}" if result.unit else title), figure


def _cost(cost: Any) -> dict[str, Any]:
    name, size, unit = _COSTS[cost.name]
    beyond = cost.limit is not None and cost.ratio > cost.limit
    return {
        "name": name,
        "baseline": f"{cost.baseline / size:,.2f} {unit}",
        "candidate": f"{cost.candidate / size:,.2f} {unit}",
        "ratio": cost.ratio,
        "limit": cost.limit,
        "tone": "neutral" if cost.limit is None else "alarm" if beyond else "good",
        "said": "no limit" if cost.limit is None else "beyond the limit" if beyond else "within the limit",
    }


def _worst(result: CompareResult) -> list[dict[str, Any]]:
    if result.agreement is None:
        return []
    return [
        {"of": worst, "fields": _plain(worst.fields), "features": _plain(worst.features or {})}
        for worst in result.agreement.worst
    ]


def _ulps(result: CompareResult) -> int | None:
    """Units in the last place, which say something where there are few of them."""
    few = result.agreement is not None and 0 < result.agreement.largest_ulps < _FEW_ULPS
    return result.agreement.largest_ulps if few and result.agreement else None


def _plain(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
