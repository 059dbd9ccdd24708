"""The reader of an event stream: live segments, waiting segments and sealed Parquet as one table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import LogError
from data.lines import ARROW, RejectedLine, read_lines
from data.schema import Kind
from data.segments import TIME
from data.stream import Stream, is_live
from data.window import Window

_EXAMPLES = 5


@dataclass(slots=True)
class ScanCounts:
    """What a scan met: rows yielded; lines torn and bad, both skipped; files read; the first five bad lines.

    Lines that sealing set aside were counted then, and are not counted again.
    """

    rows: int = 0
    torn: int = 0
    bad: int = 0
    segments: int = 0
    parquet_files: int = 0
    examples: list[str] = field(default_factory=list)

    def reject(self, path: Path, line: RejectedLine) -> None:
        """Counts a line that could not be read."""
        if line.torn:
            self.torn += 1
        else:
            self.bad += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{path}:{line.number}: {line.reason}")


class EventLog:
    """Reads one stream, while others write and seal it.

    Every row whose `append` returned before the scan began comes once, neither lost nor doubled. Rows written
    meanwhile may come too. The order of rows is not specified. A folder that is not there is an empty stream.
    """

    def __init__(self, directory: Path) -> None:
        self._stream = Stream(directory)

    def scan(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        on: str = "time",
        counts: ScanCounts | None = None,
        batch_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """The rows with `start <= on < end`, as batches of at most `batch_rows` rows, in bounded memory.

        `on` is an INSTANT, where naive datetimes are UTC, or a LOCAL_TIME, where datetimes are what the clock of the
        place shows. Rows without `on` are outside every window. `columns` (default: all that any schema has) come in
        the order asked for, with nulls where an older schema lacks them. `counts` is added to as the scan goes.

        Raises LogError, before the first batch, for a column that no schema has and for a file whose schema is missing.
        """
        segments = self._stream.segments()  # listed first: a segment's schema is there before it is
        for path in (*segments, *self._stream.sealed()):
            self._stream.schema_of(path)
        kinds = self._kinds()
        if not kinds:
            return iter(())
        window = None
        if start is not None or end is not None:
            window = Window.of(on, self._kind(on, kinds), start, end)
        target = pa.schema([(name, ARROW[self._kind(name, kinds)]) for name in (kinds if columns is None else columns)])
        counts = ScanCounts() if counts is None else counts
        return _rebatch(self._batches(segments, window, target, counts, batch_rows), batch_rows, counts)

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
        kinds = self._kinds()
        names = kinds if columns is None else columns
        types = [ARROW[self._kind(name, kinds)] if kinds else pa.null() for name in names]
        return pa.schema(list(zip(names, types, strict=True))).empty_table()

    def _kinds(self) -> dict[str, set[Kind]]:
        """The kinds every column was ever declared with."""
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

    def _batches(
        self, segments: list[Path], window: Window | None, target: pa.Schema, counts: ScanCounts, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        done = set()
        for path in segments:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # sealed since it was listed: its Parquet is complete
            with file:
                done.add(path.stem)
                counts.segments += 1
                for batch in self._read_segment(path, file, counts):
                    yield _shape(batch, window, target)
        # Listed last, so that what was sealed in the meantime is found; a segment read above is not read again.
        first, last = window.days() if window else (date.min, date.max)
        for path in self._stream.sealed(first, last):
            if path.stem in done:
                continue
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # retention removed it
            with file:
                counts.parquet_files += 1
                for batch in _read_parquet(file, window, target, batch_rows):
                    yield _shape(batch, window, target)

    def _read_segment(self, path: Path, file: BinaryIO, counts: ScanCounts) -> Iterator[pa.RecordBatch]:
        fields = self._stream.schema_of(path)
        return read_lines(file, _readable_bytes(file.fileno()), fields, lambda line: counts.reject(path, line))


def _readable_bytes(fd: int) -> int:
    """How much of a segment to read: all there is now, less a line that its writer is in the middle of."""
    size = os.fstat(fd).st_size
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return size
    if not is_live(fd):
        return os.fstat(fd).st_size
    while size > 0:
        start = max(0, size - 4096)
        newline = os.pread(fd, size - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0


def _read_parquet(
    file: BinaryIO, window: Window | None, target: pa.Schema, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    parquet = pq.ParquetFile(file)
    groups = [
        index
        for index in range(parquet.num_row_groups)
        if window is None or window.may_meet(parquet.metadata.row_group(index))
    ]
    wanted = {*target.names, window.column if window else TIME.name}
    names = [name for name in parquet.schema_arrow.names if name in wanted]
    yield from parquet.iter_batches(batch_rows, row_groups=groups, columns=names)


def _shape(batch: pa.RecordBatch, window: Window | None, target: pa.Schema) -> pa.RecordBatch:
    """The batch's rows in the window, as the columns asked for."""
    if window is not None:
        batch = batch.filter(window.mask(batch))
    columns = [
        batch.column(name).cast(kind) if name in batch.schema.names else pa.nulls(batch.num_rows, kind)
        for name, kind in zip(target.names, target.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=target)


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
