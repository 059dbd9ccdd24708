"""One streamed pass over a window of the traffic log: every row counts, and memory is bounded.

A row costs some 70 bytes, for its id, prediction, baseline and times, so that outcomes of any time can be joined; all
else is counted as it streams by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.events import EventLog, ScanCounts
from data.schema import Kind
from data.stream import Stream
from features.definition import EVENT_TIME, HISTORICAL_GAIN, KNOWN_PART, TARGET
from monitoring.errors import WindowError
from monitoring.ids import Keys, SeenKeys, keys_of, scramble
from monitoring.reference import Reference, ReferenceColumn
from monitoring.tally import Tally
from monitoring.vocabulary import NewValues
from scoring.traffic import FEATURE_PREFIX, PREDICTIONS

_FLOATS = (Kind.NUMBER, Kind.INTEGER)


@dataclass(frozen=True)
class Query:
    """Rows with `start <= on < end` in the log under `directory`.

    `on` is `time`, when a row was predicted (UTC), or a local time of the row, such as its scheduled departure.
    """

    directory: Path
    start: datetime
    end: datetime
    on: str = "time"

    @property
    def log(self) -> EventLog:
        """The stream of predictions."""
        return EventLog(self.directory / PREDICTIONS)

    def scan(self, columns: list[str], counts: ScanCounts | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of the window's rows."""
        return self.log.scan(self.start, self.end, columns, on=self.on, counts=counts)


@dataclass
class RowCounts:
    """Rows of the window by model, and lines that are no rows; `examples` shows some of those.

    Torn and bad lines have no time that could be read, so they count wherever they are in the unsealed log.
    """

    scored: int = 0
    duplicates: int = 0
    other_models: int = 0
    without_id: int = 0
    torn: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """The window's predictions in order of key, shape [n] each.

    `baseline` is the part known beforehand, `history` the historical gain of rows like it (NaN where there is none),
    `event` the local time of the row in seconds, `time` when it was predicted in microseconds UTC.
    """

    keys: Keys
    predicted: NDArray[np.float64]
    baseline: NDArray[np.float64]
    history: NDArray[np.float64]
    event: NDArray[np.int64]
    time: NDArray[np.int64]

    @classmethod
    def none(cls) -> Scored:
        """No rows."""
        numbers, times = np.empty(0), np.empty(0, np.int64)
        return cls(np.empty(0, np.uint64), numbers, numbers, numbers, times, times)

    @classmethod
    def of(cls, parts: list[Scored]) -> Scored:
        """All rows of the parts."""
        whole = [np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)]
        order = np.argsort(whole[0])
        return cls(*(array[order] for array in whole))

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return self.keys, self.predicted, self.baseline, self.history, self.event, self.time


@dataclass
class WindowData:
    """What the pass found: counts, a tally for each readable column, why others are not, predictions, and a sample.

    `texts` are what fields of categories hold that the reference does not know, `texts_unreadable` why some are not
    read.
    """

    rows: RowCounts
    tallies: dict[str, Tally]
    unreadable: dict[str, str]
    scored: Scored
    sample: pa.Table
    texts: dict[str, NewValues] = field(default_factory=dict)
    texts_unreadable: dict[str, str] = field(default_factory=dict)


class Sample:
    """A uniform sample of `size` rows: those whose scrambled keys are smallest, whatever order they come in."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._ranks: Keys = np.empty(0, dtype=np.uint64)
        self._rows: pa.Table | None = None

    def add(self, keys: Keys, batch: pa.RecordBatch) -> None:
        """Offer the rows of a batch."""
        ranks = scramble(keys, self._seed)
        if len(self._ranks) == self._size:
            near = ranks < self._ranks.max()
            ranks, batch = ranks[near], batch.filter(pa.array(near))
        table = pa.Table.from_batches([batch])
        ranks = np.concatenate([self._ranks, ranks])
        table = pa.concat_tables([self._rows, table]) if self._rows is not None else table
        chosen = np.argsort(ranks)[: self._size]
        self._ranks, self._rows = ranks[chosen], table.take(pa.array(chosen)).combine_chunks()

    def rows(self) -> pa.Table:
        """The rows drawn; a table without columns where none was offered."""
        return self._rows if self._rows is not None else pa.table({})


def models_in(query: Query) -> Counter[str]:
    """How many of the window's rows name each model."""
    models: Counter[str] = Counter()
    if not Stream(query.directory / PREDICTIONS).schemas():
        return models
    for batch in query.scan(["model"]):
        for pair in batch.column(0).value_counts().to_pylist():
            models[pair["values"]] += pair["counts"]
    del models[None]
    return models


def read_window(query: Query, reference: Reference, sample: int, seed: int) -> WindowData:
    """Read the rows that the reference's model predicted in the window, each id once.

    Raises LogError where the log cannot be read, WindowError where it lacks a column that every row must have.
    """
    kinds = _kinds(query)
    needed = ["prediction_id", "model", "time", EVENT_TIME, KNOWN_PART, TARGET.name]
    if missing := [name for name in needed if kinds and name not in kinds]:
        raise WindowError(f"The log under {query.directory} has no column {missing[0]!r}, so it cannot be judged.")
    unreadable = {column.name: why for column in reference.columns if (why := _why_unreadable(column, kinds))}
    readable = [column for column in reference.columns if column.name not in unreadable]
    tallies = {column.name: Tally(column.bins) for column in readable}
    texts = {name: NewValues(known) for name, known in reference.vocabularies.items()}
    texts_unreadable = {name: why for name in texts if (why := _why_not_text(name, kinds))}
    named = [name for name in texts if name in kinds and name not in texts_unreadable]
    history = [name for name in (FEATURE_PREFIX + HISTORICAL_GAIN,) if name in kinds]
    names = list(dict.fromkeys([*needed, *history, *(column.log_name for column in readable), *named]))

    rows, lines, seen, drawn = RowCounts(), ScanCounts(), SeenKeys(), Sample(sample, seed)
    parts = [Scored.none()]
    for batch in query.scan(names, lines) if kinds else ():
        keys, batch = _of_model(batch, reference.model, rows, seen)
        if not batch.num_rows:
            continue
        for column in readable:
            tallies[column.name].add(_array(batch, column.log_name))
        for name in named:
            texts[name].add(batch.column(name))
        gain = _array(batch, history[0]) if history else np.full(batch.num_rows, np.nan)
        event, time = (batch.column(name).cast(pa.int64()).fill_null(0).to_numpy() for name in (EVENT_TIME, "time"))
        parts.append(Scored(keys, _array(batch, TARGET.name), _array(batch, KNOWN_PART), gain, event, time))
        drawn.add(keys, batch)
    rows.torn, rows.bad, rows.examples = lines.torn, lines.bad, lines.examples
    return WindowData(rows, tallies, unreadable, Scored.of(parts), drawn.rows(), texts, texts_unreadable)


def _of_model(batch: pa.RecordBatch, model: str | None, rows: RowCounts, seen: SeenKeys) -> tuple[Keys, pa.RecordBatch]:
    """The rows of the batch that `model` predicted and that were not seen before, with their keys; all are counted."""
    named = batch.filter(pc.fill_null(pc.equal(batch.column("model"), pa.scalar(model, pa.string())), False))
    rows.other_models += batch.num_rows - named.num_rows
    batch = named.filter(pc.is_valid(named.column("prediction_id")))
    rows.without_id += named.num_rows - batch.num_rows
    keys = keys_of(batch.column("prediction_id"))
    fresh = seen.add(keys)
    rows.scored += int(fresh.sum())
    rows.duplicates += len(fresh) - int(fresh.sum())
    return keys[fresh], batch.filter(pa.array(fresh))


def _array(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """A column as float64 with NaN for missing, or as objects with None."""
    column = batch.column(name)
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _kinds(query: Query) -> dict[str, set[Kind]]:
    """The kinds that every column of the log was ever declared with; empty where there is no log."""
    kinds: dict[str, set[Kind]] = {}
    for schema in Stream(query.directory / PREDICTIONS).schemas():
        for declared in schema:
            kinds.setdefault(declared.name, set()).add(declared.kind)
    return kinds


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
