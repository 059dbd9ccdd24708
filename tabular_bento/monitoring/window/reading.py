"""The first half of a pass: read the log in chunks, and spill what is needed of each row, by the key of its id.

A row becomes some 80 bytes: its key, times, prediction, baseline, and the bin of each column. Which rows repeat an id
is known only when all rows of its key are together, so nothing is counted here that a repeated row must not count in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.evaluation.metrics import GROUPS
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.ids import Keys, Sample, keys_of
from tabular_bento.monitoring.window.records import (
    INFINITE,
    KEY_KIND,
    LABEL_KIND,
    Measured,
    Watched,
    measurable,
    record_kind,
)
from tabular_bento.monitoring.window.spill import Records, Run, Spill, Writer
from tabular_bento.monitoring.window.tally import finite_range
from tabular_bento.monitoring.window.workers import Workers
from tabular_bento.traffic.parts import PART_BYTES, Part, Projection, read_part
from tabular_bento.traffic.reader import EventLog, ScanCounts

CHUNKS = 16
"""As many, about, of a small log, so that a few workers have something to do each."""

Chunk = tuple[Part, ...]


class Read(Protocol):
    """What the reading of a chunk gives: among others, the stems of the files that were there."""

    stems: set[str]


R = TypeVar("R", bound=Read)


@dataclass(frozen=True)
class Plan:
    """What to do with each chunk of predictions.

    `texts` are fields of categories, with their columns and the values that are known, and `segment` is the field that
    rows are grouped by.
    """

    projection: Projection
    model: str | None
    columns: tuple[Watched, ...]
    texts: tuple[tuple[str, str, frozenset[str]], ...]
    measured: Measured
    segment: Watched | None
    sample: int
    seed: int
    spill: Spill

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of a row that is spilled."""
        return record_kind(self.columns, len(self.texts) + (self.segment is not None))


@dataclass
class RowsRead:
    """What was met in a chunk of predictions, and the runs that hold its rows. `ranges` has a column's finite range,
    and `named` how many rows hold each value of the one that was asked for.
    """

    stems: set[str] = field(default_factory=set)
    lines: ScanCounts = field(default_factory=ScanCounts)
    named: Counter[str] = field(default_factory=Counter)
    other_models: int = 0
    without_id: int = 0
    bad: int = 0
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    texts: dict[str, NewValues] = field(default_factory=dict)
    sample: Sample | None = None
    runs: list[Run] = field(default_factory=list)


def over_log(
    log: EventLog,
    files: list[Part],
    projection: Projection,
    workers: Workers,
    function: Callable[[Chunk], R],
    what: str,
) -> Iterator[R]:
    """Apply `function` to all of the log in chunks: to `files`, and then to what is sealed but for those."""
    done: set[str] = set()
    live = chunks(files)
    for read in workers.map(function, live, what, len(live)):
        done |= read.stems
        yield read
    sealed = chunks(log.sealed(projection.window, done))
    yield from workers.map(function, sealed, what, len(sealed))


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


def read_rows(plan: Plan, chunk: Chunk) -> RowsRead:
    """Spill the rows of the chunk that the model predicted. Raises LogError and SpillError."""
    sample = Sample(plan.sample, plan.seed)
    texts = {name: NewValues(known) for name, _, known in plan.texts}
    read, writer = RowsRead(texts=texts, sample=sample), Writer(plan.spill, plan.kind)
    for batch in batches_of(chunk, plan.projection, read):
        batch = _of_model(batch, plan.model, read)
        if batch.num_rows:
            keys = keys_of(batch.column("prediction_id"))
            writer.add(_records(plan, keys, batch, read))
            sample.add(keys, batch)
    read.runs = writer.flush()
    return read


def read_labels(projection: Projection, spill: Spill, chunk: Chunk) -> RowsRead:
    """Spill the labels of the chunk. Raises LogError and SpillError."""
    read, writer = RowsRead(), Writer(spill, LABEL_KIND)
    for batch in batches_of(chunk, projection, read):
        whole = pc.and_(pc.is_valid(batch.column(0)), pa.array(measurable(numbers_of(batch.column(2)))))
        read.bad += batch.num_rows - whole.true_count
        batch = batch.filter(whole)
        rows = np.empty(batch.num_rows, LABEL_KIND)
        rows["key"] = keys_of(batch.column(0))
        rows["time"] = batch.column(1).cast(pa.int64()).to_numpy()
        rows["value"] = numbers_of(batch.column(2))
        writer.add(rows)
    read.runs = writer.flush()
    return read


def read_keys(projection: Projection, spill: Spill, chunk: Chunk) -> RowsRead:
    """Spill the keys of all predictions of the chunk. Raises LogError and SpillError."""
    read, writer = RowsRead(), Writer(spill, KEY_KIND)
    for batch in batches_of(chunk, projection, read):
        writer.add(keys_of(batch.column("prediction_id").drop_null()).view(KEY_KIND))
    read.runs = writer.flush()
    return read


def all_keys(log: EventLog, spill: Spill, workers: Workers) -> list[Run]:
    """The keys of all predictions of the log, spilled."""
    files, projection = log.log_files(), log.projection(columns=["prediction_id"])
    if projection is None:
        return []
    reads = over_log(
        log, files, projection, workers, partial(read_keys, projection, spill), "looking up unmatched labels"
    )
    return [run for read in reads for run in read.runs]


def batches_of(chunk: Chunk, projection: Projection, read: RowsRead) -> Iterator[pa.RecordBatch]:
    """The rows of the chunk; what is met on the way goes to `read`."""
    for part in chunk:
        batches = read_part(part, projection, read.lines)
        if batches is not None:
            read.stems.add(part.path.stem)
            yield from batches


def _of_model(batch: pa.RecordBatch, model: str | None, read: RowsRead) -> pa.RecordBatch:
    """The rows of the batch that `model` predicted and that have an id; the others are counted."""
    of_model = pc.equal(batch.column("model"), pa.scalar(model, pa.string())).fill_null(False)
    read.other_models += batch.num_rows - of_model.true_count
    chosen = pc.and_(of_model, pc.is_valid(batch.column("prediction_id")))
    read.without_id += of_model.true_count - chosen.true_count
    return batch if chosen.true_count == batch.num_rows else batch.filter(chosen)


def _records(plan: Plan, keys: Keys, batch: pa.RecordBatch, read: RowsRead) -> Records:
    rows, measured = np.empty(batch.num_rows, plan.kind), plan.measured
    rows["key"] = keys
    rows["time"] = batch.column("time").cast(pa.int64()).fill_null(0).to_numpy()
    if measured.event is None:
        rows["event"] = (keys % np.uint64(GROUPS)).astype(np.int64) * HOUR
    else:
        rows["event"] = seconds_of(batch.column(measured.event))
    rows["baseline"] = measured.naive
    for field_of_record, name in measured.columns.items():
        rows[field_of_record] = numbers_of(batch.column(name))
    known = numbers_of(batch.column(measured.historical)) if measured.historical else np.full(batch.num_rows, np.nan)
    rows["gain"] = np.where(measurable(known), known, np.nan)
    codes = rows["codes"]
    for index, column in enumerate(plan.columns):
        codes[:, index] = _codes(column, batch, read.ranges)
    for index, (name, log_name, _) in enumerate(plan.texts, len(plan.columns)):
        codes[:, index] = read.texts[name].add(batch.column(log_name))
    if plan.segment:
        codes[:, -1] = plan.segment.bins.text_indices(texts_of(batch.column(plan.segment.log_name)))
    return rows


def texts_of(column: pa.Array) -> pa.Array:
    """A column of codes as texts: `12`, `true`."""
    return column.cast(pa.string())


def _codes(column: Watched, batch: pa.RecordBatch, ranges: dict[str, tuple[float, float]]) -> NDArray[np.int64]:
    array = batch.column(column.log_name)
    if pa.types.is_string(array.type):
        return column.bins.text_indices(array)
    values = numbers_of(array)
    found = column.bins.indices(values)
    low, high = finite_range(values)
    before = ranges.get(column.name, (np.inf, -np.inf))
    ranges[column.name] = min(low, before[0]), max(high, before[1])
    found[np.isinf(values)] = INFINITE
    return found
