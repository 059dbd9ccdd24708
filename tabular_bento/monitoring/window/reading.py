"""The first half of a pass: read the log in chunks, count its rows, and spill what is needed to join them with labels.

Every row is counted at once. Which rows repeat an id is known only when all rows of its key are together, so their
codes are spilled too, and the second half takes those out again that must not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.errors import DamagedFileError
from tabular_bento.evaluation.metrics import GROUPS
from tabular_bento.evaluation.reference.bins import Bins, numbers_of, seconds_of
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.evaluation.reference.vocabulary import NewValues, Vocabulary
from tabular_bento.monitoring.window.counts import INFINITE, ColumnCounts
from tabular_bento.monitoring.window.data import ENVELOPE, Kinds, Query, Watched, texts_of, unreadable
from tabular_bento.monitoring.window.errors import RowErrors
from tabular_bento.monitoring.window.ids import Sample, key_pairs
from tabular_bento.monitoring.window.spill import Spill
from tabular_bento.monitoring.window.workers import Workers
from tabular_bento.traffic.parts import PART_BYTES, Part, Projection, read_part
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import input_column

MOST_SEGMENTS = 30
"""Values of their own that a window is broken down by; the rows of all others are one segment."""

CHUNKS = 16
"""As many, about, of a small log, so that a few workers have something to do each."""

Chunk = tuple[Part, ...]


@dataclass(frozen=True)
class Plan:
    """What to do with each chunk of predictions and of labels.

    Parameters
    ----------
    model : str, optional
        Whose predictions are read.
    columns : tuple of Watched
        The columns whose values are counted by bin.
    texts : tuple
        Fields of categories, with their columns and the values that are known.
    event : str, optional
        The column of the event time.
    errors : RowErrors
        What is measured of a row.
    measured : tuple of str
        The columns of it that the log holds: x0, x1 and so on in what is spilled.
    segment : Watched, optional
        The field that rows are grouped by.
    labels : Bins, optional
        The bins of the labels.
    sample, seed : int
        Rows that are kept one by one, and the seed that they are drawn by.
    spill : Spill
        Where rows and labels go, in partitions.
    """

    model: str | None
    columns: tuple[Watched, ...]
    texts: tuple[tuple[str, str, frozenset[str]], ...]
    event: str | None
    errors: RowErrors
    measured: tuple[str, ...]
    segment: Watched | None
    labels: Bins | None
    sample: int
    seed: int
    spill: Spill

    def counts(self) -> ColumnCounts:
        """No rows yet, by columns and then texts."""
        return ColumnCounts(len(self.columns) + len(self.texts), self.segment.bins.size if self.segment else 0)


@dataclass
class RowsRead:
    """What was met in a chunk of predictions or labels, and the names of the files that hold its rows.

    `named` has how many rows hold each value of the column that was asked for, and `damaged` the files that cannot be
    read, or not to their end, and why.
    """

    stems: set[str] = field(default_factory=set)
    lines: ScanCounts = field(default_factory=ScanCounts)
    named: Counter[str] = field(default_factory=Counter)
    other_models: int = 0
    without_id: int = 0
    bad: int = 0
    counts: ColumnCounts = field(default_factory=lambda: ColumnCounts(0))
    texts: dict[str, NewValues] = field(default_factory=dict)
    sample: Sample | None = None
    spilled: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)

    def merge(self, read: RowsRead) -> None:
        """Add what was met in the next chunk."""
        self.stems |= read.stems
        self.lines.merge(read.lines)
        self.named += read.named
        self.other_models += read.other_models
        self.without_id += read.without_id
        self.bad += read.bad
        self.counts.merge(read.counts)
        for name, values in read.texts.items():
            self.texts[name].merge(values)
        if self.sample is not None and read.sample is not None:
            self.sample.merge(read.sample)
        self.spilled += read.spilled
        self.damaged |= read.damaged


def over_log(
    log: EventLog,
    workers: Workers,
    function: Callable[[Projection, Chunk], RowsRead],
    what: str,
    columns: list[str],
    found: RowsRead,
    window: Query | None = None,
    files: list[Part] | None = None,
) -> RowsRead:
    """Apply `function` to all of the log in chunks, and add what it gives to `found`, which holds nothing yet.

    Read are the `files`, by default the log files of now, and then what is sealed but for those; of a `window` its rows
    alone.
    """
    files = log.log_files() if files is None else files
    if window is None:
        projection = log.projection(columns=columns)
    else:
        projection = log.projection(window.start, window.end, columns, window.column)
    if projection is None:
        return found

    def read(parts: list[Part]) -> None:
        todo = chunks(parts)
        with closing(workers.map(partial(function, projection), todo, what, len(todo))) as reads:
            for one in reads:
                found.merge(one)

    read(files)
    read(log.sealed(projection.window, found.stems))
    return found


def chunks(parts: Iterable[Part]) -> list[Chunk]:
    """Neighbouring parts together: some dozens of chunks, or, of a large log, chunks of about PART_BYTES."""
    parts, found = list(parts), list[list[Part]]()
    most = min(PART_BYTES, sum(part.bytes for part in parts) // CHUNKS)
    size = 0
    for part in parts:
        if not found or size + part.bytes > most:
            found.append([])
            size = 0
        found[-1].append(part)
        size += part.bytes
    return [tuple(chunk) for chunk in found]


def read_rows(plan: Plan, projection: Projection, chunk: Chunk) -> RowsRead:
    """Count and spill the rows of the chunk that the model predicted. Raises LogError and SpillError."""
    texts = {name: NewValues(known) for name, _, known in plan.texts}
    sample = Sample(plan.sample, plan.seed)
    read = RowsRead(counts=plan.counts(), texts=texts, sample=sample)
    with plan.spill.writer() as writer:
        for batch in batches_of(chunk, projection, read):
            batch = _of_model(batch, plan.model, read)
            if batch.num_rows:
                columns = _rows(plan, batch, read)
                writer.add(columns)
                sample.add(columns["k0"], batch)
    read.spilled = writer.names
    pa.default_memory_pool().release_unused()
    return read


def read_labels(plan: Plan, projection: Projection, chunk: Chunk) -> RowsRead:
    """Spill the labels of the chunk, with their bins. Raises LogError and SpillError."""
    read = RowsRead()
    with plan.spill.writer() as writer:
        for batch in batches_of(chunk, projection, read):
            codes = plan.errors.codes(batch.column(2))
            whole = pc.and_(pc.is_valid(batch.column(0)), pa.array(~np.isnan(codes)))
            read.bad += batch.num_rows - whole.true_count
            chosen = whole.to_numpy(zero_copy_only=False)
            batch, codes = batch.filter(whole), codes[chosen]
            if batch.num_rows:
                first, second = key_pairs(batch.column(0))
                time = batch.column(1).cast(pa.int64()).to_numpy()
                bin_of = (
                    np.zeros(len(codes), np.int64) if plan.labels is None else _label_bins(plan.labels, batch.column(2))
                )
                writer.add({"k0": first, "k1": second, "time": time, "value": codes, "bin": bin_of.astype(np.uint8)})
    read.spilled = writer.names
    return read


def read_keys(spill: Spill, projection: Projection, chunk: Chunk) -> RowsRead:
    """Spill the keys of all predictions of the chunk. Raises LogError and SpillError."""
    read = RowsRead()
    with spill.writer() as writer:
        for batch in batches_of(chunk, projection, read):
            first, second = key_pairs(batch.column("prediction_id").drop_null())
            if len(first):
                writer.add({"k0": first, "k1": second})
    read.spilled = writer.names
    return read


def batches_of(chunk: Chunk, projection: Projection, read: RowsRead) -> Iterator[pa.RecordBatch]:
    """The rows of the chunk; what is met on the way goes to `read`. A damaged file gives what can be read of it."""
    for part in chunk:
        try:
            batches = read_part(part, projection, read.lines)
            if batches is not None:
                read.stems.add(part.path.stem)
                yield from batches
        except DamagedFileError as error:
            read.damaged[error.path] = error.why


def _of_model(batch: pa.RecordBatch, model: str | None, read: RowsRead) -> pa.RecordBatch:
    """The rows of the batch that `model` predicted and that have an id; the others are counted."""
    of_model = pc.equal(batch.column("model"), pa.scalar(model, pa.string())).fill_null(False)
    read.other_models += batch.num_rows - of_model.true_count
    chosen = pc.and_(of_model, pc.is_valid(batch.column("prediction_id")))
    read.without_id += of_model.true_count - chosen.true_count
    return batch if chosen.true_count == batch.num_rows else batch.filter(chosen)


def _rows(plan: Plan, batch: pa.RecordBatch, read: RowsRead) -> dict[str, NDArray[Any]]:
    """What is spilled of n rows, which are counted."""
    first, second = key_pairs(batch.column("prediction_id"))
    columns: dict[str, NDArray[Any]] = {"k0": first, "k1": second}
    columns["time"] = batch.column("time").cast(pa.int64()).fill_null(0).to_numpy()
    if plan.event is None:
        columns["event"] = (first % np.uint64(GROUPS)).astype(np.int64) * HOUR
    else:
        columns["event"] = seconds_of(batch.column(plan.event))
    for index, name in enumerate(plan.measured):
        columns[f"x{index}"] = numbers_of(batch.column(name))
    segments = None
    if plan.segment:
        segments = plan.segment.bins.text_indices(texts_of(batch.column(plan.segment.log_name)))
        columns["segment"] = segments.astype(np.uint8)
    columns["codes"] = np.zeros((batch.num_rows, max(len(plan.columns) + len(plan.texts), 1)), np.uint8)
    for index, codes in enumerate(_codes(plan, batch, read)):
        columns["codes"][:, index] = codes
        read.counts.add(index, codes, segments)
    return columns


def _codes(plan: Plan, batch: pa.RecordBatch, read: RowsRead) -> Iterator[NDArray[np.int64]]:
    """The bins of n rows in each column, and what kind of text each field has, shape [n] each."""
    for index, column in enumerate(plan.columns):
        array = batch.column(column.log_name)
        if pa.types.is_string(array.type):
            yield column.bins.text_indices(array)
            continue
        values = numbers_of(array)
        found = column.bins.indices(values)
        read.counts.widen(index, values)
        found[np.isinf(values)] = INFINITE
        yield found
    for name, log_name, _ in plan.texts:
        yield read.texts[name].add(batch.column(log_name))


def _label_bins(bins: Bins, labels: pa.Array) -> NDArray[np.int64]:
    return bins.text_indices(labels) if pa.types.is_string(labels.type) else bins.indices(numbers_of(labels))


def models_in(query: Query, workers: Workers) -> Counter[str]:
    """How many of the window's rows name each model; none where the log cannot be read for it.

    Where the log has no readable column that dates the window, all rows count: the model's package says what is wrong.
    """
    files, kinds = query.log.log_files(), query.log.kinds()
    if not kinds or unreadable((field for field in ENVELOPE if field.name in ("model", query.on)), kinds):
        return Counter()
    window = query if _is_time(query.column, kinds) else None
    found = over_log(query.log, workers, read_models, "looking for models", ["model"], RowsRead(), window, files)
    return found.named


def _is_time(column: str, kinds: Kinds) -> bool:
    found = kinds.get(column, set())
    return len(found) == 1 and next(iter(found)).is_time


def segment_values(query: Query, by: str, reference: Reference, workers: Workers) -> Watched:
    """The most frequent values of the field `by` among the model's rows, as bins: of all that the training rows held,
    and of up to MOST_NEW others (`tabular_bento.evaluation.reference.vocabulary`).
    """
    column, known = input_column(by), reference.vocabularies.get(by, Vocabulary()).values
    reading, found = partial(read_values, reference.model, column, known), RowsRead(texts={column: NewValues(known)})
    over_log(query.log, workers, reading, f"looking for values of {by}", ["model", column], found, query)
    named = found.named + found.texts[column].counts
    most = sorted(named, key=lambda value: (-named[value], value))[:MOST_SEGMENTS]
    return Watched(by, column, Bins({"categories": most}))


def read_models(projection: Projection, chunk: Chunk) -> RowsRead:
    """How many rows of the chunk name each model. Raises LogError."""
    read = RowsRead()
    for batch in batches_of(chunk, projection, read):
        read.named += _counts(batch.column("model"))
    return read


def read_values(
    model: str | None, column: str, known: frozenset[str], projection: Projection, chunk: Chunk
) -> RowsRead:
    """How many rows of the chunk that the model predicted hold each value of a column, those not known apart.

    Raises LogError.
    """
    read = RowsRead(texts={column: NewValues(known)})
    for batch in batches_of(chunk, projection, read):
        of_model = pc.equal(batch.column("model"), pa.scalar(model, pa.string()))
        values = texts_of(batch.column(column).filter(of_model))
        read.texts[column].add(values)
        read.named += {value: count for value, count in _counts(values).items() if value in known}
    return read


def _counts(texts: pa.Array) -> Counter[str]:
    return Counter({pair["values"]: pair["counts"] for pair in texts.drop_null().value_counts().to_pylist()})
