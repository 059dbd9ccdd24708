"""The pass over a window of the traffic log: every row counts, and memory does not grow with the window.

The log is read once, and some 80 bytes of each row are set aside (`window.reading`), with all outcomes of any time.
Then range after range of the keys is taken up, where a row, its repetitions and its outcomes meet (`window.ranges`).
What is kept are counts by bin, sums by hour, and a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa

from features.definition import HISTORICAL_GAIN, SEGMENTS
from tabular_bento.errors import WindowError
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.evaluation.reference.profile import OUTCOME
from tabular_bento.evaluation.reference.vocabulary import TEXT_KINDS, NewValues
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, RowCounts, WindowData, tallies_of
from tabular_bento.monitoring.window.first_look import segment_values
from tabular_bento.monitoring.window.ids import Keys, keys_of
from tabular_bento.monitoring.window.outcomes import Joined
from tabular_bento.monitoring.window.ranges import Range, RangeSums, Sums, sum_range, unknown_in_range
from tabular_bento.monitoring.window.readable import Kinds, unreadable, why_unreadable
from tabular_bento.monitoring.window.reading import (
    NEEDED,
    Plan,
    RowsRead,
    all_keys,
    over_log,
    read_outcomes,
    read_rows,
)
from tabular_bento.monitoring.window.realised import limits
from tabular_bento.monitoring.window.records import MEASURED, Watched
from tabular_bento.monitoring.window.sample import Sample
from tabular_bento.monitoring.window.segments import segments_of
from tabular_bento.monitoring.window.spill import Run, Spill, cut, ranges, spill_folder
from tabular_bento.monitoring.window.workers import ThisProcess, Workers
from tabular_bento.schema import Kind
from tabular_bento.traffic.log import FEATURE_PREFIX, OUTCOME_SCHEMA

_GAIN = FEATURE_PREFIX + HISTORICAL_GAIN


@dataclass(frozen=True)
class Means:
    """What a pass works with: who does the work, the folder for what is set aside (a path or URI, by default that for
    temporary files), and the time that ages are counted to, by default now.
    """

    workers: Workers = field(default_factory=ThisProcess)
    spill: str | None = None
    now: datetime | None = None


def read_window(query: Query, reference: Reference, settings: DriftSettings, means: Means | None = None) -> WindowData:
    """Read the rows that the reference's model predicted in the window, each id once, and join all outcomes with them.

    Nothing is read of a log that lacks a column that every row must have, or holds it as another kind.

    Raises LogError where the log cannot be read, WindowError where it cannot be broken down as asked for, SpillError
    where rows cannot be set aside, ClusterError where workers fail.
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
        broken = unreadable(NEEDED, kinds)
        columns = {column.name: why for column in self.reference.columns if (why := _why_unreadable(column, kinds))}
        readable = [column for column in self.reference.columns if column.name not in columns]
        watched = tuple(Watched(column.name, column.log_name, column.bins) for column in readable)
        vocabularies = self.reference.vocabularies
        not_texts = {name: why for name in vocabularies if (why := why_unreadable(name, Kind.TEXT, kinds))}
        texts = tuple((name, known) for name, known in vocabularies.items() if name not in not_texts)
        segment = None if broken else self._segment(kinds)
        history = _GAIN if kinds and not why_unreadable(_GAIN, Kind.NUMBER, kinds) else None

        settings = self.settings
        found = RowsRead(sample=Sample(settings.sample, settings.seed))
        found.texts = {name: NewValues(known) for name, known in vocabularies.items()}
        names = [*(needed.name for needed in NEEDED), *(column.log_name for column in watched)]
        names += [
            *(name for name, _ in texts),
            *([history] if history else []),
            *([segment.log_name] if segment else []),
        ]
        names = list(dict.fromkeys(names))
        total, came, drawn = RangeSums.none(self._sums(watched, texts, segment, pa.table({}))), RowsRead(), pa.table({})
        if not broken and (shape := log.shape(self.query.start, self.query.end, names, self.query.on)):
            model, sample = self.reference.model, settings.sample
            plan = Plan(shape, model, watched, texts, history, segment, sample, settings.seed, self.spill)
            reading = partial(read_rows, plan)
            for read in over_log(log, segments, shape, self.workers, reading, "reading predictions"):
                _gather(found, read)
            assert found.sample is not None
            came, drawn = self._outcomes(), found.sample.rows()
            summing = partial(sum_range, self._sums(watched, texts, segment, drawn), plan.kind, self.spill)
            for part in self.workers.map(summing, *_tasks(found.runs, came.runs, "joining outcomes")):
                total.add(part)
        for (name, _), kinds_of_text in zip(texts, total.counts[len(watched) :], strict=False):
            found.texts[name].recount(kinds_of_text)
        return WindowData(
            now=self.now,
            rows=_row_counts(found, total),
            tallies=tallies_of(watched, total, found.ranges),
            unreadable=columns,
            blocks=total.blocks,
            joined=Joined.of(total, came, self._unknown(total.strange_runs)),
            true=total.true,
            sample=_with_outcomes(drawn, total.sampled),
            texts=found.texts,
            texts_unreadable=not_texts,
            broken=broken,
            outcomes_broken=unreadable(OUTCOME_SCHEMA, self.query.outcomes.kinds()),
            segments=segments_of(segment, watched, total),
        )

    def _segment(self, kinds: Kinds) -> Watched | None:
        """The values that the window is broken down by; None where it is not, or the log does not hold them as text."""
        by = self.query.by
        if by is not None and by not in SEGMENTS:
            raise WindowError(f"A window cannot be broken down by {by!r}; choose {' or '.join(SEGMENTS)}.")
        if by is None or not kinds or why_unreadable(by, Kind.TEXT, kinds):
            return None
        return segment_values(self.query, by, self.reference, self.workers)

    def _sums(
        self, watched: Sequence[Watched], texts: Sequence[object], segment: Watched | None, drawn: pa.Table
    ) -> Sums:
        sizes = (*(column.bins.size for column in watched), *(TEXT_KINDS for _ in texts))
        outcome = self.reference.outcome.bins if self.reference.outcome else None
        last = len(sizes) if segment else None
        sizes = (*sizes, segment.bins.size) if segment else sizes
        return Sums(sizes, outcome, self.now.timestamp(), limits(self.settings), np.sort(_keys(drawn)), last)

    def _outcomes(self) -> RowsRead:
        """All outcomes, set aside; none where the log does not hold them as they must be."""
        log, found = self.query.outcomes, RowsRead()
        segments = log.segments()
        if unreadable(OUTCOME_SCHEMA, log.kinds()):
            return found
        if shape := log.shape(columns=[each.name for each in OUTCOME_SCHEMA]):
            reading = partial(read_outcomes, shape, self.spill)
            for read in over_log(log, segments, shape, self.workers, reading, "reading outcomes"):
                _gather(found, read)
        return found

    def _unknown(self, strange: list[Run]) -> int:
        """How many outcomes are of predictions that the log does not hold: one more pass over its ids, if need be."""
        if not strange:
            return 0
        keys = all_keys(self.query.log, self.spill, self.workers)
        looking_up = partial(unknown_in_range, self.spill)
        return sum(self.workers.map(looking_up, *_tasks(keys, strange, "looking up strange outcomes")))


def _tasks(rows: list[Run], outcomes: list[Run], what: str) -> tuple[Iterator[Range], str, int]:
    """The ranges, each cut when it is taken up, as all together would be a slice of every run for every range; what is
    done with them, and how many they are.
    """
    places = ranges(sum(run.rows for run in (*rows, *outcomes)))
    return (Range(cut(rows, *place), cut(outcomes, *place)) for place in places), what, len(places)


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


def _why_unreadable(column: ReferenceColumn, kinds: Kinds) -> str | None:
    return why_unreadable(column.log_name, Kind.NUMBER if column.kind == "number" else Kind.TEXT, kinds)
