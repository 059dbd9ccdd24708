"""A window of the traffic log: which rows are asked for, and what is known of them when all have been read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.storage import AnyPath
from tabular_bento.evaluation.reference.bins import Counts
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.blocks import Blocks
from tabular_bento.monitoring.window.counts import Tally
from tabular_bento.problem import Declaration
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABELS, PREDICTIONS, TIME, input_column


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
