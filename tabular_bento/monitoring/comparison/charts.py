"""The charts of `compare.html`: what there is to see before anything is read."""

from __future__ import annotations

from datetime import date

import numpy as np

from tabular_bento.monitoring.comparison.predictions import PairedPredictions
from tabular_bento.monitoring.comparison.result import CompareResult, Day, Metric, Segment, SegmentMetric
from tabular_bento.monitoring.comparison.svg import BAD, BASELINE, CANDIDATE, GOOD, GRID, INK, MUTED, UNSURE, Chart

_COLOURS = {"not_worse": GOOD, "held": GOOD, "worse": BAD, "harmed": BAD, "unclear": UNSURE, "too_few": MUTED}
_CELLS = 60
_BINS = 61


def metrics(found: list[Metric], unit: str | None) -> str:
    """Both differences with their intervals, and the margin that they must stay left of."""
    drawn = [metric for metric in found if metric.interval is not None]
    if not drawn:
        return ""
    ends = [end for metric in drawn for end in (*(metric.interval or ()), metric.margin, -metric.margin, 0.0)]
    reach = (min(ends), max(ends))
    pad = (reach[1] - reach[0]) * 0.08
    chart = Chart(560, 44 + 62 * len(drawn), (reach[0] - pad, reach[1] + pad), (0, len(drawn)), left=60)
    chart.axis_x(f"{_named('candidate less baseline', unit)}: right of 0 is worse")
    chart.line([(0, 0), (0, len(drawn))], INK, 1)
    for place, metric in enumerate(drawn):
        low, high = metric.interval or (0.0, 0.0)
        height, colour = len(drawn) - place - 0.5, _COLOURS[metric.status]
        chart.line([(metric.margin, height - 0.42), (metric.margin, height + 0.42)], BAD, 2, "4 3")
        late = metric.margin > reach[0] + 0.7 * (reach[1] - reach[0])
        said = f"allowed {metric.margin:.3f}"
        chart.text(metric.margin, height + 0.34, said, BAD, "end" if late else "start", -5 if late else 5)
        chart.line([(low, height), (high, height)], colour, 5)
        said = f"{metric.name.upper()} {metric.delta:+.3f} ({low:+.3f} to {high:+.3f})"
        chart.dot(metric.delta, height, colour, said, 7)
        chart.text(reach[0] - pad, height, metric.name.upper(), INK, "end", -10)
    return chart.svg("Differences of RMSE and MAE with their intervals and margins")


def segments(found: list[Segment], unit: str | None) -> str:
    """A forest: the difference of RMSE of each segment with its interval, largest segment first."""
    drawn = [part for part in found if part.rmse.interval is not None]
    if not drawn:
        return ""
    order = sorted(drawn, key=lambda part: (found[0].field != part.field, part.field, -part.labels))
    ends = [end for part in order for end in (*_ends(part.rmse), 0.0, part.rmse.delta)]
    limit = float(np.quantile(np.abs(ends), 0.97)) * 1.15 or 1.0
    low, high = max(min(ends), -limit), min(max(ends), limit)
    high = max(high, *(min(part.rmse.margin, limit) for part in order))
    pad = (high - low) * 0.04
    chart = Chart(1120, 46 + 22 * len(order), (low - pad, high + pad), (0, len(order)), left=170)
    axis = _named("RMSE of candidate less baseline", unit)
    chart.axis_x(f"{axis}: right of 0 is worse; red marks are what is allowed")
    chart.line([(0, 0), (0, len(order))], INK, 1)
    for place, part in enumerate(order):
        height, colour, metric = len(order) - place - 0.5, _COLOURS[part.status], part.rmse
        start, end = (min(max(bound, low - pad), high + pad) for bound in _ends(metric))
        said = f"{part.field} {part.value}: {metric.delta:+.3f}, {part.labels:,} labels, {part.status}"
        chart.line([(start, height), (end, height)], colour, 2.5)
        chart.dot(
            min(max(metric.delta, low), high), height, colour, said, 2.5 + 4 * (part.labels / _most(order)) ** 0.5
        )
        if metric.margin <= high:
            chart.line([(metric.margin, height - 0.35), (metric.margin, height + 0.35)], BAD, 2)
        chart.text(low - pad, height, f"{part.field} {part.value}, {part.labels:,}", INK, "end", -8)
    return chart.svg("Differences of RMSE by segment with their intervals")


def daily(days: list[Day], unit: str | None) -> str:
    """RMSE of both by day, and below it their difference."""
    if len(days) < 2:
        return ""
    first = days[0].day
    places = [(day.day - first).days for day in days]
    span, top = (0.0, float(max(places[-1], 1))), max(max(day.baseline_rmse, day.candidate_rmse) for day in days)
    labels = _day_labels(first, places[-1])
    lines = Chart(1120, 230, span, (0, top * 1.05), top=22)
    lines.axis_x("", labels)
    lines.axis_y(_named("RMSE", unit))
    lines.line([(x, day.baseline_rmse) for x, day in zip(places, days, strict=True)], BASELINE, 2)
    lines.line([(x, day.candidate_rmse) for x, day in zip(places, days, strict=True)], CANDIDATE, 1.4)
    deltas = [day.candidate_rmse - day.baseline_rmse for day in days]
    reach = max(abs(delta) for delta in deltas) or 1.0
    bars = Chart(1120, 150, span, (-reach * 1.1, reach * 1.1), top=22)
    bars.axis_x("", labels)
    bars.axis_y(_named("candidate less baseline", unit))
    for x, day, delta in zip(places, days, deltas, strict=True):
        said = f"{day.day}: {day.baseline_rmse:.2f} and {day.candidate_rmse:.2f}, {day.labels:,} labels"
        bars.bar((x - 0.4, x + 0.4), (0, delta), BAD if delta > 0 else GOOD, 0.85, said)
    return lines.svg("RMSE of both by day") + bars.svg("Difference of RMSE by day")


def scatter(paired: PairedPredictions, unit: str | None) -> str:
    """Predictions of the candidate over those of the baseline, as densities."""
    if len(paired) < 2:
        return ""
    both = np.concatenate([paired.baseline, paired.candidate])
    low, high = (float(end) for end in np.quantile(both, [0.0005, 0.9995]))
    low, high = (low, high) if high > low else (low - 1, low + 1)
    ours, theirs = np.clip(paired.baseline, low, high), np.clip(paired.candidate, low, high)
    counts, xs, ys = np.histogram2d(ours, theirs, bins=_CELLS, range=((low, high), (low, high)))
    chart = Chart(470, 420, (low, high), (low, high), top=22)
    chart.axis_x(_named("baseline", unit))
    chart.axis_y(_named("candidate", unit))
    top = np.log1p(counts.max())
    for i, j in np.argwhere(counts > 0):
        shade = 0.12 + 0.88 * float(np.log1p(counts[i, j]) / top)
        said = f"{int(counts[i, j]):,} rows"
        chart.bar((xs[i], xs[i + 1]), (ys[j], ys[j + 1]), CANDIDATE, shade, said)
    chart.line([(low, low), (high, high)], INK, 1, "3 3")
    return chart.svg("Predictions of the candidate over those of the baseline")


def moves(paired: PairedPredictions, moved: float, unit: str | None) -> str:
    """How far predictions moved: a histogram of candidate less baseline with a logarithmic axis of counts."""
    if len(paired) < 2:
        return ""
    delta = paired.delta
    reach = float(np.quantile(np.abs(delta), 0.9999)) or 1e-9
    counts, edges = np.histogram(np.clip(delta, -reach, reach), bins=_BINS, range=(-reach, reach))
    heights = np.log10(np.maximum(counts, 0.5))
    top = float(np.ceil(heights.max())) or 1.0
    chart = Chart(560, 420, (-reach, reach), (np.log10(0.5), top), left=64, top=22)
    chart.axis_x(_named("candidate less baseline", unit))
    chart.axis_y("rows", [(power, f"{10**power:,}") for power in range(int(top) + 1)])
    for height, count, start, end in zip(heights, counts, edges, edges[1:], strict=False):
        if count:
            colour = UNSURE if max(abs(start), abs(end)) > moved else CANDIDATE
            said = f"{count:,} rows from {start:+.4g} to {end:+.4g}"
            chart.bar((start, end), (np.log10(0.5), float(height)), colour, 0.85, said)
    chart.line([(0, np.log10(0.5)), (0, top)], INK, 1, "3 3")
    return chart.svg("Distribution of the differences of the predictions")


def cost(result: CompareResult) -> str:
    """Time and size of the candidate as multiples of the baseline's."""
    if not result.costs:
        return ""
    names = {
        "one_row_microseconds": ("one row", "{:,.0f} µs"),
        "thousand_rows_microseconds": ("1,000 rows", "{:,.0f} µs"),
        "package_bytes": ("package", "{:,.0f} bytes"),
    }
    reach = max(max(item.ratio, item.limit or 0, 1.0) for item in result.costs) * 1.9
    chart = Chart(560, 44 + 48 * len(result.costs), (0, reach), (0, len(result.costs)), left=84)
    chart.axis_x("times the baseline's")
    for place, item in enumerate(result.costs):
        height, (name, form) = len(result.costs) - place - 0.5, names[item.name]
        beyond = item.limit is not None and item.ratio > item.limit
        said = f"{form.format(item.baseline)} and {form.format(item.candidate)}"
        chart.bar((0, reach), (height - 0.3, height + 0.3), GRID, 0.5)
        chart.bar((0, item.ratio), (height - 0.3, height + 0.3), BAD if beyond else CANDIDATE, 0.85, said)
        chart.text(item.ratio, height, f"{item.ratio:.2f}: {said}", INK, dx=6)
        chart.text(0, height, name, INK, "end", -8)
        if item.limit is not None:
            chart.line([(item.limit, height - 0.4), (item.limit, height + 0.4)], BAD, 2, "4 3")
    chart.line([(1, 0), (1, len(result.costs))], INK, 1)
    return chart.svg("Time and size of the candidate as multiples of the baseline's")


def _named(what: str, unit: str | None) -> str:
    return f"{what}, {unit}" if unit else what


def _ends(metric: SegmentMetric) -> tuple[float, float]:
    return metric.interval or (metric.delta, metric.delta)


def _most(parts: list[Segment]) -> int:
    return max(part.labels for part in parts)


def _day_labels(first: date, last: int) -> list[tuple[float, str]]:
    """A dozen days at most."""
    step = max(1, -(-last // 12))
    days = np.datetime64(first, "D") + np.arange(0, last + 1, step)
    return [(float(place * step), str(day)[5:]) for place, day in enumerate(days)]
