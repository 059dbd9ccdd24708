"""How often `compare --not-worse` is wrong, on real errors of two real models with a truth that is known.

The days of the test months are the world: its truth is computed from all of them. A window is so many days drawn from
it with replacement, whole, since what went wrong on a day went wrong for all its rows. A candidate is made worse by
exactly the margin, in ways from the plain to the malicious, and the rule of the command judges each window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import KNOWN_PART, SEGMENTS
from monitoring.compare.batches import Found
from monitoring.compare.noninferiority import (
    METRICS,
    day_sums,
    differences,
    draw_days,
    interval,
    levels,
    segment_sums,
    simultaneous,
)
from monitoring.compare.settings import CompareSettings
from monitoring.compare.sides import PackageSide
from monitoring.compare.sources import unseen_months
from monitoring.compare.verdict import DAY
from monitoring.errors import CompareError

Array = NDArray[np.float64]
Way = Callable[[float], Array]

_STORMS = 12
"""Days on which the baseline errs most; a candidate that fails on these alone is the hardest to find."""

_SEGMENT_LOSSES = (0.10, 0.30)
"""Shares of its RMSE that one segment loses."""


@dataclass(frozen=True)
class Sizes:
    """How many windows of each kind, of which days and mean rows a day; None is all rows."""

    windows: int = 800
    segment_windows: int = 100
    days: tuple[int, ...] = (35, 45, 60, 122)
    rows: tuple[int | None, ...] = (35, 100, 300, None)
    margins: tuple[float, ...] = (0.01, 0.02)


QUICK = Sizes(windows=60, segment_windows=10, days=(35, 60), rows=(100, None), margins=(0.01,))


@dataclass(frozen=True)
class Grounds:
    """Errors of n rows of the test months, and what a row was: all of shape [n], in order of days.

    `baseline` and `candidate` are prediction less outcome, `zero_gain` that of the part known beforehand.
    """

    baseline: Array
    candidate: Array
    zero_gain: Array
    days: NDArray[np.int64]
    segments: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, baseline: str, candidate: str) -> Grounds:
        """The grounds of two packages. Raises MonitoringError where they cannot be computed."""
        sides = PackageSide.load(baseline), PackageSide.load(candidate)
        batches = list(unseen_months(*sides, CompareSettings(), Found("test")))
        if not batches:
            raise CompareError(f"There is no month that neither {baseline} nor {candidate} was trained on.")
        columns = {name: np.concatenate([batch.columns[name] for batch in batches]) for name in batches[0].columns}
        outcome = np.concatenate([batch.outcome for batch in batches])
        days = np.concatenate([batch.event for batch in batches]) // DAY
        known = np.flatnonzero(~np.isnan(outcome))
        order = known[np.argsort(days[known], kind="stable")]
        ours, theirs = (side.predict(columns) for side in sides)
        return cls(
            (ours - outcome)[order],
            (theirs - outcome)[order],
            (columns[KNOWN_PART] - outcome)[order],
            days[order],
            {name: columns[name][order] for name in SEGMENTS},
        )


@dataclass(frozen=True)
class Rate:
    """How often a verdict came, of so many windows."""

    name: str
    days: int
    rows: int | None
    hits: int
    windows: int

    @property
    def share(self) -> float:
        return self.hits / self.windows


@dataclass(frozen=True)
class Simulation:
    """Accepted of what is worse by the margin; accepted of what is equal, by margin; refused for a segment's sake."""

    worse: list[Rate]
    equal: dict[float, list[Rate]]
    segments: list[Rate]


def run(
    grounds: Grounds,
    sizes: Sizes,
    settings: CompareSettings,
    worse: Grounds | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Simulation:
    """Judge all windows; `worse` holds the errors of a real model that is worse, to be mixed in up to the margin."""
    rng = np.random.default_rng(settings.seed)
    judged = []
    for name, errors in harms(grounds, settings.margin, rng, worse).items():
        step(name)
        judged += [
            _accepted(name, grounds, errors, days, rows, settings.margin, sizes, settings, rng)
            for days, rows in [*((days, None) for days in sizes.days), (sizes.days[1], 100)]
        ]
    equal = equalled(grounds)
    power: dict[float, list[Rate]] = {}
    for margin in sizes.margins:
        step(f"equal, margin {margin:.0%}")
        power[margin] = [
            _accepted("equal", grounds, equal, days, rows, margin, sizes, settings, rng)
            for days in sizes.days
            for rows in sizes.rows
        ]
    step("segments")
    return Simulation(judged, power, _segment_rates(grounds, equal, sizes, settings, rng))


def harms(grounds: Grounds, margin: float, rng: np.random.Generator, worse: Grounds | None) -> dict[str, Array]:
    """Errors of candidates whose RMSE, or whose MAE, is worse by the margin exactly, by what was done to them."""
    candidate, baseline = grounds.candidate, grounds.baseline
    noise = rng.normal(size=len(candidate))
    distinct, sums = day_sums(baseline, candidate, grounds.days)
    storms = np.isin(grounds.days, distinct[np.argsort(-levels(sums)[:, 0, 0])[:_STORMS]])
    fifth = np.isin(grounds.days, rng.choice(distinct, len(distinct) // 5, replace=False))
    ways: dict[str, Way] = {
        "all errors larger": lambda s: candidate * (1 + s),
        "noise on every prediction": lambda s: candidate + s * noise,
        "every prediction too high": lambda s: candidate + s,
        "mixed with zero gain": lambda s: (1 - s) * candidate + s * grounds.zero_gain,
        "larger on one day in five": lambda s: np.where(fifth, candidate * (1 + s), candidate),
        f"larger on the {_STORMS} worst days": lambda s: np.where(storms, candidate * (1 + s), candidate),
    }
    if worse is not None:
        ways["mixed with a model without weather"] = lambda s: baseline + s * (worse.candidate - baseline)
    return {
        f"{name}, {metric.upper()}": _worse_by(way, grounds, margin, place)
        for name, way in ways.items()
        for place, metric in enumerate(METRICS)
    }


def equalled(grounds: Grounds) -> Array:
    """The candidate's errors, scaled so that its RMSE is the baseline's: another model that is exactly as good."""
    return grounds.candidate * float(np.sqrt((grounds.baseline**2).mean() / (grounds.candidate**2).mean()))


def _worse_by(way: Way, grounds: Grounds, margin: float, metric: int) -> Array:
    """What the way makes of the errors at the strength that loses the margin, by bisection."""
    _, sums = day_sums(grounds.baseline, grounds.baseline, grounds.days)
    target = margin * float(levels(sums.sum(axis=0))[0, metric])

    def loss(strength: float) -> float:
        return float(differences(day_sums(grounds.baseline, way(strength), grounds.days)[1].sum(axis=0))[metric])

    low, high = 0.0, 0.01
    while loss(high) < target:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) < target else (low, middle)
    return way(high)


def _accepted(
    name: str,
    grounds: Grounds,
    errors: Array,
    days: int,
    rows: int | None,
    margin: float,
    sizes: Sizes,
    settings: CompareSettings,
    rng: np.random.Generator,
) -> Rate:
    """Windows in which both metrics are within the margin by all of their intervals."""
    drawn = draw_days(days, settings.resamples, settings.seed)
    _, world = day_sums(grounds.baseline, errors, grounds.days)
    hits = 0
    for _ in range(sizes.windows):
        sums = world[rng.integers(len(world), size=days)]
        if rows is not None:
            sums = _thinned(grounds, errors, days, rows, rng)
        limits = margin * levels(sums.sum(axis=0))[0]
        hits += bool((interval(sums, drawn, settings.confidence)[:, 1] <= limits).all())
    return Rate(name, days, rows, hits, sizes.windows)


def _thinned(grounds: Grounds, errors: Array, days: int, rows: int, rng: np.random.Generator) -> Array:
    """Day sums of a window of which each row is kept at random, so that a day has so many of them on average."""
    starts = np.flatnonzero(np.append(True, np.diff(grounds.days) > 0))
    ends = np.append(starts[1:], len(grounds.days))
    chosen = rng.integers(len(starts), size=days)
    counts = ends[chosen] - starts[chosen]
    first = np.repeat(starts[chosen] - np.append(0, np.cumsum(counts)[:-1]), counts)
    places = first + np.arange(counts.sum())
    kept = rng.random(len(places)) < rows * len(starts) / len(grounds.days)
    where = np.repeat(np.arange(days), counts)[kept]
    return day_sums(grounds.baseline[places[kept]], errors[places[kept]], where)[1]


def _segment_rates(
    grounds: Grounds, equal: Array, sizes: Sizes, settings: CompareSettings, rng: np.random.Generator
) -> list[Rate]:
    """Windows refused for a segment's sake: of an equal candidate, and of ones that are worse for one segment."""
    masks = [
        (f"{name} {value}", texts == value) for name, texts in grounds.segments.items() for value in np.unique(texts)
    ]
    first = next(iter(grounds.segments))
    sized = sorted(((int(mask.sum()), name, mask) for name, mask in masks if name.startswith(f"{first} ")), key=_size)
    sized = [part for part in sized if part[0] >= settings.min_segment_outcomes]
    cases = [("an equal candidate", equal)]
    for place in sorted({0, len(sized) // 3, 2 * len(sized) // 3, len(sized) - 1}):
        count, name, mask = sized[place]
        rmse, share = float(np.sqrt((grounds.baseline[mask] ** 2).mean())), count / len(equal)
        cases += [
            (f"{name}, {share:.1%} of the rows, loses {loss:.0%} of its RMSE", _biased(equal, mask, loss * rmse))
            for loss in _SEGMENT_LOSSES
        ]
    every = [mask for _, mask in masks]
    return [
        _refused(name, grounds, errors, every, days, sizes, settings, rng)
        for name, errors in cases
        for days in sizes.days
    ]


def _size(part: tuple[int, str, Any]) -> int:
    return part[0]


def _biased(errors: Array, mask: NDArray[np.bool_], loss: float) -> Array:
    """The errors with those of a segment shifted so that its RMSE rises by `loss`."""
    own = errors[mask]
    mean, square = float(own.mean()), float((own**2).mean())
    shift = -mean + np.sqrt(mean**2 + (np.sqrt(square) + loss) ** 2 - square)
    return errors + np.where(mask, shift, 0.0)


def _refused(
    name: str,
    grounds: Grounds,
    errors: Array,
    masks: list[NDArray[np.bool_]],
    days: int,
    sizes: Sizes,
    settings: CompareSettings,
    rng: np.random.Generator,
) -> Rate:
    drawn = draw_days(days, settings.resamples, settings.seed)
    world = segment_sums(grounds.baseline, errors, grounds.days, masks)
    hits = 0
    for _ in range(sizes.segment_windows):
        sums = world[:, rng.integers(world.shape[1], size=days)]
        sums = sums[sums[:, :, 0].sum(axis=1) >= settings.min_segment_outcomes]
        found = simultaneous(sums, drawn)
        limits = settings.segment_margin * levels(sums.sum(axis=1))[:, 0]
        hits += bool(((found.interval[..., 0] > 0) & (found.delta > limits)).any())
    return Rate(name, days, None, hits, sizes.segment_windows)
