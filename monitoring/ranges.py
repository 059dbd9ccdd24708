"""The second half of a pass: rows and outcomes of one range of keys together, each id once, and what they add up to.

Ranges are independent of each other and of how the log was cut into files and lots. Within one, rows are in order of
key, and the sums of ranges are added in order: so every float of the result is the same whoever computed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import OTHER, Bins, Counts
from monitoring.blocks import Blocks
from monitoring.delays import Delays
from monitoring.ids import Keys, contains
from monitoring.reading import KEY_KIND, OUTCOME_KIND, Watched, infinite_code
from monitoring.reference import Reference
from monitoring.spill import Records, Run, Slice, Spill
from monitoring.thresholds import HOUR

SKEW = 5 * 60 * 1_000_000
"""Microseconds that two machines' clocks may be apart before it is told."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What to add up: columns by the sizes of their bins, what came true on `outcome`'s bins, rows by the bins of
    column number `segment`, and the outcomes of the rows with the keys `sampled`, sorted. `now` is in us UTC.
    """

    sizes: tuple[int, ...]
    outcome: Bins | None
    now: int
    sampled: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    segment: int | None = None

    @classmethod
    def of(cls, watched: Sequence[Watched], reference: Reference, now: int, sampled: Keys | None = None) -> Sums:
        """What the reference wants to know of its columns."""
        outcome = reference.outcome.bins if reference.outcome else None
        keys = np.empty(0, np.uint64) if sampled is None else np.sort(sampled)
        return cls(tuple(column.bins.size for column in watched), outcome, now, keys)


@dataclass(frozen=True)
class Range:
    """Where the rows and the outcomes of one range of keys are."""

    rows: list[Slice]
    outcomes: list[Slice]


@dataclass
class RangeSums:
    """What rows and outcomes add up to; `counts` holds each column's rows by bin, and `infinite` how many of them are.

    `strange` holds the keys of outcomes without a prediction among the rows, or the run where they are set aside.
    `by_segment` holds the same counts for each bin of the segment's column, and `segment_blocks` its errors.
    """

    counts: list[Counts]
    infinite: NDArray[np.int64]
    scored: int = 0
    duplicates: int = 0
    future: int = 0
    repeated: int = 0
    contradictory: int = 0
    early: int = 0
    outcomes: int = 0
    strange: int = 0
    strange_runs: list[Run] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks.none)
    delays: Delays = field(default_factory=Delays)
    outcome_counts: Counts | None = None
    sampled: dict[int, float] = field(default_factory=dict)
    by_segment: list[Counts] | None = None
    segment_blocks: dict[int, Blocks] = field(default_factory=dict)

    @classmethod
    def none(cls, sums: Sums) -> RangeSums:
        """No rows and no outcomes."""
        return cls([np.zeros(size, np.int64) for size in sums.sizes], np.zeros(len(sums.sizes), np.int64))

    def add(self, other: RangeSums) -> None:
        """Add the next range."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.infinite += other.infinite
        for name in ("scored", "duplicates", "future", "repeated", "contradictory", "early", "outcomes", "strange"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.strange_runs += other.strange_runs
        self.blocks = self.blocks + other.blocks
        self.delays.merge(other.delays)
        self.outcome_counts = _plus(self.outcome_counts, other.outcome_counts)
        self.sampled |= other.sampled
        if other.by_segment is not None:
            mine = self.by_segment or [np.zeros_like(each) for each in other.by_segment]
            self.by_segment = [one + two for one, two in zip(mine, other.by_segment, strict=True)]
        for code, blocks in other.segment_blocks.items():
            self.segment_blocks[code] = self.segment_blocks.get(code, Blocks.none()) + blocks


def sum_range(sums: Sums, kind: np.dtype[Any], spill: Spill, part: Range) -> RangeSums:
    """The sums of one range of what was set aside, rows being of type `kind`. Raises SpillError.

    The keys of its strange outcomes are set aside in turn.
    """
    found, strange = add_up(sums, spill.read(part.rows, kind), spill.read(part.outcomes, OUTCOME_KIND))
    if len(strange):
        found.strange_runs.append(spill.write(strange.view(KEY_KIND)))
    return found


def add_up(sums: Sums, rows: Records, outcomes: Records) -> tuple[RangeSums, Keys]:
    """The sums of rows and outcomes in any order, and the keys of the outcomes that are of none of the rows.

    Of several rows of one id the first by time counts. Of several outcomes of one prediction the one received last
    counts; equal ones are repeated, others contradictory.
    """
    found = RangeSums.none(sums)
    everything = len(rows)
    rows = _first_of_each(rows)
    found.scored, found.duplicates = len(rows), everything - len(rows)
    found.future = int((rows["time"] > sums.now + SKEW).sum())
    latest, strange = _join(rows, outcomes, found)
    model, zero_gain = rows["predicted"] - latest, rows["baseline"] - latest
    found.blocks = Blocks.of(rows["event"], model, zero_gain)
    codes, infinite = rows["codes"], infinite_code(rows["codes"].dtype)
    for place, size in enumerate(sums.sizes):
        found.counts[place], found.infinite[place] = _counts(codes[:, place], size, infinite)
    if sums.outcome is not None:
        found.outcome_counts = sums.outcome.count(latest[~np.isnan(latest)])
    if sums.segment is not None:
        _by_segment(sums, rows, model, zero_gain, found)
    drawn = contains(sums.sampled, rows["key"]) & ~np.isnan(latest)
    found.sampled = dict(zip(rows["key"][drawn].tolist(), latest[drawn].tolist(), strict=True))
    return found, strange


def unknown_in_range(spill: Spill, part: Range) -> int:
    """How many of the strange keys, `outcomes` of the range, are not among the log's keys, its `rows`."""
    strange, known = spill.read(part.outcomes, KEY_KIND)["key"], spill.read(part.rows, KEY_KIND)["key"]
    return int((~contains(np.sort(known), strange)).sum())


def _first_of_each(rows: Records) -> Records:
    """The rows in order of key, the first by time of each; ties are broken by what else differs, never by order."""
    rows = rows[np.argsort(rows["key"], kind="stable")]
    same = rows["key"][1:] == rows["key"][:-1]
    if not same.any():
        return rows
    several = np.append(same, False) | np.append(False, same)
    alike = rows[several]
    _, codes = np.unique(alike["codes"], axis=0, return_inverse=True)
    columns = (codes.reshape(-1), *(alike[name] for name in ("baseline", "predicted", "event", "time", "key")))
    alike = alike[np.lexsort(columns)]
    first = np.append(True, alike["key"][1:] != alike["key"][:-1])
    whole = np.concatenate([rows[~several], alike[first]])
    return whole[np.argsort(whole["key"], kind="stable")]


def _join(rows: Records, outcomes: Records, found: RangeSums) -> tuple[Array, Keys]:
    """The latest outcome of each row, NaN where there is none, and the keys of outcomes of other predictions."""
    latest = np.full(len(rows), np.nan)
    found.outcomes = len(outcomes)
    known = contains(rows["key"], outcomes["key"])
    strange = np.ascontiguousarray(outcomes["key"][~known])
    found.strange = len(strange)
    outcomes = outcomes[known]
    outcomes = outcomes[np.lexsort((outcomes["value"], outcomes["time"], outcomes["key"]))]
    key, value = outcomes["key"], outcomes["value"]
    again = np.append(False, key[1:] == key[:-1])[: len(key)]
    differs = again & np.append(False, value[1:] != value[:-1])[: len(key)]
    last = ~np.append(again[1:], False)[: len(key)]
    place = np.searchsorted(rows["key"], key[last])
    latest[place] = value[last]
    delay = outcomes["time"][last] - rows["time"][place]
    found.delays.add(delay / (HOUR * 1e6))
    found.early = int((delay < -SKEW).sum())
    found.repeated = int((again & ~differs).sum())
    found.contradictory = len(np.unique(key[differs]))
    return latest, strange


def _counts(codes: NDArray[Any], size: int, infinite: int) -> tuple[Counts, int]:
    """Rows by bin, and how many are infinite; those are in the bin OTHER."""
    counts = np.bincount(codes, minlength=infinite + 1)
    return _merged(counts, size), int(counts[infinite])


def _merged(counts: Counts, size: int) -> Counts:
    whole = counts[..., :size].copy()
    whole[..., OTHER] += counts[..., -1]
    return whole


def _by_segment(sums: Sums, rows: Records, model: Array, zero_gain: Array, found: RangeSums) -> None:
    assert sums.segment is not None
    codes = rows["codes"]
    infinite = infinite_code(codes.dtype)
    segments = codes[:, sums.segment].astype(np.int64)
    width, values = infinite + 1, sums.sizes[sums.segment]
    found.by_segment = [
        _merged(np.bincount(segments * width + codes[:, place], minlength=values * width).reshape(values, width), size)
        for place, size in enumerate(sums.sizes)
    ]
    for code in np.unique(segments).tolist():
        chosen = segments == code
        found.segment_blocks[code] = Blocks.of(rows["event"][chosen], model[chosen], zero_gain[chosen])


def _plus(one: Counts | None, two: Counts | None) -> Counts | None:
    if one is None or two is None:
        return two if one is None else one
    return one + two
