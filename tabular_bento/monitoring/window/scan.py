"""The pass over a window of the traffic log: every row counts, and memory does not grow with the window.

The log is read once, and some 80 bytes of each row are spilled (`window.reading`), with all labels of any time. Then
range after range of the keys is taken up, where a row, its repetitions and its labels meet (`window.ranges`). What is
kept are counts by bin, sums by hour, and a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.errors import WindowError
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.vocabulary import TEXT_KINDS, NewValues
from tabular_bento.monitoring.window.blocks import GRID
from tabular_bento.monitoring.window.data import Joined, Query, RowCounts, WindowData, segments_of, tallies_of
from tabular_bento.monitoring.window.first_look import segment_values
from tabular_bento.monitoring.window.ids import Keys, Sample, keys_of
from tabular_bento.monitoring.window.ranges import Range, RangeSums, Sums, sum_range, unknown_in_range
from tabular_bento.monitoring.window.reading import Plan, RowsRead, all_keys, over_log, read_labels, read_rows
from tabular_bento.monitoring.window.records import (
    LABEL_COLUMNS,
    Kinds,
    Measured,
    Watched,
    needed_columns,
    unreadable,
    why_unreadable,
)
from tabular_bento.monitoring.window.spill import Run, Spill, cut, ranges, spill_folder
from tabular_bento.monitoring.window.workers import ThisProcess, Workers
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import LABEL, input_column


@dataclass(frozen=True)
class ExecutionOptions:
    """How a pass is executed.

    Parameters
    ----------
    workers : Workers
        Who reads; by default this process.
    spill : str, optional
        Folder for what is spilled, a path or URI; by default that for temporary files.
    now : datetime, optional
        The time that ages are counted to; by default now.
    """

    workers: Workers = field(default_factory=ThisProcess)
    spill: str | None = None
    now: datetime | None = None


def limits(maturity_hours: float | None) -> NDArray[np.float64]:
    """The ages in hours that may turn out to be the one from which a label is due, ascending, shape [l]; or the one
    that is set.
    """
    return GRID if maturity_hours is None else np.array([maturity_hours])


def read_window(
    query: Query,
    reference: Reference,
    options: ExecutionOptions | None = None,
    *,
    sample: int = 5_000,
    seed: int = 0,
    maturity_hours: float | None = None,
) -> WindowData:
    """Read the rows that the reference's model predicted in the window, each id once, and join all labels with them.

    Nothing is read of a log that lacks a column that every row must have, or holds it as another kind.

    Parameters
    ----------
    query : Query
        The window.
    reference : Reference
        The model's reference.
    options : ExecutionOptions, optional
        How the pass is executed.
    sample, seed : int
        Rows that are kept one by one, and the seed that they are drawn by.
    maturity_hours : float, optional
        The age from which a label is due; by default any may turn out to be it.

    Raises
    ------
    LogError
        Where the log cannot be read.
    WindowError
        Where the window cannot be broken down as asked for.
    SpillError
        Where rows cannot be spilled.
    ClusterError
        Where workers fail.
    """
    options = options or ExecutionOptions()
    if reference.declaration is not None:
        evaluator_of(reference.declaration.task)
    with spill_folder(options.spill) as spill:
        drawn = Sample(sample, seed)
        now = options.now or datetime.now(UTC)
        return _Pass(query, reference, options.workers, spill, now, drawn, sample, seed, limits(maturity_hours)).run()


@dataclass(frozen=True)
class _Pass:
    query: Query
    reference: Reference
    workers: Workers
    spill: Spill
    now: datetime
    drawn: Sample
    sample: int
    seed: int
    limits: NDArray[np.float64]

    def run(self) -> WindowData:
        log, declaration = self.query.log, self.reference.declaration
        files = log.log_files()  # listed first: a file's schema is there before it is
        kinds = log.kinds()
        broken = unreadable(needed_columns(declaration), kinds)
        columns = {
            column.name: why
            for column in self.reference.columns
            if (why := why_unreadable(column.log_name, column.kind, kinds))
        }
        readable = [column for column in self.reference.columns if column.name not in columns]
        watched = tuple(Watched(column.name, column.log_name, column.bins) for column in readable)
        vocabularies = self.reference.vocabularies
        not_texts = {
            name: why for name in vocabularies if (why := why_unreadable(input_column(name), Kind.TEXT, kinds))
        }
        texts = tuple(
            (name, input_column(name), known.values) for name, known in vocabularies.items() if name not in not_texts
        )
        segment = None if broken else self._segment(kinds)
        measured = Measured.of(declaration, self.reference.naive_baseline)
        if not kinds or (measured.historical and why_unreadable(measured.historical, Kind.NUMBER, kinds)):
            measured = replace(measured, historical=None)

        found = RowsRead(sample=self.drawn)
        found.texts = {name: NewValues(known.values) for name, known in vocabularies.items()}
        names = [*(needed.name for needed in needed_columns(declaration)), *(column.log_name for column in watched)]
        names += [*(log_name for _, log_name, _ in texts), *([measured.historical] if measured.historical else [])]
        names = list(dict.fromkeys([*names, *([segment.log_name] if segment else [])]))
        sums = self._sums(watched, texts, segment, measured, pa.table({}))
        total, came, drawn = RangeSums.none(sums), RowsRead(), pa.table({})
        if not broken and (projection := log.projection(self.query.start, self.query.end, names, self.query.column)):
            model = self.reference.model
            plan = Plan(projection, model, watched, texts, measured, segment, self.sample, self.seed, self.spill)
            reading = partial(read_rows, plan)
            for read in over_log(log, files, projection, self.workers, reading, "reading predictions"):
                _gather(found, read)
            came, drawn = self._labels(), self.drawn.rows()
            sums = self._sums(watched, texts, segment, measured, drawn)
            summing = partial(sum_range, sums, plan.kind, self.spill)
            for part in self.workers.map(summing, *_tasks(found.runs, came.runs, "joining labels")):
                total.add(part)
        for (name, _, _), kinds_of_text in zip(texts, total.counts[len(watched) :], strict=False):
            found.texts[name].recount(kinds_of_text)
        return WindowData(
            now=self.now,
            dated=measured.event is not None,
            rows=_row_counts(found, total, measured),
            tallies=tallies_of(watched, total, found.ranges),
            unreadable=columns,
            blocks=total.blocks,
            joined=Joined.of(total, came, self._unknown(total.unmatched_runs)),
            true=total.true,
            sample=_with_labels(drawn, total.sampled),
            texts=found.texts,
            texts_unreadable=not_texts,
            broken=broken,
            labels_broken=unreadable(LABEL_COLUMNS, self.query.labels.kinds()),
            segments=segments_of(segment, watched, total),
        )

    def _segment(self, kinds: Kinds) -> Watched | None:
        """The values that the window is broken down by; None where it is not, or the log lacks the field."""
        by, declaration = self.query.by, self.reference.declaration
        if by is None or declaration is None:
            return None
        if by not in declaration.segments:
            choice = (
                f"choose {' or '.join(declaration.segments)}" if declaration.segments else "it declares no segments"
            )
            raise WindowError(f"A window of {declaration.name} cannot be broken down by {by!r}; {choice}.")
        if not kinds or why_unreadable(input_column(by), declaration.field(by).kind, kinds):
            return None
        return segment_values(self.query, by, self.reference, self.workers)

    def _sums(
        self,
        watched: Sequence[Watched],
        texts: Sequence[object],
        segment: Watched | None,
        measured: Measured,
        drawn: pa.Table,
    ) -> Sums:
        sizes = (*(column.bins.size for column in watched), *(TEXT_KINDS for _ in texts))
        label = self.reference.label.bins if self.reference.label else None
        last = len(sizes) if segment else None
        sizes = (*sizes, segment.bins.size) if segment else sizes
        keys, on_offset = np.sort(_keys(drawn)), measured.offset is not None
        return Sums(
            sizes, label, self.now.timestamp(), self.limits, keys, last, tuple(measured.columns), on_offset=on_offset
        )

    def _labels(self) -> RowsRead:
        """All labels, spilled; none where the log does not hold them as they must be."""
        log, found = self.query.labels, RowsRead()
        files = log.log_files()
        if unreadable(LABEL_COLUMNS, log.kinds()):
            return found
        if projection := log.projection(columns=[each.name for each in LABEL_COLUMNS]):
            reading = partial(read_labels, projection, self.spill)
            for read in over_log(log, files, projection, self.workers, reading, "reading labels"):
                _gather(found, read)
        return found

    def _unknown(self, unmatched: list[Run]) -> int:
        """How many labels are of predictions that the log does not hold: one more pass over its ids, if need be."""
        if not unmatched:
            return 0
        keys = all_keys(self.query.log, self.spill, self.workers)
        looking_up = partial(unknown_in_range, self.spill)
        return sum(self.workers.map(looking_up, *_tasks(keys, unmatched, "looking up unmatched labels")))


def _tasks(rows: list[Run], labels: list[Run], what: str) -> tuple[Iterator[Range], str, int]:
    """The ranges, each cut when it is taken up, as all together would be a slice of every run for every range; what is
    done with them, and how many they are.
    """
    found = ranges(sum(run.rows for run in (*rows, *labels)))
    return (Range(cut(rows, *each), cut(labels, *each)) for each in found), what, len(found)


def _row_counts(found: RowsRead, total: RangeSums, measured: Measured) -> RowCounts:
    return RowCounts(
        scored=total.scored,
        duplicates=total.duplicates,
        future=total.future,
        unusable={name: int(n) for name, n in zip(measured.columns.values(), total.unusable, strict=True) if n},
        other_models=found.other_models,
        without_id=found.without_id,
        truncated=found.lines.truncated,
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


def _with_labels(sample: pa.Table, latest: dict[int, float]) -> pa.Table:
    if not sample.num_rows:
        return sample
    return sample.append_column(LABEL, pa.array([latest.get(key) for key in _keys(sample).tolist()], pa.float64()))
