"""The decision on a candidate: the same model rebuilt, or another one that is not worse.

Equivalent is a candidate of which every prediction is within a tolerance. Not worse is one whose RMSE and MAE are
within their margin by all of their intervals, of which no segment is shown to lose more than its own, and no cost is
beyond its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.noninferiority import (
    LEAST_DAYS,
    METRICS,
    blocks_needed,
    differences,
    draw_days,
    interval,
    levels,
    simultaneous,
    standard_errors,
    status_of,
)
from tabular_bento.monitoring.comparison.predictions import ErrorSums, PairedPredictions
from tabular_bento.monitoring.comparison.result import (
    Agreement,
    Cost,
    Day,
    Decision,
    Metric,
    Needed,
    Segment,
    SegmentMetric,
    WorstRow,
)
from tabular_bento.monitoring.comparison.settings import CompareSettings

Array = NDArray[np.float64]

_UNIT = "of the target"


@dataclass(frozen=True)
class Evidence:
    """What a judgement on errors measured."""

    metrics: list[Metric]
    segments: list[Segment]
    days: list[Day]
    needed: Needed | None


def agreement(paired: PairedPredictions, settings: CompareSettings, worst: list[WorstRow]) -> Agreement | None:
    """How far the two agree; None for no rows."""
    if not len(paired):
        return None
    distance = np.abs(paired.delta)
    allowed = settings.absolute_tolerance + settings.relative_tolerance * np.abs(paired.baseline)
    moved = int((distance > settings.moved_by).sum())
    return Agreement(
        rows_differing=int((_bits(paired.baseline) != _bits(paired.candidate)).sum()),
        rows_beyond=int((distance > allowed).sum()),
        largest=float(distance.max()),
        largest_ulps=_ulps(paired),
        mean=float(paired.delta.mean()),
        moved=moved,
        moved_share=moved / len(paired),
        worst=worst,
    )


def judge_equivalence(found: Agreement | None, rows: int, settings: CompareSettings, unit: str | None) -> Decision:
    """Whether every row agrees, on enough rows; `unit` is that of the target."""
    decision, unit = Decision(), unit or _UNIT
    tolerance = f"{settings.absolute_tolerance:g} {unit} plus {settings.relative_tolerance:g} of the prediction"
    if found is not None and found.rows_beyond:
        decision.refusals.append(
            f"{found.rows_beyond:,} of {rows:,} predictions differ by more than {tolerance}; the largest difference is "
            f"{found.largest:.6g} {unit}."
        )
    elif rows < settings.min_rows:
        decision.unclear.append(f"{rows:,} rows agree, and fewer than {settings.min_rows:,} prove nothing.")
    elif found is not None:
        differ = f"{found.rows_differing:,} differ in their last bits" if found.rows_differing else "to the bit"
        decision.confirmed.append(f"All {rows:,} predictions agree within {tolerance}: {differ}.")
    return decision


def judge_errors(sums: ErrorSums, settings: CompareSettings, unit: str | None) -> tuple[Decision, Evidence]:
    """Whether the candidate's errors are no worse, overall and by segment; `unit` is that of the target."""
    decision, labels, unit = Decision(), int(sums.total[:, 0].sum()), unit or _UNIT
    if not labels:
        decision.unclear.append("No row has a label: there is nothing to judge errors by.")
        return decision, Evidence([], [], [], None)
    drawn = draw_days(len(sums.days), settings.resamples, settings.seed)
    metrics = _metrics(sums.total, drawn, settings)
    segments = _segments(sums, drawn, settings)
    least_labels, least_days = settings.minima
    judged = labels >= least_labels and (not sums.dated or len(sums.days) >= least_days)
    if judged:
        for metric in metrics:
            _decide_on(metric, settings, unit, decision)
        decision.refusals += [_harm(segment, unit) for segment in segments if segment.status == "harmed"]
    missing = None
    if not judged or (decision.unclear and not decision.refusals):
        missing = needed(sums, drawn, metrics, settings)
        decision.unclear.append(_not_enough(sums, labels, missing, settings))
    return decision, Evidence(metrics, segments, _days(sums), missing)


def needed(sums: ErrorSums, drawn: Array, metrics: list[Metric], settings: CompareSettings) -> Needed | None:
    """How much data would decide, at the spread of the differences between blocks; None where nobody can collect it.

    Decided is: a candidate that is as good as the baseline is accepted with probability `power`. Where there is that
    much, and the difference is near the margin, it is what tells on which side of the margin the difference lies.
    """
    labels, blocks = float(sums.total[:, 0].sum()), len(sums.days)
    least_labels, least_days = settings.minima
    wanted = [least_days if sums.dated else 0, math.ceil(least_labels * blocks / labels)]
    errors = standard_errors(sums.total, drawn) if blocks >= 2 else np.empty(0)
    for metric, error in zip(metrics, errors, strict=False):
        found = blocks_needed(float(error), blocks, metric.margin, settings.confidence, settings.power)
        if metric.status == "unclear" and found is not None and found <= blocks:
            distance = abs(metric.margin - metric.delta)
            found = blocks_needed(float(error), blocks, distance, settings.confidence, 0.5)
        if found is None:
            return None
        wanted.append(found)
    most = max(wanted)
    return Needed(labels=math.ceil(most * labels / blocks), days=most if sums.dated else None, power=settings.power)


def _not_enough(sums: ErrorSums, labels: int, missing: Needed | None, settings: CompareSettings) -> str:
    there = f"{labels:,} labels" + (f" over {len(sums.days):,} days" if sums.dated else "")
    if missing is None:
        return f"Not enough data: {there}; at this spread no amount of data decides a margin of {settings.margin:.2g}."
    days = f" over {missing.days:,} days" if missing.days is not None else ""
    return (
        f"Not enough data: {there}; at this spread about {_rounded(missing.labels):,} labels{days} would decide a "
        f"margin of {settings.margin * 100:g} %."
    )


def _rounded(count: int) -> int:
    """To two digits, upwards."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return -(-count // step) * step


def judge_costs(
    found: Agreement | None, costs: list[Cost], settings: CompareSettings, unit: str | None, decision: Decision
) -> None:
    """Add a refusal for each measure beyond its limit."""
    limit = settings.max_moved_share
    if found is not None and limit is not None and found.moved_share > limit:
        decision.refusals.append(
            f"{found.moved_share:.1%} of the predictions moved by more than {settings.moved_by:g} {unit or _UNIT}, "
            f"and {limit:.1%} may."
        )
    for cost in costs:
        if cost.limit is not None and cost.ratio > cost.limit:
            what = cost.name.replace("_", " ")
            decision.refusals.append(
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
                status=status_of(low, high, margin) if enough else "unclear",
            )
        )
    return metrics


def _decide_on(metric: Metric, settings: CompareSettings, unit: str, decision: Decision) -> None:
    low, high = metric.interval or (0.0, 0.0)
    way = "higher" if metric.delta >= 0 else "lower"
    what = (
        f"{metric.name.upper()} is {abs(metric.delta):.3f} {unit} {way} "
        f"({settings.confidence:.0%} interval of the difference {low:+.3f} to {high:+.3f}), and {metric.margin:.3f}, "
        f"{settings.margin:.1%} of {metric.baseline:.2f}, is allowed"
    )
    match metric.status:
        case "worse":
            decision.refusals.append(f"{what}: it is worse.")
        case "unclear":
            decision.unclear.append(f"{what}: too wide to tell.")
        case _:
            decision.confirmed.append(f"{what}: not worse.")


def _segments(sums: ErrorSums, drawn: Array, settings: CompareSettings) -> list[Segment]:
    rows = sums.by_segment[:, :, 0]
    labels, days = rows.sum(axis=1), (rows > 0).sum(axis=1)
    enough = (labels >= settings.min_segment_labels) & (days >= LEAST_DAYS)
    bounds = np.full((len(rows), len(METRICS), 2), np.nan)
    if enough.any():
        bounds[enough] = simultaneous(sums.by_segment[enough], drawn)
    totals = sums.by_segment.sum(axis=1)
    found = []
    for place in np.flatnonzero(labels):
        name, value = sums.segments[place]
        rmse, mae = _segment_metrics(totals[place], bounds[place], settings)
        found.append(
            Segment(
                field=name,
                value=value,
                labels=int(labels[place]),
                days=int(days[place]),
                rmse=rmse,
                mae=mae,
                status=_segment_status([rmse, mae]),
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


def _segment_status(metrics: list[SegmentMetric]) -> Any:
    intervals = [metric.interval for metric in metrics]
    if any(bounds is None for bounds in intervals):
        return "too_few"
    both = [(metric, bounds) for metric, bounds in zip(metrics, intervals, strict=True) if bounds]
    if any(bounds[0] > 0 and metric.delta > metric.margin for metric, bounds in both):
        return "harmed"
    return "held" if all(bounds[1] <= metric.margin for metric, bounds in both) else "unclear"


def _harm(segment: Segment, unit: str) -> str:
    parts = [
        f"{name.upper()} {metric.delta:+.3f} {unit} ({metric.interval[0]:+.3f} to {metric.interval[1]:+.3f}, "
        f"{metric.margin:.3f} is allowed)"
        for name, metric in (("rmse", segment.rmse), ("mae", segment.mae))
        if metric.interval and metric.interval[0] > 0 and metric.delta > metric.margin
    ]
    return f"{segment.field} {segment.value} is worse on its {segment.labels:,} labels: {' and '.join(parts)}."


def _days(sums: ErrorSums) -> list[Day]:
    if not sums.dated:
        return []
    return [
        Day(
            day=date(1970, 1, 1) + timedelta(days=int(day)),
            labels=int(total[0]),
            baseline_rmse=float(both[0, 0]),
            candidate_rmse=float(both[1, 0]),
        )
        for day, total, both in zip(sums.days, sums.total, levels(sums.total), strict=True)
    ]


def _ulps(paired: PairedPredictions) -> int:
    """The most float64 that lie between two predictions of a row; from 2**53 on, it says 2**53."""
    apart = np.abs(_bits(paired.candidate).astype(np.float64) - _bits(paired.baseline).astype(np.float64)).max()
    if apart >= 2**53:
        return 2**53
    near = paired.candidate * paired.baseline >= 0
    between = np.abs(_bits(paired.candidate[near]) - _bits(paired.baseline[near]))
    return int(between.max()) if near.any() else int(apart)


def _bits(values: Array) -> NDArray[np.int64]:
    """Numbers whose difference counts the float64 between two values (Dawson, Comparing Floating Point Numbers)."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
