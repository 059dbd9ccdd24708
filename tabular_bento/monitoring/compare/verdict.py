"""The verdict on a candidate that is another model: not worse.

RMSE and MAE within their margin by all of their intervals, no segment shown to lose more than its own, and no figure
beyond its limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from features.definition import TARGET
from tabular_bento.evaluation.noninferiority import (
    LEAST_DAYS,
    METRICS,
    Array,
    differences,
    draw_days,
    interval,
    levels,
    simultaneous,
    standing,
)
from tabular_bento.monitoring.compare.result import Agreement, Cost, Day, Metric, Segment, SegmentMetric
from tabular_bento.monitoring.compare.ruling import Ruling
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.compare.sums import ErrorSums

_UNIT = TARGET.unit or "of the target"


@dataclass(frozen=True)
class Evidence:
    """What a judgement on errors measured."""

    metrics: list[Metric]
    segments: list[Segment]
    days: list[Day]


def judge_errors(sums: ErrorSums, settings: CompareSettings) -> tuple[Ruling, Evidence]:
    """Whether the candidate's errors are no worse, overall and by segment."""
    ruling, outcomes = Ruling(), int(sums.total[:, 0].sum())
    if not outcomes:
        ruling.unclear.append("No row has an outcome: there is nothing to judge errors by.")
        return ruling, Evidence([], [], [])
    for count, least, what in (
        (outcomes, settings.min_outcomes, "outcomes"),
        (len(sums.days), settings.min_days, "days with outcomes"),
    ):
        if count < least:
            ruling.unclear.append(f"There are {count:,} {what}, and fewer than {least:,} are not judged.")
    enough = not ruling.unclear
    drawn = draw_days(len(sums.days), settings.resamples, settings.seed)
    metrics = _metrics(sums.total, drawn, settings)
    segments = _segments(sums, drawn, settings)
    if enough:
        for metric in metrics:
            _rule_on(metric, settings, ruling)
        ruling.refusals += [_harm(segment) for segment in segments if segment.standing == "harmed"]
    return ruling, Evidence(metrics, segments, _days(sums))


def judge_figures(found: Agreement | None, costs: list[Cost], settings: CompareSettings, ruling: Ruling) -> None:
    """Add a refusal for each figure beyond its limit."""
    limit = settings.max_moved_share
    if found is not None and limit is not None and found.moved_share > limit:
        ruling.refusals.append(
            f"{found.moved_share:.1%} of the predictions moved by more than {settings.moved_minutes:g} {_UNIT}, "
            f"and {limit:.1%} may."
        )
    for cost in costs:
        if cost.limit is not None and cost.ratio > cost.limit:
            what = cost.name.replace("_", " ")
            ruling.refusals.append(
                f"{what}: {cost.candidate:,.0f} where the baseline has {cost.baseline:,.0f}, {cost.ratio:.1f} times as "
                f"much, and {cost.limit:g} times is allowed."
            )


def _metrics(sums: Array, drawn: Array, settings: CompareSettings) -> list[Metric]:
    total = sums.sum(axis=0)
    (ours, theirs), delta = levels(total), differences(total)
    enough = len(sums) >= 2
    bounds = interval(sums, drawn, settings.confidence) if enough else np.full((2, 2), np.nan)
    metrics = []
    for place, name in enumerate(METRICS):
        low, high = (float(bound) for bound in bounds[place])
        margin = settings.margin * float(ours[place])
        metrics.append(
            Metric(
                name=name,
                baseline=float(ours[place]),
                candidate=float(theirs[place]),
                delta=float(delta[place]),
                interval=(low, high) if enough else None,
                margin=margin,
                standing=standing(low, high, margin) if enough else "unclear",
            )
        )
    return metrics


def _rule_on(metric: Metric, settings: CompareSettings, ruling: Ruling) -> None:
    low, high = metric.interval or (0.0, 0.0)
    way = "higher" if metric.delta >= 0 else "lower"
    what = (
        f"{metric.name.upper()} is {abs(metric.delta):.3f} {_UNIT} {way} "
        f"({settings.confidence:.0%} interval of the difference {low:+.3f} to {high:+.3f}), and {metric.margin:.3f}, "
        f"{settings.margin:.1%} of {metric.baseline:.2f}, is allowed"
    )
    match metric.standing:
        case "worse":
            ruling.refusals.append(f"{what}: it is worse.")
        case "unclear":
            ruling.unclear.append(f"{what}: too wide to tell; more days of outcomes narrow it.")
        case _:
            ruling.praise.append(f"{what}: not worse.")


def _segments(sums: ErrorSums, drawn: Array, settings: CompareSettings) -> list[Segment]:
    rows = sums.by_segment[:, :, 0]
    outcomes, days = rows.sum(axis=1), (rows > 0).sum(axis=1)
    enough = (outcomes >= settings.min_segment_outcomes) & (days >= LEAST_DAYS)
    bounds = np.full((len(rows), len(METRICS), 2), np.nan)
    if enough.any():
        bounds[enough] = simultaneous(sums.by_segment[enough], drawn)
    totals = sums.by_segment.sum(axis=1)
    found = []
    for place in np.flatnonzero(outcomes):
        name, value = sums.segments[place]
        rmse, mae = _segment_metrics(totals[place], bounds[place], settings)
        found.append(
            Segment(
                field=name,
                value=value,
                outcomes=int(outcomes[place]),
                days=int(days[place]),
                rmse=rmse,
                mae=mae,
                standing=_segment_standing([rmse, mae]),
            )
        )
    return found


def _segment_metrics(total: Array, bounds: Array, settings: CompareSettings) -> list[SegmentMetric]:
    return [
        SegmentMetric(
            baseline=float(ours),
            delta=float(delta),
            interval=None if np.isnan(low) else (float(low), float(high)),
            margin=settings.segment_margin * float(ours),
        )
        for ours, delta, (low, high) in zip(levels(total)[0], differences(total), bounds, strict=True)
    ]


def _segment_standing(metrics: list[SegmentMetric]) -> Any:
    intervals = [metric.interval for metric in metrics]
    if any(bounds is None for bounds in intervals):
        return "too_few"
    pairs = [(metric, bounds) for metric, bounds in zip(metrics, intervals, strict=True) if bounds]
    if any(bounds[0] > 0 and metric.delta > metric.margin for metric, bounds in pairs):
        return "harmed"
    return "held" if all(bounds[1] <= metric.margin for metric, bounds in pairs) else "unclear"


def _harm(segment: Segment) -> str:
    parts = [
        f"{name.upper()} {metric.delta:+.3f} {_UNIT} ({metric.interval[0]:+.3f} to {metric.interval[1]:+.3f}, "
        f"{metric.margin:.3f} is allowed)"
        for name, metric in (("rmse", segment.rmse), ("mae", segment.mae))
        if metric.interval and metric.interval[0] > 0 and metric.delta > metric.margin
    ]
    return f"{segment.field} {segment.value} is worse on its {segment.outcomes:,} outcomes: {' and '.join(parts)}."


def _days(sums: ErrorSums) -> list[Day]:
    return [
        Day(
            day=date(1970, 1, 1) + timedelta(days=int(day)),
            outcomes=int(total[0]),
            baseline_rmse=float(both[0, 0]),
            candidate_rmse=float(both[1, 0]),
        )
        for day, total, both in zip(sums.days, sums.total, levels(sums.total), strict=True)
    ]
