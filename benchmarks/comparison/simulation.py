"""How often `compare --not-worse` is wrong, on real errors of two real models with a truth that is known.

The days of the test part are the world: its truth is computed from all of them. A window is so many days drawn from
it with replacement, whole, since what went wrong on a day went wrong for all its rows. A candidate is made worse by
exactly the margin, in ways from the plain to the malicious, and the rule of the command judges each window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.comparison.candidates import Grounds, biased, equalled, harms, losses_of
from tabular_bento.evaluation.noninferiority import Array
from tabular_bento.monitoring.comparison.decision import Evidence, judge_losses
from tabular_bento.monitoring.comparison.predictions import LossSums, SegmentRows
from tabular_bento.monitoring.comparison.result import Decision
from tabular_bento.monitoring.comparison.settings import CompareSettings

Hit = Callable[[Decision, Evidence], bool]

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
    least_windows: int = 200
    least_margins: tuple[float, ...] = (0.01, 0.02, 0.05, 0.10)
    least_seeds: tuple[int, ...] = (1, 2, 3)


QUICK = Sizes(
    windows=60, segment_windows=10, days=(35, 60), rows=(100, None), margins=(0.01,), least_windows=20, least_seeds=(1,)
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
    """Accepted of what is worse by the margin; accepted of what is equal, by margin; refused for a segment's sake.

    `least` holds, by margin, what is accepted of what is worse by the margin, of the fewest days and labels that are
    judged: the worst way at few rows a day and at all, a rate a seed.
    """

    worse: list[Rate]
    equal: dict[float, list[Rate]]
    segments: list[Rate]
    least: dict[float, list[Rate]]


def run(
    grounds: Grounds,
    sizes: Sizes,
    settings: CompareSettings,
    worse: Grounds | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Simulation:
    """Judge all windows; `worse` holds the errors of a real model that is worse, to be mixed in up to the margin."""
    rng = np.random.default_rng(settings.seed)
    windows = Windows(grounds, settings, rng)
    judged = []
    for name, errors in harms(grounds, settings.margin, rng, worse).items():
        step(name)
        judged += [
            windows.rate(name, errors, days, rows, sizes.windows, _accepted)
            for days, rows in [*((days, None) for days in sizes.days), (sizes.days[1], 100)]
        ]
    equal = equalled(grounds)
    power: dict[float, list[Rate]] = {}
    for margin in sizes.margins:
        step(f"equal, margin {margin:.0%}")
        allowing = Windows(grounds, settings.model_copy(update={"margin": margin}), rng)
        power[margin] = [
            allowing.rate("equal", equal, days, rows, sizes.windows, _accepted)
            for days in sizes.days
            for rows in sizes.rows
        ]
    step("segments")
    segments = [
        windows.rate(name, errors, days, None, sizes.segment_windows, _harmed)
        for name, errors in _sacrifices(grounds, equal, settings).items()
        for days in sizes.days
    ]
    return Simulation(judged, power, segments, at_the_minima(grounds, sizes, settings, worse, step))


def at_the_minima(
    grounds: Grounds,
    sizes: Sizes,
    settings: CompareSettings,
    worse: Grounds | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> dict[float, list[Rate]]:
    """Judge windows of as few days and labels as are judged at all; segments could only refuse more of them."""
    bare = replace(grounds, segments=[])
    found: dict[float, list[Rate]] = {}
    for margin in sizes.least_margins:
        own = settings.model_copy(update={"margin": margin})
        labels, days = own.minima
        for seed in sizes.least_seeds:
            step(f"at the minima, margin {margin:.0%}, seed {seed}")
            rng = np.random.default_rng(seed)
            windows = Windows(bare, own, rng)
            for rows in (-(-labels // days) + 2, None):  # so that a window which draws few rows has enough of them
                rates = [
                    windows.rate(f"{name}, seed {seed}", errors, days, rows, sizes.least_windows, _accepted)
                    for name, errors in harms(bare, margin, rng, worse).items()
                ]
                found.setdefault(margin, []).append(max(rates, key=lambda rate: rate.share))
    return found


def _accepted(decision: Decision, _: Evidence) -> bool:
    return decision.verdict == "accepted"


def _harmed(_: Decision, evidence: Evidence) -> bool:
    return any(segment.status == "harmed" for segment in evidence.segments)


class Windows:
    """Windows of days drawn from the grounds, judged as the command judges."""

    def __init__(self, grounds: Grounds, settings: CompareSettings, rng: np.random.Generator) -> None:
        self._grounds, self._settings, self._rng = grounds, settings, rng

    def rate(self, name: str, errors: Array, days: int, rows: int | None, windows: int, hit: Hit) -> Rate:
        """How many of so many windows are a `hit`, of a candidate with these errors, [n]."""
        grounds = self._grounds
        world = LossSums.of(
            grounds.evaluator, losses_of(grounds.baseline), losses_of(errors), grounds.days, grounds.segments
        )
        hits = 0
        for _ in range(windows):
            window = self._whole(world, days) if rows is None else self._thinned(errors, days, rows)
            hits += hit(*judge_losses(window, self._settings, None))
        return Rate(name, days, rows, hits, windows)

    def _whole(self, world: LossSums, days: int) -> LossSums:
        chosen = self._rng.integers(len(world.days), size=days)
        return LossSums(
            world.evaluator, np.arange(days), world.total[chosen], world.segments, world.by_segment[:, chosen]
        )

    def _thinned(self, errors: Array, days: int, rows: int) -> LossSums:
        """A window of which each row is kept at random, so that a day has so many of them on average."""
        grounds, rng = self._grounds, self._rng
        starts = np.flatnonzero(np.append(True, np.diff(grounds.days) > 0))
        ends = np.append(starts[1:], len(grounds.days))
        chosen = rng.integers(len(starts), size=days)
        counts = ends[chosen] - starts[chosen]
        first = np.repeat(starts[chosen] - np.append(0, np.cumsum(counts)[:-1]), counts)
        places = first + np.arange(counts.sum())
        kept = rng.random(len(places)) < rows * len(starts) / len(grounds.days)
        places, where = places[kept], np.repeat(np.arange(days), counts)[kept]
        segments = [replace(part, rows=part.rows[places]) for part in grounds.segments]
        losses = losses_of(grounds.baseline[places]), losses_of(errors[places])
        return LossSums.of(grounds.evaluator, *losses, where, segments)


def _sacrifices(grounds: Grounds, equal: Array, settings: CompareSettings) -> dict[str, Array]:
    """Errors of an equal candidate, and of ones that are worse for a small or a large segment of the first field."""
    field = grounds.segments[0].field
    parts = sorted((part for part in grounds.segments if part.field == field), key=_size)
    parts = [part for part in parts if _size(part) >= settings.min_segment_labels]
    cases = {"an equal candidate": equal}
    for place in sorted({0, len(parts) // 3, 2 * len(parts) // 3, len(parts) - 1}):
        part = parts[place]
        rmse = float(np.sqrt((grounds.baseline[part.rows] ** 2).mean()))
        name = f"{part.field} {part.value}, {_size(part) / len(equal):.1%} of the rows"
        for loss in _SEGMENT_LOSSES:
            cases[f"{name}, loses {loss:.0%} of its RMSE"] = biased(equal, part.rows, loss * rmse)
    return cases


def _size(part: SegmentRows) -> int:
    return int(part.rows.sum())
