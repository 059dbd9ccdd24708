"""A window of the traffic log: which rows and columns are asked for, why some cannot be read, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.storage import AnyPath
from tabular_bento.evaluation.reference.bins import Bins, Counts
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.blocks import Blocks
from tabular_bento.monitoring.window.counts import Tally
from tabular_bento.problem import Declaration
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABEL, LABELS, PREDICTIONS, TIME, input_column, output_column

ENVELOPE = (Field("prediction_id", Kind.TEXT), Field("time", Kind.INSTANT), Field("model", Kind.TEXT))
"""Columns that every row of the log must have, whatever its problem."""

Kinds = dict[str, set[Kind]]
"""The kinds that each column of a log was ever declared with; nothing where it has no schema, and so no rows."""


@dataclass(frozen=True)
class Query:
    """Rows with `start <= on < end` in the log under `directory`.

    Parameters
    ----------
    directory : path
        The traffic log.
    start, end : datetime
        The window. Without an offset, an instant is in UTC.
    on : str
        `time`, when a row was predicted (UTC), or a field of the row that is a date or time.
    by : str, optional
        A segment to break the window down by.
    """

    directory: AnyPath
    start: datetime
    end: datetime
    on: str = TIME.name
    by: str | None = None

    @property
    def column(self) -> str:
        """The column of `on` in the log."""
        return self.on if self.on == TIME.name or self.on.startswith(input_column("")) else input_column(self.on)

    @property
    def log(self) -> EventLog:
        """The stream of predictions."""
        return EventLog(self.directory / PREDICTIONS)

    @property
    def labels(self) -> EventLog:
        """The stream of labels."""
        return EventLog(self.directory / LABELS)


@dataclass(frozen=True)
class Watched:
    """A column to look at: its name, its name in the log, and its bins."""

    name: str
    log_name: str
    bins: Bins


def needed_columns(declaration: Declaration | None) -> tuple[Field, ...]:
    """Columns that the log must have for any of its rows to be judged."""
    if declaration is None:
        return ENVELOPE
    fields = [declaration.event_time, declaration.offset]
    inputs = [declaration.field(name) for name in fields if name is not None]
    first = declaration.outputs[0]
    return (
        *ENVELOPE,
        *(Field(input_column(item.name), item.kind) for item in inputs),
        Field(output_column(first.columns[0]), Kind.NUMBER if first.parts else first.kind),
    )


def label_columns(declaration: Declaration | None) -> tuple[Field, ...]:
    """Columns that the log of labels must have for any of them to be joined."""
    kind = Kind.NUMBER if declaration is None else declaration.target.kind
    return (*ENVELOPE[:2], Field(LABEL, kind))


def event_column(declaration: Declaration | None) -> str | None:
    """The column of the event time; None where the rows have none."""
    event = None if declaration is None else declaration.event_time
    return None if event is None else input_column(event)


def why_unreadable(name: str, expected: Kind, kinds: Kinds) -> str | None:
    """`absent` or `wrong_kind`; None where all rows hold the column as `expected`, numbers being whole or not."""
    if not kinds:
        return None
    if name not in kinds:
        return "absent"
    allowed = {Kind.NUMBER, Kind.INTEGER} if expected.is_numeric else {expected}
    return None if kinds[name] <= allowed else "wrong_kind"


def unreadable(columns: Iterable[Field], kinds: Kinds) -> dict[str, str]:
    """Why some of the columns cannot be read, by name."""
    return {column.name: why for column in columns if (why := why_unreadable(column.name, column.kind, kinds))}


def texts_of(column: pa.Array) -> pa.Array:
    """A column of codes as texts: `12`, `true`."""
    return column.cast(pa.string())


def whole(batch: pa.RecordBatch, declaration: Declaration) -> pa.RecordBatch:
    """The rows of a batch of predictions in which no required field is null; others cannot be predicted again."""
    required = [input_column(item.name) for item in declaration.fields if not item.optional]
    if not required:
        return batch
    return batch.filter(reduce(pc.and_, (pc.is_valid(batch.column(name)) for name in required)))


@dataclass
class RowCounts:
    """Rows of the window by model, and lines that are no rows; `examples` shows some of those.

    `unusable` are scored rows with no number to measure an error by, by the column that lacks it.

    Truncated and bad lines are those that name a time in the window, and those that name none of log files that have
    rows in it or were begun in it (`tabular_bento.traffic.rejected`).
    """

    scored: int = 0
    duplicates: int = 0
    future: int = 0
    other_models: int = 0
    without_id: int = 0
    unusable: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Joined:
    """What was met when all labels of the log were joined with the window's predictions.

    Of several labels of one prediction the one received last counts; equal ones are repeated, others contradictory.
    `before` were received before their prediction was made. `came` are the latest labels by the cell of their delay
    (`tabular_bento.monitoring.window.blocks`), shape [CELLS].
    """

    came: NDArray[np.int64]
    repeated: int = 0
    contradictory: int = 0
    elsewhere: int = 0
    unknown: int = 0
    before: int = 0
    truncated: int = 0
    bad: int = 0


@dataclass(frozen=True)
class SegmentData:
    """What the pass found of the rows with one value: a tally for each readable column, and rows and errors by hour."""

    value: str
    tallies: dict[str, Tally]
    blocks: Blocks


@dataclass
class WindowData:
    """What the pass found.

    Parameters
    ----------
    now : datetime
        When it was read.
    dated : bool
        Whether the rows have an event time.
    rows : RowCounts
        Rows and lines.
    tallies : dict
        A tally of each readable column.
    unreadable : dict
        Why other columns are not read.
    blocks : Blocks
        Rows and errors by the hour.
    joined : Joined
        How labels were joined.
    true : ndarray of shape [ages, bins], optional
        Labels by age of the prediction.
    sample : Table
        A sample of rows, with the column `label`.
    texts, texts_unreadable : dict
        What fields of categories hold that the reference does not know, and why some are not read.
    broken, labels_broken : dict
        The columns without which no row is read, and why; the same of the labels' log.
    segments : list of SegmentData
        The rows by the values of the field that the window is broken down by.
    damaged : dict
        Files of the log that cannot be read, or not to their end, and why.
    """

    now: datetime
    dated: bool
    rows: RowCounts
    tallies: dict[str, Tally]
    unreadable: dict[str, str]
    blocks: Blocks
    joined: Joined
    true: Counts | None
    sample: pa.Table
    texts: dict[str, NewValues] = field(default_factory=dict)
    texts_unreadable: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    labels_broken: dict[str, str] = field(default_factory=dict)
    segments: list[SegmentData] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def days(self) -> float | None:
        """Over how many days the rows are spread; None where they have no event time."""
        return self.blocks.days if self.dated else None
