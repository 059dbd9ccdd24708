"""The first half of a pass: read the log in lots, and set aside what is needed of each row, by the key of its id.

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

from features.definition import EVENT_TIME, KNOWN_PART, TARGET
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.ids import Keys, keys_of
from tabular_bento.monitoring.window.records import (
    INFINITE,
    KEY_KIND,
    MEASURED,
    OUTCOME_KIND,
    Watched,
    measurable,
    record_kind,
)
from tabular_bento.monitoring.window.sample import Sample
from tabular_bento.monitoring.window.spill import Records, Run, Spill, Writer
from tabular_bento.monitoring.window.tally import finite_range
from tabular_bento.monitoring.window.workers import Workers
from tabular_bento.traffic.log import PREDICTION_SCHEMA
from tabular_bento.traffic.parts import PART_BYTES, Part, Shape, read_part
from tabular_bento.traffic.reader import EventLog, ScanCounts

_NAMES = ("prediction_id", "model", "time", EVENT_TIME, KNOWN_PART, TARGET.name)

NEEDED = tuple(item for item in PREDICTION_SCHEMA if item.name in _NAMES)
"""Columns that the log must have for any of its rows to be judged."""

LOTS = 16
"""As many, about, of a small log, so that a few workers have something to do each."""

Lot = tuple[Part, ...]


class Read(Protocol):
    """What the reading of a lot gives: among others, the stems of the files that were there."""

    stems: set[str]


R = TypeVar("R", bound=Read)


@dataclass(frozen=True)
class Plan:
    """What to do with each lot of predictions.

    `texts` are fields of categories with the values that are known, `history` the column of the historical gain, if the
    log has one, and `segment` the field that rows are told apart by.
    """

    shape: Shape
    model: str | None
    columns: tuple[Watched, ...]
    texts: tuple[tuple[str, frozenset[str]], ...]
    history: str | None
    segment: Watched | None
    sample: int
    seed: int
    spill: Spill

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of a row that is set aside."""
        return record_kind(self.columns, len(self.texts) + (self.segment is not None))


@dataclass
class RowsRead:
    """What was met in a lot of predictions, and the runs that hold its rows. `ranges` has a column's finite range, and
    `named` how many rows hold each value of the one that was asked for.
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
    segments: list[Part],
    shape: Shape,
    workers: Workers,
    function: Callable[[Lot], R],
    what: str,
) -> Iterator[R]:
    """Apply `function` to all of the log in lots: to `segments`, and then to what is sealed but for those."""
    done: set[str] = set()
    live = lots(segments)
    for read in workers.map(function, live, what, len(live)):
        done |= read.stems
        yield read
    sealed = lots(log.sealed(shape.window, done))
    yield from workers.map(function, sealed, what, len(sealed))


def lots(parts: Iterable[Part]) -> list[Lot]:
    """Neighbouring parts together: some dozens of lots, or, of a large log, lots of about PART_BYTES."""
    parts, found = list(parts), list[list[Part]]()
    most = min(PART_BYTES, sum(part.bytes for part in parts) // LOTS)
    size = 0
    for part in parts:
        if not found or size + part.bytes > most:
            found.append([])
            size = 0
        found[-1].append(part)
        size += part.bytes
    return [tuple(lot) for lot in found]


def read_rows(plan: Plan, lot: Lot) -> RowsRead:
    """Set aside the rows of the lot that the model predicted. Raises LogError and SpillError."""
    sample = Sample(plan.sample, plan.seed)
    texts = {name: NewValues(known) for name, known in plan.texts}
    read, writer = RowsRead(texts=texts, sample=sample), Writer(plan.spill, plan.kind)
    for batch in batches_of(lot, plan.shape, read):
        batch = _of_model(batch, plan.model, read)
        if batch.num_rows:
            keys = keys_of(batch.column("prediction_id"))
            writer.add(_records(plan, keys, batch, read))
            sample.add(keys, batch)
    read.runs = writer.flush()
    return read


def read_outcomes(shape: Shape, spill: Spill, lot: Lot) -> RowsRead:
    """Set aside the outcomes of the lot. Raises LogError and SpillError."""
    read, writer = RowsRead(), Writer(spill, OUTCOME_KIND)
    for batch in batches_of(lot, shape, read):
        whole = pc.and_(pc.is_valid(batch.column(0)), pa.array(measurable(_floats(batch, TARGET.name))))
        read.bad += batch.num_rows - whole.true_count
        batch = batch.filter(whole)
        rows = np.empty(batch.num_rows, OUTCOME_KIND)
        rows["key"] = keys_of(batch.column(0))
        rows["time"] = batch.column(1).cast(pa.int64()).to_numpy()
        rows["value"] = batch.column(2).to_numpy()
        writer.add(rows)
    read.runs = writer.flush()
    return read


def read_keys(shape: Shape, spill: Spill, lot: Lot) -> RowsRead:
    """Set aside the keys of all predictions of the lot. Raises LogError and SpillError."""
    read, writer = RowsRead(), Writer(spill, KEY_KIND)
    for batch in batches_of(lot, shape, read):
        writer.add(keys_of(batch.column("prediction_id").drop_null()).view(KEY_KIND))
    read.runs = writer.flush()
    return read


def all_keys(log: EventLog, spill: Spill, workers: Workers) -> list[Run]:
    """The keys of all predictions of the log, set aside."""
    segments, shape = log.segments(), log.shape(columns=["prediction_id"])
    if shape is None:
        return []
    reads = over_log(log, segments, shape, workers, partial(read_keys, shape, spill), "looking up strange outcomes")
    return [run for read in reads for run in read.runs]


def batches_of(lot: Lot, shape: Shape, read: RowsRead) -> Iterator[pa.RecordBatch]:
    """The rows of the lot; what is met on the way goes to `read`."""
    for part in lot:
        batches = read_part(part, shape, read.lines)
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
    rows = np.empty(batch.num_rows, plan.kind)
    rows["key"] = keys
    for name, log_name in (("time", "time"), ("event", EVENT_TIME)):
        rows[name] = batch.column(log_name).cast(pa.int64()).fill_null(0).to_numpy()
    for part, name in MEASURED.items():
        rows[part] = _floats(batch, name)
    gain = _floats(batch, plan.history) if plan.history else np.full(batch.num_rows, np.nan)
    rows["gain"] = np.where(measurable(gain), gain, np.nan)
    codes = rows["codes"]
    for place, column in enumerate(plan.columns):
        codes[:, place] = _codes(column, batch, read.ranges)
    for place, (name, _) in enumerate(plan.texts, len(plan.columns)):
        codes[:, place] = read.texts[name].add(batch.column(name))
    if plan.segment:
        codes[:, -1] = plan.segment.bins.text_places(batch.column(plan.segment.log_name))
    return rows


def _codes(column: Watched, batch: pa.RecordBatch, ranges: dict[str, tuple[float, float]]) -> NDArray[np.int64]:
    array = batch.column(column.log_name)
    if pa.types.is_string(array.type):
        return column.bins.text_places(array)
    values = _floats(batch, column.log_name)
    found = column.bins.places(values)
    low, high = finite_range(values)
    before = ranges.get(column.name, (np.inf, -np.inf))
    ranges[column.name] = min(low, before[0]), max(high, before[1])
    found[np.isinf(values)] = INFINITE
    return found


def _floats(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """A column as float64 with NaN for missing."""
    return np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False))
