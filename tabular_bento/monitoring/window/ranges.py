"""The second half of a pass: rows and labels of one range of keys together, each id once, and what they add up to.

Ranges are independent of each other and of how the log was cut into files and chunks. Within one, rows are in order of
key, and the sums of ranges are added in order: so every float of the result is the same whoever computed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import OTHER, Bins, Counts
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.monitoring.window.blocks import CELLS, YOUNGEST, Blocks, cells_of
from tabular_bento.monitoring.window.ids import Keys, contains
from tabular_bento.monitoring.window.records import INFINITE, KEY_KIND, LABEL_KIND, measurable
from tabular_bento.monitoring.window.spill import Records, Run, Slice, Spill

CLOCKS_DIFFER = 1 / HOUR
"""Hours that a label may come before its prediction without a finding."""

AHEAD = 60 / HOUR
"""Hours that a prediction may be dated after the job's own time without a finding."""

_ADDED = ("scored", "duplicates", "future", "unusable", "repeated", "contradictory", "before", "unmatched", "came")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What to add up: a row's codes by how many there are of each, and the labels by `label`'s bins.

    `now` is in seconds since 1970, `limits` are the ages in hours by which rows are grouped, ascending, and
    `sampled` the keys, sorted, of the rows whose labels are wanted one by one. `segment` is the index of the code by
    whose values all is added up apart, too. `measured` are the fields of a record that must hold numbers, and
    `on_offset` says whether the historical baseline is `gain` on top of the naive one, or `gain` by itself.
    """

    sizes: tuple[int, ...]
    label: Bins | None
    now: float
    limits: Array
    sampled: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    segment: int | None = None
    measured: tuple[str, ...] = ("predicted", "baseline")
    on_offset: bool = True


@dataclass(frozen=True)
class Range:
    """Where the rows and the labels of one range of keys are."""

    rows: list[Slice]
    labels: list[Slice]


@dataclass
class RangeSums:
    """What rows and labels add up to; `counts` holds the rows by code, and `infinite` how many of these are.

    `unmatched` labels are of no prediction among the rows; `unmatched_runs` is where their keys are. `unusable` are
    rows with no number to measure an error by, by the fields of `Sums.measured`: as without a label. `true` holds the
    labels by age, shape [ages, bins]. `by_segment` holds `counts` for each value of the segment, shape [values, codes],
    and `segment_blocks` its rows and errors.
    """

    counts: list[Counts]
    infinite: NDArray[np.int64]
    scored: int = 0
    duplicates: int = 0
    future: int = 0
    repeated: int = 0
    contradictory: int = 0
    before: int = 0
    unmatched: int = 0
    unmatched_runs: list[Run] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks.none)
    came: Counts = field(default_factory=lambda: np.zeros(CELLS, np.int64))
    unusable: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    true: Counts | None = None
    sampled: dict[int, float] = field(default_factory=dict)
    by_segment: list[Counts] | None = None
    segment_blocks: dict[int, Blocks] = field(default_factory=dict)

    @classmethod
    def none(cls, sums: Sums) -> RangeSums:
        """No rows and no labels."""
        counts, infinite = [np.zeros(size, np.int64) for size in sums.sizes], np.zeros(len(sums.sizes), np.int64)
        return cls(counts, infinite, unusable=np.zeros(len(sums.measured), np.int64))

    def add(self, other: RangeSums) -> None:
        """Add the next range."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.infinite += other.infinite
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unmatched_runs += other.unmatched_runs
        self.blocks = self.blocks + other.blocks
        self.true = _plus(self.true, other.true)
        self.sampled |= other.sampled
        if other.by_segment is not None:
            mine = self.by_segment or [np.zeros_like(each) for each in other.by_segment]
            self.by_segment = [one + two for one, two in zip(mine, other.by_segment, strict=True)]
        for code, blocks in other.segment_blocks.items():
            self.segment_blocks[code] = self.segment_blocks.get(code, Blocks.none()) + blocks


def sum_range(sums: Sums, kind: np.dtype[Any], spill: Spill, part: Range) -> RangeSums:
    """The sums of one range of what was spilled, rows being of type `kind`. Raises SpillError.

    The keys of its unmatched labels are spilled in turn.
    """
    found, unmatched = add_up(sums, spill.read(part.rows, kind), spill.read(part.labels, LABEL_KIND))
    if len(unmatched):
        found.unmatched_runs.append(spill.write(unmatched.view(KEY_KIND)))
    return found


def add_up(sums: Sums, rows: Records, labels: Records) -> tuple[RangeSums, Keys]:
    """The sums of rows and labels in any order, and the keys of the labels that are of none of the rows.

    Of several rows of one id the first by time counts. Of several labels of one prediction the one received last
    counts; equal ones are repeated, others contradictory.
    """
    found = RangeSums.none(sums)
    everything = len(rows)
    rows = _first_of_each(rows)
    found.scored, found.duplicates = len(rows), everything - len(rows)
    hours = (sums.now - rows["time"] / 1e6) / HOUR
    found.future = int((hours < -AHEAD).sum())
    age = np.where(hours < 0, YOUNGEST, cells_of(hours, sums.limits))
    latest, unmatched = _join(rows, labels, found)
    usable = np.array([measurable(rows[name]) for name in sums.measured], np.bool_)
    usable = usable.reshape(len(sums.measured), len(rows))
    found.unusable = (~usable).sum(axis=1)
    latest[~usable.all(axis=0)] = np.nan
    has = ~np.isnan(latest)
    whole = _Whole(rows, age, latest, sums.on_offset)
    found.blocks = whole.blocks()
    for index, size in enumerate(sums.sizes):
        counts = np.bincount(rows["codes"][:, index], minlength=INFINITE + 1)
        found.counts[index], found.infinite[index] = _without_infinite(counts, size), counts[INFINITE]
    if sums.label is not None:
        ages, size = len(sums.limits) + 1, sums.label.size
        indices = np.maximum(age[has], 0) * size + sums.label.indices(latest[has])
        found.true = np.bincount(indices, minlength=ages * size).reshape(ages, size)
    if sums.segment is not None:
        _by_segment(sums, sums.segment, whole, found)
    drawn = contains(sums.sampled, rows["key"]) & has
    found.sampled = dict(zip(rows["key"][drawn].tolist(), latest[drawn].tolist(), strict=True))
    return found, unmatched


@dataclass(frozen=True)
class _Whole:
    """Rows with their ages and labels, shape [n] each."""

    rows: Records
    age: Counts
    latest: Array
    on_offset: bool

    def blocks(self, chosen: Any = ...) -> Blocks:
        """Those of the chosen rows."""
        rows, latest = self.rows[chosen], self.latest[chosen]
        gain = rows["gain"].astype(np.float64)
        unknown = np.isnan(gain)  # a row unlike all before is like the naive baseline
        historical = np.where(unknown, 0.0, gain) + rows["baseline"]
        if not self.on_offset:
            historical = np.where(unknown, rows["baseline"], gain)
        errors = (rows["predicted"] - latest, rows["baseline"] - latest, historical - latest)
        return Blocks.of(rows["event"], self.age[chosen], errors, ~unknown)


def unknown_in_range(spill: Spill, part: Range) -> int:
    """How many of the unmatched keys, `labels` of the range, are not among the log's keys, its `rows`."""
    unmatched, known = spill.read(part.labels, KEY_KIND)["key"], spill.read(part.rows, KEY_KIND)["key"]
    return int((~contains(np.sort(known), unmatched)).sum())


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


def _join(rows: Records, labels: Records, found: RangeSums) -> tuple[Array, Keys]:
    """The latest label of each row, NaN where there is none, and the keys of labels of other predictions."""
    latest = np.full(len(rows), np.nan)
    known = contains(rows["key"], labels["key"])
    unmatched = np.ascontiguousarray(labels["key"][~known])
    found.unmatched = len(unmatched)
    labels = labels[known]
    labels = labels[np.lexsort((labels["value"], labels["time"], labels["key"]))]
    key, value = labels["key"], labels["value"]
    again = np.append(False, key[1:] == key[:-1])[: len(key)]
    differs = again & np.append(False, value[1:] != value[:-1])[: len(key)]
    last = ~np.append(again[1:], False)[: len(key)]
    index = np.searchsorted(rows["key"], key[last])
    latest[index] = value[last]
    delay = (labels["time"][last] - rows["time"][index]) / (HOUR * 1e6)
    found.came = np.bincount(cells_of(delay), minlength=CELLS)
    found.before = int((delay < -CLOCKS_DIFFER).sum())
    found.repeated = int((again & ~differs).sum())
    found.contradictory = len(np.unique(key[differs]))
    return latest, unmatched


def _without_infinite(counts: Counts, size: int) -> Counts:
    """Counts by code, shape [..., codes], as counts by bin: infinite values are in the bin OTHER."""
    whole = counts[..., :size].copy()
    whole[..., OTHER] += counts[..., -1]
    return whole


def _by_segment(sums: Sums, segment: int, whole: _Whole, found: RangeSums) -> None:
    codes = whole.rows["codes"]
    width, values = INFINITE + 1, sums.sizes[segment]
    segments = codes[:, segment].astype(np.int64)
    indices = (segments * width + codes[:, index] for index in range(len(sums.sizes)))
    counts = (np.bincount(each, minlength=values * width).reshape(values, width) for each in indices)
    found.by_segment = [_without_infinite(each, size) for each, size in zip(counts, sums.sizes, strict=True)]
    found.segment_blocks = {code: whole.blocks(segments == code) for code in np.unique(segments).tolist()}


def _plus(one: Counts | None, two: Counts | None) -> Counts | None:
    if one is None or two is None:
        return two if one is None else one
    return one + two
