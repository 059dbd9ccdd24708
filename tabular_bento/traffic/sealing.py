"""Sealing: log files that nobody writes any more become Parquet, partitioned by date.

A log file is deleted only once all it held is on disk under names that derive from its own, so that a sealing cut
short anywhere is finished by the next one, which writes the same files again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tabular_bento.errors import LogError
from tabular_bento.traffic.lines import RejectedLine, arrow_schema, read_lines
from tabular_bento.traffic.schema import TIME
from tabular_bento.traffic.stream import Stream

_ROW_GROUP_ROWS = 128 * 1024


@dataclass(slots=True)
class SealReport:
    """What one sealing did: log files sealed, rows written, lines rejected (truncated or bad), files, and the rest."""

    log_files: int = 0
    rows: int = 0
    truncated: int = 0
    bad: int = 0
    files_written: int = 0
    partitions_removed: int = 0
    skipped_live: int = 0


def seal(
    directory: Path, retain_days: int | None = None, progress: Callable[[int, int], None] | None = None
) -> SealReport:
    """Seal every log file of a stream that is not live; one at a time is held in memory.

    A second sealer of the stream waits for the first. Lines that cannot be read are kept in `rejected/`.

    Parameters
    ----------
    directory : Path
        The stream's folder.
    retain_days : int, optional
        What is dated more full days ago is removed.
    progress : callable, optional
        Called with the number of log files done and of all.

    Raises
    ------
    LogError
        If a file cannot be read or written; nothing is lost, and the next run goes on.
    """
    stream, report = Stream(directory), SealReport()
    if not stream.directory.is_dir():
        return report
    try:
        with _alone(stream.directory):
            for path in stream.temporaries():
                path.unlink(missing_ok=True)
            log_files = stream.log_files()
            for done, path in enumerate(log_files, 1):
                _seal_if_ended(path, stream, report)
                if progress is not None:
                    progress(done, len(log_files))
            if retain_days is not None:
                _forget(stream, datetime.now(UTC).date() - timedelta(days=retain_days), report)
    except (OSError, pa.ArrowException) as error:
        raise LogError(
            f"{stream.directory} cannot be sealed: {error}. Nothing is lost; put it right and seal again."
        ) from error
    return report


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _seal_if_ended(path: Path, stream: Stream[Path], report: SealReport) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.skipped_live += 1
            return
        _seal_file(path, file, stream, report)


def _seal_file(path: Path, file: BinaryIO, stream: Stream[Path], report: SealReport) -> None:
    size = os.fstat(file.fileno()).st_size
    if size:
        fields, rejected = stream.schema_of(path), list[RejectedLine]()
        batches = read_lines(file, size, fields, rejected.append)
        table = pa.Table.from_batches(batches, schema=arrow_schema(fields)).sort_by(TIME.name)
        days = pc.cast(table[TIME.name], pa.date32())
        for day in pc.unique(days).to_pylist():
            rows = table.filter(pc.equal(days, day))
            _write(stream.partition(day) / f"{path.stem}.parquet", _parquet_of(rows))
            report.files_written += 1
        if rejected:
            kept = (line.line if line.truncated else line.line + b"\n" for line in rejected)
            _write(stream.rejected / path.name, b"".join(kept))
        _sync(stream.directory)
        truncated = sum(line.truncated for line in rejected)
        report.rows += table.num_rows
        report.truncated += truncated
        report.bad += len(rejected) - truncated
    os.unlink(path)
    report.log_files += 1


def _parquet_of(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    return sink.getvalue()


def _write(path: Path, content: bytes | pa.Buffer) -> None:
    """All of it or nothing, and on disk when this returns."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _forget(stream: Stream[Path], first_kept: date, report: SealReport) -> None:
    """Removes the partitions and the rejected lines of before `first_kept`."""
    for day, folder in stream.partitions():
        if day < first_kept:
            shutil.rmtree(folder)
            report.partitions_removed += 1
    for path in stream.rejected.glob("*.jsonl"):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC).date() < first_kept:
            path.unlink()
