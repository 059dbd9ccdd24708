"""A half-open window of time on one column of a stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tabular_bento.errors import LogError
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import TIME, LogColumn

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """`start <= column < end`; a bound that is None is open. The bounds are aware for an INSTANT, else naive.

    A DATE is the first moment of its day.
    """

    column: str
    start: datetime | None
    end: datetime | None

    @classmethod
    def of(cls, column: str, kind: Kind, start: datetime | None, end: datetime | None) -> Self:
        """The window in the terms of the column's kind.

        For an INSTANT, naive bounds are UTC. For a LOCAL_TIME or a DATE, the bounds are what the clock of the place
        shows, and an offset is ignored.

        Raises
        ------
        LogError
            For any other kind.
        """
        if kind is Kind.INSTANT:
            return cls(column, _in_utc(start), _in_utc(end))
        if kind in (Kind.LOCAL_TIME, Kind.DATE):
            return cls(column, start and start.replace(tzinfo=None), end and end.replace(tzinfo=None))
        raise LogError(f"A window of time cannot be on {column!r}, which is of kind {kind}; choose a time.")

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """Which rows are in the window, shape (rows,); null or false where `column` is null or absent."""
        if self.column not in batch.schema.names:
            return pa.nulls(batch.num_rows, pa.bool_())
        values = batch.column(self.column)
        if pa.types.is_date(values.type):
            values = values.cast(pa.timestamp("us"))
        kind = pa.timestamp("us", tz=values.type.tz)
        mask = pc.is_valid(values)
        if self.start is not None:
            mask = pc.and_(mask, pc.greater_equal(values, pa.scalar(self.start, kind)))
        if self.end is not None:
            mask = pc.and_(mask, pc.less(values, pa.scalar(self.end, kind)))
        return mask

    def has(self, moment: datetime) -> bool:
        """Whether a time is in the window: of an INSTANT, in UTC where it is naive; else what the clock shows."""
        aware = any(bound is not None and bound.tzinfo for bound in (self.start, self.end))
        moment = moment.replace(tzinfo=moment.tzinfo or UTC if aware else None)
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)

    def line_reader(self, columns: Sequence[LogColumn]) -> Callable[[bytes], bool | None]:
        """What tells whether the time that a line gives for `column` is in the window; None where it gives none.

        The line need not be readable JSON.

        Parameters
        ----------
        columns : sequence of LogColumn
            What the lines hold.
        """
        pattern = re.compile(_pattern(self.column, columns))

        def has_line(line: bytes) -> bool | None:
            found = pattern.search(line)
            try:
                return self.has(datetime.fromisoformat(found[1].decode())) if found else None
            except ValueError:
                return None

        return has_line

    def days(self) -> tuple[date, date]:
        """The first and last date of `time` in UTC that rows in the window can have."""
        if self.column != TIME.name:
            return date.min, date.max
        first = self.start.date() if self.start else date.min
        last = (self.end - _MICROSECOND).date() if self.end else date.max
        return first, last

    def may_meet(self, group: pq.RowGroupMetaData) -> bool:
        """Whether a row group can have rows in the window, by its statistics."""
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema == self.column:
                statistics = column.statistics
                if statistics is None or not statistics.has_min_max:
                    return True
                below = self.end is None or _moment(statistics.min) < self.end
                return below and (self.start is None or _moment(statistics.max) >= self.start)
        return False


def _pattern(name: str, columns: Sequence[LogColumn]) -> bytes:
    """A pattern that finds the text that a line gives for a column."""
    within = next((column.within for column in columns if column.name == name), None)
    if within is None:
        return rb'"%b"\s*:\s*"([^"]*)"' % re.escape(name).encode()
    index = [column.name for column in columns if column.within == within].index(name)
    element = rb'(?:\s*"(?:[^"\\]|\\.)*"\s*|\s*\[[^\]]*\]\s*|[^",\[\]]*)'
    return rb'"%b"\s*:\s*\[(?:%b,){%d}\s*"([^"]*)"' % (re.escape(within).encode(), element, index)


def _moment(value: date | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
