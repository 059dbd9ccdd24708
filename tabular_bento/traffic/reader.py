"""The reader of an event stream: log files, live or waiting, and sealed Parquet as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import pyarrow as pa

from tabular_bento.data.storage import AnyPath
from tabular_bento.errors import LogError
from tabular_bento.schema import Kind
from tabular_bento.traffic.lines import ARROW
from tabular_bento.traffic.parts import Part, Projection, log_file_part, read_part, rejected_part, sealed_parts
from tabular_bento.traffic.rejected import ScanCounts
from tabular_bento.traffic.stream import stream_of
from tabular_bento.traffic.window import Window

__all__ = ["EventLog", "ScanCounts"]


class EventLog:
    """Reads one stream, while others write and seal it.

    Every row whose `append` returned before the scan began comes once, neither lost nor doubled. Rows written
    meanwhile may come too. The order of rows is not specified. A folder that is not there is an empty stream.
    """

    def __init__(self, directory: AnyPath) -> None:
        self._stream = stream_of(directory)

    def scan(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        on: str = "time",
        counts: ScanCounts | None = None,
        batch_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """The rows with `start <= on < end`, in bounded memory.

        Parameters
        ----------
        start, end : datetime, optional
            The window; all rows where neither is given.
        columns : sequence of str, optional
            What to read, in this order, with nulls where an older schema lacks a column. Default: all that any schema
            has.
        on : str
            An INSTANT, where naive datetimes are UTC, or a LOCAL_TIME or DATE, where datetimes are what the clock of
            the place shows. Rows without it are outside every window.
        counts : ScanCounts, optional
            Is added to as the scan goes.
        batch_rows : int
            The most rows of one batch.

        Returns
        -------
        iterator of pyarrow.RecordBatch

        Raises
        ------
        LogError
            Before the first batch, for a column that no schema has and for a file whose schema is missing.
        """
        log_files = self.log_files()
        projection = self.projection(start, end, columns, on, batch_rows)
        if projection is None:
            return iter(())
        counts = ScanCounts() if counts is None else counts
        return _rebatch(self._batches(log_files, projection, counts), batch_rows, counts)

    def read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        on: str = "time",
        counts: ScanCounts | None = None,
        batch_rows: int = 65_536,
    ) -> pa.Table:
        """All that `scan` yields as one table. While the stream is empty, columns asked for are of type null."""
        batches = list(self.scan(start, end, columns, on, counts, batch_rows))
        if batches:
            return pa.Table.from_batches(batches)
        kinds = self.kinds()
        names = kinds if columns is None else columns
        types = [ARROW[self._kind(name, kinds)] if kinds else pa.null() for name in names]
        return pa.schema(list(zip(names, types, strict=True))).empty_table()

    def log_files(self) -> list[Part]:
        """The log files as they are now: what a scan lists and reads first. Raises LogError for one without a schema.

        The schema of a log file is there before it is, so the schemas are read after this.
        """
        paths = self._stream.log_files()
        for path in (*paths, *self._stream.sealed()):
            self._stream.schema_of(path)
        return [part for path in paths if (part := log_file_part(path)) is not None]

    def sealed(self, window: Window | None, done: set[str]) -> list[Part]:
        """The sealed files and what sealing rejected, as they are now, but for those whose log files were read.

        What a scan lists when it has read all log files, so that what was sealed in the meantime is found. `done` has
        the stems of their names.
        """
        first, last = window.days() if window else (date.min, date.max)
        sealed = (path for path in self._stream.sealed(first, last) if path.stem not in done)
        rejected = (rejected_part(path) for path in self._stream.rejected_files() if path.stem not in done)
        return [*(part for path in sealed for part in sealed_parts(path, window)), *filter(None, rejected)]

    def projection(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        on: str = "time",
        batch_rows: int = 65_536,
    ) -> Projection | None:
        """What `scan` wants of every part, and raises as it does; None where the stream has no schema yet."""
        kinds = self.kinds()
        if not kinds:
            return None
        window = None
        if start is not None or end is not None:
            window = Window.of(on, self._kind(on, kinds), start, end)
        names = kinds if columns is None else columns
        return Projection(window, pa.schema([(name, ARROW[self._kind(name, kinds)]) for name in names]), batch_rows)

    def kinds(self) -> dict[str, set[Kind]]:
        """The kinds every column was ever declared with; empty while there is no stream."""
        kinds: dict[str, set[Kind]] = {}
        for schema in self._stream.schemas():
            for column in schema:
                kinds.setdefault(column.name, set()).add(column.kind)
        return kinds

    def _kind(self, name: str, kinds: dict[str, set[Kind]]) -> Kind:
        where = self._stream.directory
        if name not in kinds:
            raise LogError(f"{where} has no column {name!r}; ask for some of {', '.join(kinds) or 'none'}.")
        if len(kinds[name]) == 1:
            return next(iter(kinds[name]))
        if kinds[name] == {Kind.INTEGER, Kind.NUMBER}:
            return Kind.NUMBER
        raise LogError(
            f"Column {name!r} of {where} was written as {' and as '.join(sorted(kinds[name]))}; leave it out of "
            "`columns`, or begin a new stream for the new declaration."
        )

    def _batches(self, log_files: list[Part], projection: Projection, counts: ScanCounts) -> Iterator[pa.RecordBatch]:
        done = set()
        for part in log_files:
            if (batches := read_part(part, projection, counts)) is not None:
                done.add(part.path.stem)
                yield from batches
        for part in self.sealed(projection.window, done):
            yield from read_part(part, projection, counts) or ()


def _rebatch(batches: Iterator[pa.RecordBatch], rows: int, counts: ScanCounts) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `rows`, the last one excepted."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        if size < rows:
            continue
        whole = pa.concat_batches(held)
        cut = size - size % rows
        for offset in range(0, cut, rows):
            counts.rows += rows
            yield whole.slice(offset, rows)
        held, size = [whole.slice(cut)], size - cut
    if size:
        counts.rows += size
        yield pa.concat_batches(held)
