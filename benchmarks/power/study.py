"""The power study: windows without drift and with drawn shifts, judged by the drift job's own decision in memory.

One half of the days of the training months, drawn by the seed so that both halves cover all months, makes the
reference; windows are random rows of the other half. There are several such splits a study, since of one split all
windows share the same days: if these were unlike the reference's, all would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.backtest.job import Grounds
from benchmarks.backtest.past import Past
from benchmarks.power.shifts import KINDS, World, draw, kinds
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.result import DriftResult

NOTHING = "no shift"
WEEK = "a week"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How much to run: rows of windows; windows without drift of each size; shifts of `judged` rows, and of others."""

    rows: tuple[int, ...] = (1_000, 5_000, 20_000, 50_000)
    judged: int = 5_000
    windows: int = 100
    shifts: int = 300
    others: int = 60
    splits: int = 50
    weeks: int = 26


@dataclass(frozen=True)
class Judged:
    """One window: what was done to it, how many rows it was to have (0 of a week), and what the job said."""

    kind: str
    what: str
    rows: int
    verdict: str
    reasons: tuple[str, ...]


@dataclass
class Cell:
    """Windows of one kind and size."""

    windows: int = 0
    alarms: int = 0
    warnings: int = 0
    """Those that reach the level of a warning: the alarms too."""


@dataclass(frozen=True)
class Study:
    """All windows of a study."""

    model: str
    seed: int
    split: str
    splits: int
    windows: list[Judged] = field(default_factory=list)

    def cell(self, kind: str | None, rows: int) -> Cell:
        """Windows of a kind, or of all kinds of shifts, and of so many rows."""
        cell = Cell()
        for one in self.windows:
            if one.rows == rows and (one.kind == kind or (kind is None and one.kind != NOTHING)):
                cell.windows += 1
                cell.alarms += one.verdict in ("drift", "invalid_data")
                cell.warnings += one.verdict in ("drift", "invalid_data", "warning")
        return cell

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        sizes = sorted({one.rows for one in self.windows})
        return {
            "model": self.model,
            "seed": self.seed,
            "split": self.split,
            "splits": self.splits,
            "table": [
                {"kind": kind or "all shifts", "rows": rows or WEEK, **asdict(self.cell(kind, rows))}
                for kind in (NOTHING, *KINDS, None)
                for rows in sizes
            ],
            "windows": [asdict(one) for one in self.windows],
        }


def run(grounds: Grounds, sizes: Sizes, seed: int, split: str = "days", step: Step = lambda _: None) -> Study:
    """The whole study; `step` is called with what begins. The same arguments give the same verdicts."""
    rng = np.random.default_rng(seed)
    study = Study(str(grounds.reference.model), seed, split, sizes.splits)
    for index in range(sizes.splits):
        step(f"split {index + 1} of {sizes.splits}")
        mine, others = _halves(grounds.train, split, index, rng)
        world = _world(grounds, mine, seed)
        study.windows.extend(_without(grounds, world, others, sizes, index, rng))
        study.windows.extend(_shifted(grounds, world, others, sizes, index, rng))
    step("whole weeks")
    study.windows.extend(_weeks(grounds, sizes, seed, rng))
    return study


def _world(grounds: Grounds, rows: Past, seed: int) -> World:
    return World(grounds.predictor, rows.reference(grounds.reference, seed), rows)


def _halves(past: Past, split: str, index: int, rng: np.random.Generator) -> tuple[Past, Past]:
    """The rows of the reference and the others: of half of each month's days, or of every second month."""
    days = past.event // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    if split == "months":
        first = months % 2 == index % 2
        return past.where(np.flatnonzero(first)), past.where(np.flatnonzero(~first))
    chosen = []
    for month in np.unique(months):
        own = np.unique(days[months == month])
        chosen.append(rng.choice(own, (len(own) + index % 2) // 2, replace=False))
    first = np.isin(days, np.concatenate(chosen))
    return past.where(np.flatnonzero(first)), past.where(np.flatnonzero(~first))


def _share(total: int, index: int, parts: int) -> range:
    """Which of `total` windows are of the split `index`."""
    return range(total * index // parts, total * (index + 1) // parts)


def _judged(kind: str, what: str, rows: int, result: DriftResult) -> Judged:
    return Judged(kind, what, rows, result.verdict, tuple(result.decision.reasons))


def _without(
    grounds: Grounds, world: World, pool: Past, sizes: Sizes, index: int, rng: np.random.Generator
) -> Iterator[Judged]:
    for rows in sizes.rows:
        for _ in _share(sizes.windows, index, sizes.splits):
            window = pool.where(np.sort(rng.choice(len(pool), min(rows, len(pool)), replace=False)))
            yield _judged(NOTHING, "", rows, grounds.judge(window, world.reference))


def _shifted(
    grounds: Grounds, world: World, pool: Past, sizes: Sizes, index: int, rng: np.random.Generator
) -> Iterator[Judged]:
    drawable = kinds(world)
    for rows in sizes.rows:
        for number in _share(sizes.shifts if rows == sizes.judged else sizes.others, index, sizes.splits):
            shift = draw(drawable[number % len(drawable)], world, rng)
            result = grounds.judge(shift.window(pool, rows, rng), world.reference)
            yield _judged(shift.kind, shift.what, rows, result)


def _weeks(grounds: Grounds, sizes: Sizes, seed: int, rng: np.random.Generator) -> Iterator[Judged]:
    """Each week by a reference of all others: without a shift, and with one of each kind."""
    week, train = int(timedelta(days=7).total_seconds()), grounds.train
    number = (train.event - train.event.min() // DAY * DAY) // week
    for index in range(min(sizes.weeks, int(number.max()))):
        inside = number == index
        window, world = train.where(inside), _world(grounds, train.where(~inside), seed)
        yield _judged(NOTHING, "", 0, grounds.judge(window, world.reference))
        for kind in kinds(world):
            shift = draw(kind, world, rng)
            yield _judged(kind, shift.what, 0, grounds.judge(shift.window(window, 0, rng), world.reference))


def table(study: Study) -> str:
    """The table of the study in Markdown: alarms, and in brackets those that reach a warning."""
    sizes = sorted({one.rows for one in study.windows if one.rows})
    columns = [*sizes, *([0] if any(not one.rows for one in study.windows) else [])]
    head = ["shift", *(f"{rows:,} rows" if rows else "whole weeks" for rows in columns)]
    lines = [head, ["---"] * len(head)]
    for kind in (NOTHING, *KINDS, None):
        cells = [study.cell(kind, rows) for rows in columns]
        lines.append([kind or "all shifts", *(_text(cell) for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(cell: Cell) -> str:
    if not cell.windows:
        return ""
    return f"{cell.alarms} alarm, {cell.warnings} warn, of {cell.windows}"


def made_at() -> str:
    """The time, for the document."""
    return datetime.now(UTC).isoformat(timespec="seconds")
