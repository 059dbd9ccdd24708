"""The pass over a window of the traffic log: every row counts, and memory does not grow with the window.

The log is read once, and some 80 bytes of each row are set aside (`monitoring.reading`), with all outcomes of any time.
Then range after range of the keys is taken up, where a row, its repetitions and its outcomes meet
(`monitoring.ranges`). What is kept are counts by bin, sums by hour, and a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa

from data.schema import Kind
from features.definition import HISTORICAL_GAIN
from monitoring.errors import WindowError
from monitoring.ids import Keys, keys_of
from monitoring.outcomes import Joined
from monitoring.profile import OUTCOME
from monitoring.ranges import Range, RangeSums, Sums, sum_range, unknown_in_range
from monitoring.reading import (
    MEASURED,
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
from monitoring.realised import limits
from monitoring.reference import Reference, ReferenceColumn
from monitoring.sample import Sample
from monitoring.segments import segment_column, segments_of
from monitoring.settings import DriftSettings
from monitoring.spill import Run, Spill, cut, ranges, spill_folder
from monitoring.vocabulary import TEXT_KINDS, NewValues
from monitoring.window import Query, RowCounts, WindowData, tallies_of
from monitoring.workers import ThisProcess, Workers
from scoring.traffic import FEATURE_PREFIX

_FLOATS = (Kind.NUMBER, Kind.INTEGER)


@dataclass(frozen=True)
class Means:
    """What a pass works with: who does the work, the folder for what is set aside (a path or URI, by default that for
    temporary files), and the time that ages are counted to, by default now.
    """

    workers: Workers = field(default_factory=ThisProcess)
    spill: str | None = None
    now: datetime | None = None


def models_in(query: Query, means: Means | None = None) -> Counter[str]:
    """How many of the window's rows name each model."""
    models: Counter[str] = Counter()
    log = query.log
    segments, shape = log.segments(), None
    if log.kinds():
        shape = log.shape(query.start, query.end, ["model"], query.on)
    if shape is not None:
        reading = partial(read_models, shape)
        for read in over_log(log, segments, shape, (means or Means()).workers, reading, "looking for models"):
            models += read.models
    return models


def read_window(query: Query, reference: Reference, settings: DriftSettings, means: Means | None = None) -> WindowData:
    """Read the rows that the reference's model predicted in the window, each id once, and join all outcomes with them.

    Raises LogError where the log cannot be read, WindowError where it lacks a column that every row must have,
    SpillError where rows cannot be set aside, ClusterError where workers fail.
    """
    means = means or Means()
    with spill_folder(means.spill) as spill:
        return _Pass(query, reference, settings, means.workers, spill, means.now or datetime.now(UTC)).run()


@dataclass(frozen=True)
class _Pass:
    query: Query
    reference: Reference
    settings: DriftSettings
    workers: Workers
    spill: Spill
    now: datetime

    def run(self) -> WindowData:
        log = self.query.log
        segments = log.segments()  # listed first: a segment's schema is there before it is
        kinds = log.kinds()
        if missing := [name for name in NEEDED if kinds and name not in kinds]:
            where = self.query.directory
            raise WindowError(f"The log under {where} has no column {missing[0]!r}, so it cannot be judged.")
        unreadable = {column.name: why for column in self.reference.columns if (why := _why_unreadable(column, kinds))}
        readable = [column for column in self.reference.columns if column.name not in unreadable]
        watched = tuple(Watched(column.name, column.log_name, column.bins) for column in readable)
        vocabularies = self.reference.vocabularies
        texts_unreadable = {name: why for name in vocabularies if (why := _why_not_text(name, kinds))}
        texts = tuple((name, known) for name, known in vocabularies.items() if name not in texts_unreadable)
        segment = segment_column(self.query, self.reference.model, self.workers)
        history = FEATURE_PREFIX + HISTORICAL_GAIN if FEATURE_PREFIX + HISTORICAL_GAIN in kinds else None

        settings = self.settings
        found = RowsRead(sample=Sample(settings.sample, settings.seed))
        found.texts = {name: NewValues(known) for name, known in vocabularies.items()}
        names = [*NEEDED, *([history] if history else []), *(column.log_name for column in watched)]
        names = list(dict.fromkeys([*names, *(name for name, _ in texts), *([segment.log_name] if segment else [])]))
        total, came, drawn = RangeSums.none(self._sums(watched, texts, segment, pa.table({}))), RowsRead(), pa.table({})
        if kinds and (shape := log.shape(self.query.start, self.query.end, names, self.query.on)):
            model, sample = self.reference.model, settings.sample
            plan = Plan(shape, model, watched, texts, history, segment, sample, settings.seed, self.spill)
            reading = partial(read_rows, plan)
            for read in over_log(log, segments, shape, self.workers, reading, "reading predictions"):
                _gather(found, read)
            assert found.sample is not None
            came, drawn = self._outcomes(), found.sample.rows()
            summing = partial(sum_range, self._sums(watched, texts, segment, drawn), plan.kind, self.spill)
            for part in self.workers.map(summing, _tasks(found.runs, came.runs), "joining outcomes"):
                total.add(part)
        for (name, _), kinds_of_text in zip(texts, total.counts[len(watched) :], strict=False):
            found.texts[name].recount(kinds_of_text)
        return WindowData(
            now=self.now,
            rows=_row_counts(found, total),
            tallies=tallies_of(watched, total, found.ranges),
            unreadable=unreadable,
            blocks=total.blocks,
            joined=Joined.of(total, came, self._unknown(total.strange_runs)),
            true=total.true,
            sample=_with_outcomes(drawn, total.sampled),
            texts=found.texts,
            texts_unreadable=texts_unreadable,
            segments=segments_of(segment, watched, total),
        )

    def _sums(
        self, watched: Sequence[Watched], texts: Sequence[object], segment: Watched | None, drawn: pa.Table
    ) -> Sums:
        sizes = (*(column.bins.size for column in watched), *(TEXT_KINDS for _ in texts))
        outcome = self.reference.outcome.bins if self.reference.outcome else None
        last = len(sizes) if segment else None
        sizes = (*sizes, segment.bins.size) if segment else sizes
        return Sums(sizes, outcome, self.now.timestamp(), limits(self.settings), np.sort(_keys(drawn)), last)

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
        tasks = _tasks(all_keys(self.query.log, self.spill, self.workers), strange)
        return sum(self.workers.map(partial(unknown_in_range, self.spill), tasks, "looking up strange outcomes"))


def _tasks(rows: list[Run], outcomes: list[Run]) -> list[Range]:
    places = ranges(sum(run.rows for run in (*rows, *outcomes)))
    return [Range(cut(rows, *place), cut(outcomes, *place)) for place in places]


def _row_counts(found: RowsRead, total: RangeSums) -> RowCounts:
    return RowCounts(
        scored=total.scored,
        duplicates=total.duplicates,
        future=total.future,
        unusable={name: int(n) for name, n in zip(MEASURED.values(), total.unusable, strict=True) if n},
        other_models=found.other_models,
        without_id=found.without_id,
        torn=found.lines.torn,
        bad=found.lines.bad,
        examples=found.lines.examples,
    )


def _gather(found: RowsRead, read: RowsRead) -> None:
    found.lines.merge(read.lines)
    found.other_models += read.other_models
    found.without_id += read.without_id
    found.bad += read.bad
    found.runs += read.runs
    for name, (low, high) in read.ranges.items():
        before = found.ranges.get(name, (np.inf, -np.inf))
        found.ranges[name] = min(low, before[0]), max(high, before[1])
    for name, values in read.texts.items():
        found.texts[name].merge(values)
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


def _why_not_text(name: str, kinds: dict[str, set[Kind]]) -> str | None:
    if not kinds or kinds.get(name) == {Kind.TEXT}:
        return None
    return "wrong_kind" if name in kinds else "absent"


def _why_unreadable(column: ReferenceColumn, kinds: dict[str, set[Kind]]) -> str | None:
    if not kinds:
        return None
    found = kinds.get(column.log_name)
    if found is None:
        return "absent"
    expected = _FLOATS if column.kind == "number" else (Kind.TEXT,)
    return None if found <= set(expected) else "wrong_kind"
