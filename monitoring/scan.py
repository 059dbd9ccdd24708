"""The pass over a window of the traffic log: every row counts, and memory does not grow with the window.

The log is read once, and some 70 bytes of each row are set aside (`monitoring.reading`), with all outcomes of any time.
Then range after range of the keys is taken up, where a row, its repetitions and its outcomes meet
(`monitoring.ranges`). What is kept are counts by bin, sums by hour, and a sample.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from data.schema import Kind
from monitoring.errors import WindowError
from monitoring.ids import Keys, keys_of
from monitoring.outcomes import Joined
from monitoring.profile import OUTCOME
from monitoring.ranges import Range, RangeSums, Sums, sum_range, unknown_in_range
from monitoring.reading import (
    NEEDED,
    OUTCOME_COLUMNS,
    Plan,
    RowsRead,
    Watched,
    all_keys,
    over_log,
    read_models,
    read_outcomes,
    read_rows,
)
from monitoring.reference import Reference, ReferenceColumn
from monitoring.sample import Sample
from monitoring.spill import Run, Spill, cut, ranges, spill_folder
from monitoring.window import Query, RowCounts, WindowData, outcome_of, window_data
from monitoring.workers import ThisProcess, Workers

_FLOATS = (Kind.NUMBER, Kind.INTEGER)


def models_in(query: Query, workers: Workers | None = None) -> Counter[str]:
    """How many of the window's rows name each model."""
    models: Counter[str] = Counter()
    log = query.log
    segments, shape = log.segments(), None
    if log.kinds():
        shape = log.shape(query.start, query.end, ["model"], query.on)
    if shape is not None:
        reading = partial(read_models, shape)
        for read in over_log(log, segments, shape, workers or ThisProcess(), reading, "looking for models"):
            models += read.models
    return models


def read_window(
    query: Query,
    reference: Reference,
    sample: int,
    seed: int,
    workers: Workers | None = None,
    spill: str | None = None,
) -> WindowData:
    """Read the rows that the reference's model predicted in the window, each id once, and join all outcomes with them.

    `spill` is the folder to set rows aside in, a path or URI, by default that for temporary files.

    Raises LogError where the log cannot be read, WindowError where it lacks a column that every row must have,
    SpillError where rows cannot be set aside, ClusterError where workers fail.
    """
    with spill_folder(spill) as folder:
        return _Pass(query, reference, sample, seed, workers or ThisProcess(), folder).run()


@dataclass(frozen=True)
class _Pass:
    query: Query
    reference: Reference
    sample: int
    seed: int
    workers: Workers
    spill: Spill

    def run(self) -> WindowData:
        now = time.time_ns() // 1_000
        log = self.query.log
        segments = log.segments()  # listed first: a segment's schema is there before it is
        kinds = log.kinds()
        if missing := [name for name in NEEDED if kinds and name not in kinds]:
            raise WindowError(
                f"The log under {self.query.directory} has no column {missing[0]!r}: it cannot be judged."
            )
        unreadable = {column.name: why for column in self.reference.columns if (why := _why_unreadable(column, kinds))}
        watched = [
            Watched(column.name, column.log_name, column.bins)
            for column in self.reference.columns
            if column.name not in unreadable
        ]
        names = list(dict.fromkeys([*NEEDED, *(column.log_name for column in watched)]))
        found = RowsRead(sample=Sample(self.sample, self.seed))
        plan = None
        if kinds and (shape := log.shape(self.query.start, self.query.end, names, self.query.on)):
            plan = Plan(shape, self.reference.model, tuple(watched), self.sample, self.seed, self.spill)
            reading = partial(read_rows, plan)
            for read in over_log(log, segments, shape, self.workers, reading, "reading predictions"):
                _gather(found, read)
        came = self._outcomes()
        assert found.sample is not None
        drawn = found.sample.rows()
        sums = Sums.of(watched, self.reference, now, _keys(drawn))
        total = RangeSums.none(sums)
        if plan is not None:
            places = ranges(sum(run.rows for run in (*found.runs, *came.runs)))
            tasks = [Range(cut(found.runs, *place), cut(came.runs, *place)) for place in places]
            summing = partial(sum_range, sums, plan.kind, self.spill)
            for part in self.workers.map(summing, tasks, "joining outcomes"):
                total.add(part)
        unknown = self._unknown(total.strange_runs)
        joined = Joined.of(total, came, unknown)
        counts = RowCounts(
            total.scored,
            total.duplicates,
            found.other_models,
            found.without_id,
            found.lines.torn,
            found.lines.bad,
            found.lines.examples,
        )
        return window_data(
            watched,
            counts,
            total,
            found.ranges,
            joined,
            outcome_of(self.reference, total),
            unreadable,
            _with_outcomes(drawn, total.sampled),
        )

    def _outcomes(self) -> RowsRead:
        """All outcomes, set aside."""
        log, found = self.query.outcomes, RowsRead()
        segments, shape = log.segments(), None
        if log.kinds():
            shape = log.shape(columns=OUTCOME_COLUMNS)
        if shape is not None:
            reading = partial(read_outcomes, shape, self.spill)
            for read in over_log(log, segments, shape, self.workers, reading, "reading outcomes"):
                _gather(found, read)
        return found

    def _unknown(self, strange: list[Run]) -> int:
        """How many outcomes are of predictions that the log does not hold: one more pass over its ids, if need be."""
        if not strange:
            return 0
        keys = all_keys(self.query.log, self.spill, self.workers)
        places = ranges(sum(run.rows for run in (*keys, *strange)))
        tasks = [Range(cut(keys, *place), cut(strange, *place)) for place in places]
        return sum(self.workers.map(partial(unknown_in_range, self.spill), tasks, "looking up strange outcomes"))


def _gather(found: RowsRead, read: RowsRead) -> None:
    found.lines.merge(read.lines)
    found.other_models += read.other_models
    found.without_id += read.without_id
    found.bad += read.bad
    found.runs += read.runs
    for name, (low, high) in read.ranges.items():
        before = found.ranges.get(name, (np.inf, -np.inf))
        found.ranges[name] = min(low, before[0]), max(high, before[1])
    if found.sample is not None and read.sample is not None:
        found.sample.merge(read.sample)


def _keys(sample: pa.Table) -> Keys:
    if not sample.num_rows:
        return np.empty(0, np.uint64)
    return keys_of(sample["prediction_id"].combine_chunks())


def _with_outcomes(sample: pa.Table, latest: dict[int, float]) -> pa.Table:
    if not sample.num_rows:
        return sample
    return sample.append_column(OUTCOME, pa.array([latest.get(key) for key in _keys(sample).tolist()], pa.float64()))


def _why_unreadable(column: ReferenceColumn, kinds: dict[str, set[Kind]]) -> str | None:
    if not kinds:
        return None
    found = kinds.get(column.log_name)
    if found is None:
        return "absent"
    expected = _FLOATS if column.kind == "number" else (Kind.TEXT,)
    return None if found <= set(expected) else "wrong_kind"
