"""A window of the traffic log: which rows are asked for, and what is known of them when all have been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from tabular_bento.data.storage import AnyPath
from tabular_bento.evaluation.reference.bins import Counts
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.blocks import Blocks
from tabular_bento.monitoring.window.outcomes import Joined
from tabular_bento.monitoring.window.ranges import RangeSums
from tabular_bento.monitoring.window.records import Watched
from tabular_bento.monitoring.window.tally import Tally
from tabular_bento.traffic.log import OUTCOMES, PREDICTIONS
from tabular_bento.traffic.reader import EventLog


@dataclass(frozen=True)
class Query:
    """Rows with `start <= on < end` in the log under `directory`.

    `on` is `time`, when a row was predicted (UTC), or a local time of the row, such as its scheduled departure. `by` is
    a field to break the window down by.
    """

    directory: AnyPath
    start: datetime
    end: datetime
    on: str = "time"
    by: str | None = None

    @property
    def log(self) -> EventLog:
        """The stream of predictions."""
        return EventLog(self.directory / PREDICTIONS)

    @property
    def outcomes(self) -> EventLog:
        """The stream of outcomes."""
        return EventLog(self.directory / OUTCOMES)


@dataclass
class RowCounts:
    """Rows of the window by model, and lines that are no rows; `examples` shows some of those.

    `unusable` are scored rows with no number to measure an error by, by the column that lacks it.

    Torn and bad lines are those that name a time in the window, and those that name none of segments that have rows in
    it or were begun in it (`tabular_bento.traffic.rejected`).
    """

    scored: int = 0
    duplicates: int = 0
    future: int = 0
    other_models: int = 0
    without_id: int = 0
    unusable: dict[str, int] = field(default_factory=dict)
    torn: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SegmentData:
    """What the pass found of the rows with one value: a tally for each readable column, and rows and errors by hour."""

    value: str
    tallies: dict[str, Tally]
    blocks: Blocks


@dataclass
class WindowData:
    """What the pass found: counts, a tally for each readable column, why others are not, rows and errors by the hour,
    how outcomes were joined, what came true by age of the prediction (shape [ages, bins]), and a sample of rows with
    the column `outcome`. It was read at `now`.

    `broken` are the columns without which no row is read, and why, `outcomes_broken` those of the log of outcomes.
    `texts` are what fields of categories hold that the reference does not know, `texts_unreadable` why some are not
    read.
    """

    now: datetime
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
    outcomes_broken: dict[str, str] = field(default_factory=dict)
    segments: list[SegmentData] = field(default_factory=list)


def tallies_of(
    watched: Sequence[Watched], sums: RangeSums, finite: Mapping[str, tuple[float, float]]
) -> dict[str, Tally]:
    """The tallies of the columns, which are the first of the codes; `finite` has the range of columns of numbers."""
    tallies = {}
    for place, column in enumerate(watched):
        tallies[column.name] = tally = Tally(column.bins)
        tally.add_counts(sums.counts[place], int(sums.infinite[place]))
        tally.widen(*finite.get(column.name, (np.inf, -np.inf)))
    return tallies
