"""A window of the traffic log: which rows are asked for, and what is known of them when all have been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from data.events import EventLog
from data.storage import AnyPath
from monitoring.blocks import Blocks
from monitoring.outcomes import Joined
from monitoring.ranges import RangeSums
from monitoring.reading import Watched
from monitoring.reference import Reference
from monitoring.tally import Tally
from scoring.traffic import OUTCOMES, PREDICTIONS


@dataclass(frozen=True)
class Query:
    """Rows with `start <= on < end` in the log under `directory`.

    `on` is `time`, when a row was predicted (UTC), or a local time of the row, such as its scheduled departure.
    """

    directory: AnyPath
    start: datetime
    end: datetime
    on: str = "time"

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

    Torn and bad lines have no time that could be read, so they count wherever they are in the unsealed log.
    """

    scored: int = 0
    duplicates: int = 0
    other_models: int = 0
    without_id: int = 0
    torn: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class WindowData:
    """What the pass found: counts, a tally for each readable column, why others are not, rows and errors by the hour,
    how outcomes were joined, the tally of what came true, and a sample of rows with the column `outcome`.
    """

    rows: RowCounts
    tallies: dict[str, Tally]
    unreadable: dict[str, str]
    blocks: Blocks
    joined: Joined
    outcome: Tally | None
    sample: pa.Table


def window_data(
    watched: Sequence[Watched],
    rows: RowCounts,
    sums: RangeSums,
    finite: Mapping[str, tuple[float, float]],
    joined: Joined,
    outcome: Tally | None,
    unreadable: dict[str, str],
    sample: pa.Table,
) -> WindowData:
    """What sums say of a window; `finite` has the range of each column of numbers."""
    tallies = {}
    for column, counts, infinite in zip(watched, sums.counts, sums.infinite.tolist(), strict=True):
        tallies[column.name] = tally = Tally(column.bins)
        tally.add_counts(counts, infinite)
        tally.widen(*finite.get(column.name, (np.inf, -np.inf)))
    return WindowData(rows, tallies, unreadable, sums.blocks, joined, outcome, sample)


def outcome_of(reference: Reference, sums: RangeSums) -> Tally | None:
    """The tally of what came true; None where the reference has none to compare it with."""
    if reference.outcome is None:
        return None
    tally = Tally(reference.outcome.bins)
    if sums.outcome_counts is not None:
        tally.add_counts(sums.outcome_counts)
    return tally
