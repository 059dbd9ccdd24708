"""The pass over a window of the traffic log: every row counts, and memory does not grow with the window.

The log is read once (`window.reading`): rows are counted, and some 100 bytes of each are spilled, with all labels of
any time. Then DuckDB joins them, partition after partition (`window.joining`). What is kept are counts by bin, sums by
hour, and a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.errors import WindowError
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.reference.bins import FIRST, MISSING, OTHER
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.vocabulary import TEXT_KINDS, NewValues
from tabular_bento.monitoring.window.blocks import GRID
from tabular_bento.monitoring.window.data import (
    Joined,
    Kinds,
    Query,
    RowCounts,
    SegmentData,
    Watched,
    WindowData,
    event_column,
    label_columns,
    needed_columns,
    unreadable,
    why_unreadable,
)
from tabular_bento.monitoring.window.errors import RowErrors
from tabular_bento.monitoring.window.ids import Keys, Sample, keys_of
from tabular_bento.monitoring.window.joining import Join, JoinSums, count_unknown, join_partitions
from tabular_bento.monitoring.window.reading import (
    Plan,
    RowsRead,
    over_log,
    read_keys,
    read_labels,
    read_rows,
    segment_values,
)
from tabular_bento.monitoring.window.spill import Spill, partitions_of, spill_folder
from tabular_bento.monitoring.window.workers import ThisProcess, Workers
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import LABEL, input_column

OTHERS, EMPTY = "(others)", "(empty)"

MEMORY = 256
"""Megabytes that DuckDB may hold in each thread or worker, unless something else is asked for."""

SESSION = 4
"""Partitions that are joined in one session of DuckDB, whose start takes some hundredths of a second."""


@dataclass(frozen=True)
class ExecutionOptions:
    """How a pass is executed.

    Parameters
    ----------
    workers : Workers
        Who reads; by default this process.
    spill : str, optional
        Folder for what is spilled; by default that for temporary files.
    now : datetime, optional
        The time that ages are counted to; by default now.
    memory : int
        Megabytes that DuckDB may hold in each thread or worker before it spills.
    """

    workers: Workers = field(default_factory=ThisProcess)
    spill: str | None = None
    now: datetime | None = None
    memory: int = MEMORY


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

    Nothing is read of a log that lacks a column that every row must have, or holds it as another kind. A damaged file
    is reported, and the rest is read.

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
    parts = (part for log in (query.log, query.labels) for part in (*log.log_files(), *log.sealed(None, set())))
    with spill_folder(options.spill, partitions_of(sum(part.bytes for part in parts))) as spill:
        now = options.now or datetime.now(UTC)
        return _Pass(query, reference, options, spill, now, sample, seed, limits(maturity_hours)).run()


@dataclass(frozen=True)
class _Pass:
    query: Query
    reference: Reference
    options: ExecutionOptions
    spill: Spill
    now: datetime
    sample: int
    seed: int
    limits: NDArray[np.float64]

    def run(self) -> WindowData:
        reference = self.reference
        files = self.query.log.log_files()  # listed first: a file's schema is there before it is
        kinds = self.query.log.kinds()
        broken = unreadable(needed_columns(reference.declaration), kinds)
        unread = {
            column.name: why
            for column in reference.columns
            if (why := why_unreadable(column.log_name, column.kind, kinds))
        }
        texts_unread = {
            name: why
            for name in reference.vocabularies
            if (why := why_unreadable(input_column(name), Kind.TEXT, kinds))
        }
        plan = self._plan(kinds, unread, texts_unread, None if broken else self._segment(kinds))
        found, labels, known = RowsRead(sample=Sample(self.sample, self.seed)), RowsRead(), RowsRead()
        found.counts = plan.counts()
        found.texts = {name: NewValues(each.values) for name, each in reference.vocabularies.items()}
        if kinds and not broken:
            self._read_rows(plan, files, found)
            self._read_labels(plan, labels)
        drawn = found.sample.rows() if found.sample else pa.table({})
        join = Join(
            plan=plan,
            rows=tuple(found.spilled),
            labels=tuple(labels.spilled),
            now=self.now.timestamp(),
            limits=self.limits,
            sampled=_keys(drawn),
            memory=self.options.memory,
        )
        total = self._add_up(join)
        found.counts.take_out(total.surplus)
        unknown = self._unknown(join, known) if total.labels > total.matched else 0
        for index, (name, _, _) in enumerate(plan.texts, len(plan.columns)):
            found.texts[name].recount(found.counts.by_code(index, TEXT_KINDS))
        return WindowData(
            now=self.now,
            dated=plan.event is not None,
            rows=RowCounts(
                scored=total.scored,
                duplicates=total.duplicates,
                future=total.future,
                unusable={name: int(n) for name, n in zip(plan.errors.required, total.unusable, strict=True) if n},
                other_models=found.other_models,
                without_id=found.without_id,
                truncated=found.lines.truncated,
                bad=found.lines.bad,
                examples=found.lines.examples,
            ),
            tallies={column.name: found.counts.tally(i, column.bins) for i, column in enumerate(plan.columns)},
            unreadable=unread,
            blocks=total.blocks.blocks(),
            joined=Joined(
                total.came,
                repeated=total.repeated,
                contradictory=total.contradictory,
                elsewhere=total.labels - total.matched - unknown,
                unknown=unknown,
                before=total.before,
                truncated=labels.lines.truncated,
                bad=labels.bad + labels.lines.bad,
            ),
            true=total.true,
            sample=_with_labels(drawn, total.sampled),
            texts=found.texts,
            texts_unreadable=texts_unread,
            broken=broken,
            labels_broken=unreadable(label_columns(reference.declaration), self.query.labels.kinds()),
            segments=list(_segments(plan, found, total)),
            damaged=found.damaged | labels.damaged | known.damaged,
        )

    def _plan(
        self, kinds: Kinds, unread: Mapping[str, str], texts_unread: Mapping[str, str], segment: Watched | None
    ) -> Plan:
        """What is to be read, less the columns and texts that cannot be."""
        reference, errors = self.reference, RowErrors.of(self.reference)
        return Plan(
            model=reference.model,
            columns=tuple(
                Watched(column.name, column.log_name, column.bins)
                for column in reference.columns
                if column.name not in unread
            ),
            texts=tuple(
                (name, input_column(name), known.values)
                for name, known in reference.vocabularies.items()
                if name not in texts_unread
            ),
            event=event_column(reference.declaration),
            errors=errors,
            measured=tuple(n for n in errors.columns if kinds and not why_unreadable(n, Kind.NUMBER, kinds)),
            segment=segment,
            labels=reference.label.bins if reference.label else None,
            sample=self.sample,
            seed=self.seed,
            spill=self.spill,
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
        return segment_values(self.query, by, self.reference, self.options.workers)

    def _read_rows(self, plan: Plan, files: list[Any], found: RowsRead) -> None:
        query = self.query
        names = [needed.name for needed in needed_columns(self.reference.declaration)]
        names += [*(column.log_name for column in plan.columns), *(name for _, name, _ in plan.texts), *plan.measured]
        names += [plan.segment.log_name] if plan.segment else []
        reading, wanted = partial(read_rows, plan), list(dict.fromkeys(names))
        over_log(query.log, self.options.workers, reading, "reading predictions", wanted, found, query, files)

    def _read_labels(self, plan: Plan, found: RowsRead) -> None:
        """All labels, spilled; none where the log does not hold them as they must be."""
        log, needed = self.query.labels, label_columns(self.reference.declaration)
        files = log.log_files()
        if not unreadable(needed, log.kinds()):
            reading, names = partial(read_labels, plan), [each.name for each in needed]
            over_log(log, self.options.workers, reading, "reading labels", names, found, files=files)

    def _add_up(self, join: Join) -> JoinSums:
        total = JoinSums.none(join)
        for sums in self._partitions(partial(join_partitions, join), "joining labels"):
            total.add(sums)
        return total

    def _unknown(self, join: Join, keys: RowsRead) -> int:
        """How many labels are of predictions that the log does not hold: one more pass over its ids."""
        what, reading = "looking up unmatched labels", partial(read_keys, self.spill)
        over_log(self.query.log, self.options.workers, reading, what, ["prediction_id"], keys)
        return sum(self._partitions(partial(count_unknown, join, tuple(keys.spilled)), what))

    def _partitions(self, function: Any, what: str) -> Iterator[Any]:
        count = self.spill.partitions
        tasks = [range(first, min(first + SESSION, count)) for first in range(0, count, SESSION)]
        with closing(self.options.workers.map(function, tasks, what, len(tasks))) as results:
            yield from results


def _segments(plan: Plan, found: RowsRead, total: JoinSums) -> Iterator[SegmentData]:
    """The segments that have rows, in order of their values; others and empty ones come last."""
    if plan.segment is None:
        return
    bins, present = plan.segment.bins, total.blocks.segments()
    for code in (*range(FIRST, bins.size), OTHER, MISSING):
        if code in present:
            value = bins.category(code) if code >= FIRST else OTHERS if code == OTHER else EMPTY
            tallies = {
                column.name: found.counts.tally(index, column.bins, [code]) for index, column in enumerate(plan.columns)
            }
            yield SegmentData(value, tallies, total.blocks.blocks([code]))


def _keys(sample: pa.Table) -> Keys:
    if not sample.num_rows:
        return np.empty(0, np.uint64)
    return keys_of(sample["prediction_id"].combine_chunks())


def _with_labels(sample: pa.Table, latest: dict[int, float]) -> pa.Table:
    if not sample.num_rows:
        return sample
    return sample.append_column(LABEL, pa.array([latest.get(key) for key in _keys(sample).tolist()], pa.float64()))
