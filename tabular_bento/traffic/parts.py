"""What a scan reads, in parts that can be read apart, on this machine or on others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tabular_bento.data.storage import AnyPath, RemotePath, size_of
from tabular_bento.errors import DamagedFileError
from tabular_bento.traffic.lines import read_lines, rejected_lines
from tabular_bento.traffic.rejected import Rejects, ScanCounts
from tabular_bento.traffic.schema import TIME
from tabular_bento.traffic.stream import REJECTED, is_live, stream_of
from tabular_bento.traffic.window import Window

PART_BYTES = 64 * 1024 * 1024
"""About how much of the log one part is: a log file, or some row groups of a larger Parquet file."""


@dataclass(frozen=True)
class Part:
    """What one reader reads of a stream.

    Parameters
    ----------
    path : AnyPath
        A log file, the lines that sealing rejected of one, or a sealed file.
    size : int, optional
        How many bytes of it; None for a sealed file.
    groups : tuple of int, optional
        The row groups of a sealed file; all, where it is None.
    bytes : int
        Roughly how much there is to read.
    """

    path: AnyPath
    size: int | None
    groups: tuple[int, ...] | None
    bytes: int

    @property
    def is_rejected(self) -> bool:
        """Whether it holds lines that sealing rejected."""
        return self.path.parent.name == REJECTED


@dataclass(frozen=True)
class Projection:
    """What is wanted of every part: the rows in the window (all, where it is None), as the columns of `target`."""

    window: Window | None
    target: pa.Schema
    batch_rows: int = 65_536


def log_file_part(path: AnyPath) -> Part | None:
    """A log file as far as it is written now, less a line that its writer is in the middle of; None if it is gone.

    A log file in an object store has no writer: all of it is read.
    """
    try:
        if isinstance(path, RemotePath):
            size = path.size()
        else:
            with path.open("rb") as file:
                size = _readable_bytes(file.fileno())
    except FileNotFoundError:
        return None  # sealed since it was listed: its Parquet is complete
    return Part(path, size, None, size)


def sealed_parts(path: AnyPath, window: Window | None) -> list[Part]:
    """A sealed file as one part, or, if it is large, as parts of some row groups; none if retention removed it.

    A damaged one is one part: whoever reads it finds out.
    """
    try:
        if (size := size_of(path)) <= PART_BYTES:
            return [Part(path, None, None, size)]
        with path.open("rb") as file, _undamaged(path):
            return [Part(path, None, groups, PART_BYTES) for groups in _groups(_parquet(path, file), window)]
    except FileNotFoundError:
        return []
    except DamagedFileError:
        return [Part(path, None, None, size)]


def rejected_part(path: AnyPath) -> Part | None:
    """The lines that sealing rejected of one log file; None if retention removed them."""
    try:
        size = size_of(path)
    except FileNotFoundError:
        return None
    return Part(path, size, None, size)


def read_part(part: Part, projection: Projection, counts: ScanCounts) -> Iterator[pa.RecordBatch] | None:
    """The rows of a part.

    Parameters
    ----------
    part : Part
        What to read.
    projection : Projection
        What is wanted of it.
    counts : ScanCounts
        Is added to as the reading goes; of lines that cannot be read, those of the window count.

    Returns
    -------
    iterator of pyarrow.RecordBatch, or None
        Batches of any size; None if the file is gone.

    Raises
    ------
    LogError
        For a log file whose schema is missing; DamagedFileError for a sealed file that is damaged.
    """
    try:
        file = part.path.open("rb")
    except FileNotFoundError:
        return None
    if part.size is None:
        counts.parquet_files += 1
        return _read_sealed(part, file, projection)
    if part.is_rejected:
        return _read_rejected(part, file, projection, counts)
    counts.log_files += 1
    return _read_log_file(part, part.size, file, projection, counts)


def _read_log_file(
    part: Part, size: int, file: BinaryIO, projection: Projection, counts: ScanCounts
) -> Iterator[pa.RecordBatch]:
    rows = 0
    with file:
        columns = stream_of(part.path.parent).schema_of(part.path)
        rejects = Rejects(part.path, columns, projection.window, counts)
        for batch in read_lines(file, size, columns, rejects.add):
            shaped = _shaped(batch, projection)
            rows += shaped.num_rows
            yield shaped
    rejects.close(lambda: rows > 0)


def _read_rejected(part: Part, file: BinaryIO, projection: Projection, counts: ScanCounts) -> Iterator[pa.RecordBatch]:
    """Counts lines; there are no rows."""
    stream = stream_of(part.path.parent.parent)
    columns = stream.schema_of(part.path)
    rejects = Rejects(part.path, columns, projection.window, counts)
    with file:
        for line in rejected_lines(file, columns):
            rejects.add(line)
    rejects.close(lambda: any(_may_meet(path, projection.window) for path in stream.sealed_of(part.path)))
    yield from ()


def _may_meet(path: AnyPath, window: Window | None) -> bool:
    """Whether a sealed file may have rows in the window."""
    try:
        with path.open("rb") as file, _undamaged(path):
            return any(_groups(_parquet(path, file), window))
    except FileNotFoundError:
        return False


def _read_sealed(part: Part, file: BinaryIO, projection: Projection) -> Iterator[pa.RecordBatch]:
    with file, _undamaged(part.path):
        parquet, window = _parquet(part.path, file), projection.window
        groups = list(part.groups or range(parquet.num_row_groups))
        if window is not None:
            groups = [index for index in groups if window.may_meet(parquet.metadata.row_group(index))]
        wanted = {*projection.target.names, window.column if window else TIME.name}
        names = [name for name in parquet.schema_arrow.names if name in wanted]
        for batch in parquet.iter_batches(projection.batch_rows, row_groups=groups, columns=names):
            yield _shaped(batch, projection)


@contextmanager
def _undamaged(path: AnyPath) -> Iterator[None]:
    """What Arrow finds wrong with a sealed file, as a DamagedFileError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(str(path), " ".join(str(error).split()).rstrip(".")) from error


def _parquet(path: AnyPath, file: BinaryIO) -> pq.ParquetFile:
    return pq.ParquetFile(file, pre_buffer=isinstance(path, RemotePath))


def _groups(parquet: pq.ParquetFile, window: Window | None) -> Iterator[tuple[int, ...]]:
    """The row groups that may have rows in the window, in chunks of about PART_BYTES."""
    chunk: list[int] = []
    size = 0
    for index in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(index)
        if window is not None and not window.may_meet(group):
            continue
        chunk.append(index)
        size += sum(group.column(column).total_compressed_size for column in range(group.num_columns))
        if size >= PART_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0
    if chunk:
        yield tuple(chunk)


def _readable_bytes(fd: int) -> int:
    """How much of a log file to read: all there is now, less a line that its writer is in the middle of."""
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


def _shaped(batch: pa.RecordBatch, projection: Projection) -> pa.RecordBatch:
    """The batch's rows in the window, as the columns asked for."""
    if projection.window is not None:
        mask = projection.window.mask(batch).fill_null(False)
        if mask.true_count < batch.num_rows:
            batch = batch.filter(mask)
    columns = [
        batch.column(name).cast(kind) if name in batch.schema.names else pa.nulls(batch.num_rows, kind)
        for name, kind in zip(projection.target.names, projection.target.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=projection.target)
