"""The decision on a candidate: the same model rebuilt, or another one that is not worse.

Equivalent is a candidate of which every prediction is within a tolerance. Not worse is one whose metrics are within
their margins by all of their intervals, of which no segment is shown to lose more than its own, and no cost is beyond
its limit. The metrics are the means of the two losses of the task's evaluator: RMSE and MAE, or log loss and Brier
score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import MetricError
from tabular_bento.evaluation.evaluators import Evaluator, metric_title
from tabular_bento.evaluation.metrics import draw_blocks
from tabular_bento.evaluation.noninferiority import (
    LEAST_DAYS,
    blocks_needed,
    differences,
    interval,
    levels,
    simultaneous,
    standard_errors,
    status_of,
)
from tabular_bento.monitoring.comparison.predictions import LossSums, PairedPredictions
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
from tabular_bento.pages.formats import title

Array = NDArray[np.float64]


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
    found = paired.distance
    distance, elsewhere = np.abs(found.candidate - found.baseline), found.classes
    allowed = settings.absolute_tolerance + settings.relative_tolerance * np.abs(found.baseline)
    bits, beyond = (_bits(found.baseline) != _bits(found.candidate)).any(axis=1), (distance > allowed).any(axis=1)
    if elsewhere is None:
        moved = int((distance > settings.moved_by).any(axis=1).sum())
    else:
        bits, beyond, moved = bits | elsewhere, beyond | elsewhere, int(elsewhere.sum())
    return Agreement(
        rows_differing=int(bits.sum()),
        rows_beyond=int(beyond.sum()),
        classes_differing=None if elsewhere is None else moved,
        largest=float(distance.max()),
        largest_ulps=_ulps(found.baseline, found.candidate),
        mean=float(found.delta.mean()),
        moved=moved,
        moved_share=moved / len(paired),
        worst=worst,
    )


def judge_equivalence(found: Agreement | None, rows: int, settings: CompareSettings, unit: str) -> Decision:
    """Whether every row agrees, on enough rows; `unit` is that of a prediction, empty where none is declared."""
    decision, unit = Decision(), _after_a_number(unit)
    tolerance = f"{settings.absolute_tolerance:g}{unit} plus {settings.relative_tolerance:g} of the prediction"
    if found is not None and found.rows_beyond:
        classes = f", {found.classes_differing:,} of them in the predicted class" if found.classes_differing else ""
        decision.refusals.append(
            f"{found.rows_beyond:,} of {rows:,} predictions differ by more than {tolerance}{classes}; the largest "
            f"difference is {found.largest:.6g}{unit}."
        )
    elif rows < settings.min_rows:
        decision.unclear.append(f"{rows:,} rows agree, and fewer than {settings.min_rows:,} prove nothing.")
    elif found is not None:
        differ = f"{found.rows_differing:,} differ in their last bits" if found.rows_differing else "to the bit"
        decision.confirmed.append(f"All {rows:,} predictions agree within {tolerance}: {differ}.")
    return decision


def decisive_metrics(evaluator: Evaluator, settings: CompareSettings) -> tuple[str, ...]:
    """The metrics that the verdict rests on.

    Raises
    ------
    MetricError
        Where the settings name a metric that the task does not have.
    """
    if settings.metric is None:
        return evaluator.losses
    if settings.metric not in evaluator.losses:
        known = " or ".join(repr(name) for name in evaluator.losses)
        raise MetricError(f"metric: {settings.metric!r} is not compared for this task; name {known}.")
    return (settings.metric,)


def judge_losses(sums: LossSums, settings: CompareSettings, unit: str | None) -> tuple[Decision, Evidence]:
    """Whether the candidate is no worse, overall and by segment; `unit` is that of the target.

    Raises
    ------
    MetricError
        As of `decisive_metrics`.
    """
    decision, labels, evaluator = Decision(), int(sums.total[:, 0].sum()), sums.evaluator
    decisive = decisive_metrics(evaluator, settings)
    if not labels:
        decision.unclear.append("No row has a label: there is nothing to judge errors by.")
        return decision, Evidence([], [], [], None)
    drawn = draw_blocks(len(sums.days), settings.resamples, settings.seed)
    metrics = _metrics(sums, drawn, decisive, settings)
    segments = _segments(sums, drawn, decisive, settings)
    least_labels, least_days = settings.minima
    judged = labels >= least_labels and (not sums.dated or len(sums.days) >= least_days)
    if judged:
        for metric in metrics:
            if metric.decides:
                _decide_on(metric, settings, _unit(evaluator, unit), decision)
        harmed = [segment for segment in segments if segment.status == "harmed"]
        decision.refusals += [_harm(segment, decisive, _unit(evaluator, unit)) for segment in harmed]
    missing = None
    if not judged or (decision.unclear and not decision.refusals):
        missing = needed(sums, drawn, metrics, settings)
        decision.unclear.append(_not_enough(sums, labels, missing, settings))
    return decision, Evidence(metrics, segments, _days(sums), missing)


def _unit(evaluator: Evaluator, unit: str | None) -> str:
    """The unit of the metrics, after a space; nothing of losses that have none."""
    return _after_a_number(unit) if evaluator.in_target_unit else ""


def _after_a_number(unit: str | None) -> str:
    return f" {unit}" if unit else ""


def needed(sums: LossSums, drawn: Array, metrics: list[Metric], settings: CompareSettings) -> Needed | None:
    """How much data would decide, at the spread of the differences between blocks; None where nobody can collect it.

    Decided is: a candidate that is as good as the baseline is accepted with probability `power`. Where there is that
    much, and the difference is near the margin, it is what tells on which side of the margin the difference lies.
    """
    labels, blocks = float(sums.total[:, 0].sum()), len(sums.days)
    least_labels, least_days = settings.minima
    wanted = [least_days if sums.dated else 0, math.ceil(least_labels * blocks / labels)]
    errors = standard_errors(sums.total, drawn, sums.evaluator.level) if blocks >= 2 else np.empty(0)
    for metric, error in zip(metrics, errors, strict=False):
        if not metric.decides:
            continue
        found = blocks_needed(float(error), blocks, metric.margin, settings.confidence, settings.power)
        if metric.status == "unclear" and found is not None and found <= blocks:
            distance = abs(metric.margin - metric.delta)
            found = blocks_needed(float(error), blocks, distance, settings.confidence, 0.5)
        if found is None:
            return None
        wanted.append(found)
    most = max(wanted)
    return Needed(labels=math.ceil(most * labels / blocks), days=most if sums.dated else None, power=settings.power)


def _not_enough(sums: LossSums, labels: int, missing: Needed | None, settings: CompareSettings) -> str:
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
    found: Agreement | None, costs: list[Cost], settings: CompareSettings, unit: str, decision: Decision
) -> None:
    """Add a refusal for each measure beyond its limit; `unit` is that of a prediction, empty where none is declared."""
    limit = settings.max_moved_share
    if found is not None and limit is not None and found.moved_share > limit:
        far = (
            f"by more than {settings.moved_by:g}{_after_a_number(unit)}"
            if found.classes_differing is None
            else "to another class"
        )
        decision.refusals.append(f"{found.moved_share:.1%} of the predictions moved {far}, and {limit:.1%} may.")
    for cost in costs:
        if cost.limit is not None and cost.ratio > cost.limit:
            what = cost.name.replace("_", " ")
            decision.refusals.append(
                f"{what}: {cost.candidate:,.0f} where the baseline has {cost.baseline:,.0f}, {cost.ratio:.1f} times as "
                f"much, and {cost.limit:g} times is allowed."
            )


def _metrics(sums: LossSums, drawn: Array, decisive: tuple[str, ...], settings: CompareSettings) -> list[Metric]:
    level, total = sums.evaluator.level, sums.total.sum(axis=0)
    (ours, theirs), delta = levels(total, level), differences(total, level)
    enough = len(sums.total) >= 2
    bounds = interval(sums.total, drawn, settings.confidence, level) if enough else np.full((2, 2), np.nan)
    metrics = []
    for place, name in enumerate(sums.evaluator.losses):
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
                decides=name in decisive,
            )
        )
    return metrics


def _decide_on(metric: Metric, settings: CompareSettings, unit: str, decision: Decision) -> None:
    low, high = metric.interval or (0.0, 0.0)
    if metric.status == "not_worse" and low == high == 0:
        decision.confirmed.append(f"{title(metric.name)} is the same.")
        return
    way = "higher" if metric.delta >= 0 else "lower"
    digits = decimals(metric.margin)
    what = (
        f"{title(metric.name)} is {abs(metric.delta):.{digits}f}{unit} {way} "
        f"({settings.confidence:.0%} interval of the difference {low:+.{digits}f} to {high:+.{digits}f}), and "
        f"{metric.margin:.{digits}f}, {settings.margin:.1%} of {metric.baseline:.{digits - 1}f}, is allowed"
    )
    match metric.status:
        case "worse":
            decision.refusals.append(f"{what}: it is worse.")
        case "unclear":
            decision.unclear.append(f"{what}: too wide to tell.")
        case _:
            decision.confirmed.append(f"{what}: not worse.")


def decimals(margin: float) -> int:
    """Decimals that show a margin to two digits; at least three."""
    return 3 if margin <= 0 else max(3, 1 - math.floor(math.log10(margin)))


def _segments(sums: LossSums, drawn: Array, decisive: tuple[str, ...], settings: CompareSettings) -> list[Segment]:
    rows, level, names = sums.by_segment[:, :, 0], sums.evaluator.level, sums.evaluator.losses
    labels, days = rows.sum(axis=1), (rows > 0).sum(axis=1)
    enough = (labels >= settings.min_segment_labels) & (days >= LEAST_DAYS)
    bounds = np.full((len(rows), len(names), 2), np.nan)
    if enough.any():
        bounds[enough] = simultaneous(sums.by_segment[enough], drawn, level)
    totals = sums.by_segment.sum(axis=1)
    found = []
    for place in np.flatnonzero(labels):
        name, value = sums.segments[place]
        both = levels(totals[place], level)[0], differences(totals[place], level)
        metrics = dict(zip(names, _segment_metrics(*both, bounds[place], settings), strict=True))
        found.append(
            Segment(
                field=name,
                value=value,
                labels=int(labels[place]),
                days=int(days[place]),
                **metrics,
                status=_segment_status([metrics[name] for name in decisive]),
            )
        )
    return found


def _segment_metrics(baseline: Array, delta: Array, bounds: Array, settings: CompareSettings) -> list[SegmentMetric]:
    return [
        SegmentMetric(
            baseline=float(ours),
            delta=float(more),
            interval=None if np.isnan(low) else (float(low), float(high)),
            margin=settings.segment_margin * float(ours),
        )
        for ours, more, (low, high) in zip(baseline, delta, bounds, strict=True)
    ]


def _segment_status(metrics: list[SegmentMetric]) -> Any:
    intervals = [metric.interval for metric in metrics]
    if any(bounds is None for bounds in intervals):
        return "too_few"
    both = [(metric, bounds) for metric, bounds in zip(metrics, intervals, strict=True) if bounds]
    if any(bounds[0] > 0 and metric.delta > metric.margin for metric, bounds in both):
        return "harmed"
    return "held" if all(bounds[1] <= metric.margin for metric, bounds in both) else "unclear"


def _harm(segment: Segment, decisive: tuple[str, ...], unit: str) -> str:
    parts = []
    for name in decisive:
        metric = segment.metric(name)
        if metric.interval and metric.interval[0] > 0 and metric.delta > metric.margin:
            digits = decimals(metric.margin)
            low, high = metric.interval
            parts.append(
                f"{metric_title(name)} {metric.delta:+.{digits}f}{unit} ({low:+.{digits}f} to {high:+.{digits}f}, "
                f"{metric.margin:.{digits}f} is allowed)"
            )
    return f"{segment.field} {segment.value} is worse on its {segment.labels:,} labels: {' and '.join(parts)}."


def _days(sums: LossSums) -> list[Day]:
    if not sums.dated:
        return []
    first = sums.evaluator.losses[0]
    return [
        Day(
            day=date(1970, 1, 1) + timedelta(days=int(day)),
            labels=int(total[0]),
            **{f"baseline_{first}": float(both[0, 0]), f"candidate_{first}": float(both[1, 0])},
        )
        for day, total, both in zip(sums.days, sums.total, levels(sums.total, sums.evaluator.level), strict=True)
    ]


def _ulps(baseline: Array, candidate: Array) -> int:
    """The most float64 that lie between two numbers of a prediction; from 2**53 on, it says 2**53."""
    apart = np.abs(_bits(candidate).astype(np.float64) - _bits(baseline).astype(np.float64)).max()
    if apart >= 2**53:
        return 2**53
    near = candidate * baseline >= 0
    between = np.abs(_bits(candidate[near]) - _bits(baseline[near]))
    return int(between.max()) if near.any() else int(apart)


def _bits(values: Array) -> NDArray[np.int64]:
    """Numbers whose difference counts the float64 between two values (Dawson, Comparing Floating Point Numbers)."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
