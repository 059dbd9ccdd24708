"""The verdict on both predictions of all rows.

Equivalent: every row within tolerance. Not worse: RMSE and MAE within their margin by all of their intervals, no
segment shown to lose more than its own, and no figure beyond its limit. What refuses wins over what cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import TARGET
from monitoring.compare.noninferiority import (
    LEAST_DAYS,
    METRICS,
    Segments,
    day_sums,
    differences,
    draw_days,
    interval,
    levels,
    segment_sums,
    simultaneous,
    standing,
)
from monitoring.compare.pairs import Pairs
from monitoring.compare.result import (
    Agreement,
    Cost,
    Day,
    Interval,
    Metric,
    Segment,
    SegmentMetric,
    Verdict,
    WorstRow,
)
from monitoring.compare.settings import CompareSettings

DAY = 86_400
_UNIT = TARGET.unit or "of the target"


@dataclass
class Ruling:
    """What was found against the candidate, and what could not be told; in plain words."""

    refusals: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    praise: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.refusals:
            return "refused"
        return "cannot_tell" if self.unclear else "accepted"

    @property
    def reasons(self) -> list[str]:
        return [*self.refusals, *self.unclear] or self.praise


@dataclass(frozen=True)
class Evidence:
    """What a judgement on errors measured."""

    metrics: list[Metric]
    segments: list[Segment]
    days: list[Day]


def agreement(pairs: Pairs, settings: CompareSettings, worst: list[WorstRow]) -> Agreement | None:
    """How far the two agree; None for no rows."""
    if not len(pairs):
        return None
    distance = np.abs(pairs.delta)
    moved = int((distance > settings.moved_minutes).sum())
    return Agreement(
        rows_differing=int((_bits(pairs.baseline) != _bits(pairs.candidate)).sum()),
        rows_beyond=int((distance > allowed(pairs, settings)).sum()),
        largest=float(distance.max()),
        largest_ulps=_ulps(pairs),
        mean=float(pairs.delta.mean()),
        moved=moved,
        moved_share=moved / len(pairs),
        worst=worst,
    )


def allowed(pairs: Pairs, settings: CompareSettings) -> NDArray[np.float64]:
    """By how much each prediction may differ, shape [n]."""
    return np.asarray(settings.absolute_tolerance + settings.relative_tolerance * np.abs(pairs.baseline))


def judge_equivalence(found: Agreement | None, rows: int, settings: CompareSettings) -> Ruling:
    """Whether every row agrees, on enough rows."""
    ruling = Ruling()
    tolerance = f"{settings.absolute_tolerance:g} {_UNIT} plus {settings.relative_tolerance:g} of the prediction"
    if found is not None and found.rows_beyond:
        ruling.refusals.append(
            f"{found.rows_beyond:,} of {rows:,} predictions differ by more than {tolerance}; the largest difference is "
            f"{found.largest:.6g} {_UNIT}."
        )
    elif rows < settings.min_rows:
        ruling.unclear.append(f"{rows:,} rows agree, and fewer than {settings.min_rows:,} prove nothing.")
    elif found is not None:
        differ = f"{found.rows_differing:,} differ in their last bits" if found.rows_differing else "to the bit"
        ruling.praise.append(f"All {rows:,} predictions agree within {tolerance}: {differ}.")
    return ruling


def judge_errors(pairs: Pairs, settings: CompareSettings) -> tuple[Ruling, Evidence]:
    """Whether the candidate's errors are no worse, overall and by segment."""
    ruling, known = Ruling(), ~np.isnan(pairs.outcome)
    outcomes = int(known.sum())
    if not outcomes:
        ruling.unclear.append("No row has an outcome: there is nothing to judge errors by.")
        return ruling, Evidence([], [], [])
    errors = pairs.baseline[known] - pairs.outcome[known], pairs.candidate[known] - pairs.outcome[known]
    days = pairs.event[known] // DAY
    distinct, sums = day_sums(*errors, days)
    for count, least, what in (
        (outcomes, settings.min_outcomes, "outcomes"),
        (len(distinct), settings.min_days, "days with outcomes"),
    ):
        if count < least:
            ruling.unclear.append(f"There are {count:,} {what}, and fewer than {least:,} are not judged.")
    enough = not ruling.unclear
    drawn = draw_days(len(distinct), settings.resamples, settings.seed)
    metrics = _metrics(sums, drawn, settings)
    for metric in metrics if enough else ():
        _rule_on(metric, settings, ruling)
    masks = _masks(pairs, known)
    by_segment = segment_sums(*errors, days, [mask for _, _, mask in masks])
    segments = _segments([(name, value) for name, value, _ in masks], by_segment, drawn, settings)
    for segment in segments if enough else ():
        if segment.standing == "harmed":
            ruling.refusals.append(_harm(segment))
    return ruling, Evidence(metrics, segments, _days(distinct, sums))


def judge_figures(found: Agreement | None, costs: list[Cost], settings: CompareSettings, ruling: Ruling) -> None:
    """Add a refusal for each figure beyond its limit."""
    limit = settings.max_moved_share
    if found is not None and limit is not None and (found.moved_share or 0) > limit:
        ruling.refusals.append(
            f"{found.moved_share or 0:.1%} of the predictions moved by more than {settings.moved_minutes:g} {_UNIT}, "
            f"and {limit:.1%} may."
        )
    for cost in costs:
        if cost.limit is not None and cost.ratio > cost.limit:
            what = cost.name.replace("_", " ")
            ruling.refusals.append(
                f"{what}: {cost.candidate:,.0f} where the baseline has {cost.baseline:,.0f}, {cost.ratio:.1f} times as "
                f"much, and {cost.limit:g} times is allowed."
            )


def _metrics(sums: Any, drawn: Any, settings: CompareSettings) -> list[Metric]:
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


def _masks(pairs: Pairs, known: NDArray[np.bool_]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    masks = []
    for name, values in pairs.segments.items():
        texts = np.array(["none" if value is None else str(value) for value in values[known]], dtype=object)
        for value in np.unique(texts):
            mask = texts == value
            masks.append((name, str(value), mask))
    return masks


def _segments(names: list[tuple[str, str]], sums: Any, drawn: Any, settings: CompareSettings) -> list[Segment]:
    counts, days = sums[:, :, 0].sum(axis=1), (sums[:, :, 0] > 0).sum(axis=1)
    enough = (counts >= settings.min_segment_outcomes) & (days >= LEAST_DAYS)
    judged = simultaneous(sums[enough], drawn) if enough.any() else None
    places = np.cumsum(enough) - 1
    found = []
    for place, (name, value) in enumerate(names):
        metrics = _segment_metrics(sums[place], judged if enough[place] else None, int(places[place]), settings)
        found.append(
            Segment(
                field=name,
                value=value,
                outcomes=int(counts[place]),
                days=int(days[place]),
                rmse=metrics[0],
                mae=metrics[1],
                standing=_segment_standing(metrics),
            )
        )
    return found


def _segment_metrics(sums: Any, judged: Segments | None, place: int, settings: CompareSettings) -> list[SegmentMetric]:
    total = sums.sum(axis=0)
    ours, delta = levels(total)[0], differences(total)
    bounds: list[Interval | None] = [None, None]
    if judged is not None:
        bounds = [(float(low), float(high)) for low, high in judged.interval[place]]
    return [
        SegmentMetric(
            baseline=float(ours[metric]),
            delta=float(delta[metric]),
            interval=bounds[metric],
            margin=settings.segment_margin * float(ours[metric]),
        )
        for metric in range(len(METRICS))
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


def _days(distinct: NDArray[np.int64], sums: Any) -> list[Day]:
    both = levels(sums)
    return [
        Day(
            day=date(1970, 1, 1) + timedelta(days=int(day)),
            outcomes=int(sums[place, 0]),
            baseline_rmse=float(both[place, 0, 0]),
            candidate_rmse=float(both[place, 1, 0]),
        )
        for place, day in enumerate(distinct)
    ]


def _ulps(pairs: Pairs) -> int:
    """The most float64 that lie between two predictions of a row; from 2**53 on, it says 2**53."""
    apart = np.abs(_bits(pairs.candidate).astype(np.float64) - _bits(pairs.baseline).astype(np.float64)).max()
    if apart >= 2**53:
        return 2**53
    near = pairs.candidate * pairs.baseline >= 0
    return int(np.abs(_bits(pairs.candidate[near]) - _bits(pairs.baseline[near])).max()) if near.any() else int(apart)


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers whose difference counts the float64 between two values (Dawson, Comparing Floating Point Numbers)."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
