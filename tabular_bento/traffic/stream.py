"""The layout of one event stream's folder.

    <stream>/<name>.jsonl                        log files, live or waiting to be sealed
    <stream>/date=YYYY-MM-DD/<name>.parquet      sealed log files, by the date of `time` in UTC
    <stream>/rejected/<name>.jsonl               lines that sealing could not read, as they were, in their order
    <stream>/schemas/<fingerprint>.json          the columns, by the last part of a log file's name
    *.tmp                                        a file being written; never read

A log file is the truth for as long as it exists: Parquet beside it comes from a sealing that was cut short.

A copy of such a folder in an object store is read the same way. There are no locks there: log files count as ended.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Generic, TypeVar

import orjson

from tabular_bento.data.storage import AnyPath, RemotePath, modified
from tabular_bento.errors import LogError
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.writer import FINGERPRINT_CHARS

REJECTED = "rejected"

P = TypeVar("P", Path, RemotePath)


def is_live(fd: int) -> bool:
    """Whether a log file is held, by its writer or for the moment by a sealer."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def begun(log_file: AnyPath) -> datetime | None:
    """When a log file was begun, in UTC, as its name says; None where it says nothing, as in a copy by another name."""
    try:
        return datetime.strptime(log_file.name.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


class Stream(Generic[P]):
    """Finds the files of one stream; a folder that is not there holds none."""

    def __init__(self, directory: P) -> None:
        self.directory: P = directory
        self.rejected: P = directory / REJECTED

    def log_files(self) -> list[P]:
        """The log files, oldest first."""
        return sorted(self.directory.glob("*.jsonl"))

    def temporaries(self) -> Iterator[P]:
        """What writers and sealers that were killed left behind, or are writing now."""
        return self.directory.glob("*/*.tmp")

    def partitions(self) -> list[tuple[date, P]]:
        """The dates that have sealed rows and their folders, oldest first."""
        folders = (path for path in self.directory.glob("date=*") if path.is_dir())
        return sorted((date.fromisoformat(path.name.removeprefix("date=")), path) for path in folders)

    def partition(self, day: date) -> P:
        """The folder of a date's sealed rows."""
        return self.directory / f"date={day.isoformat()}"

    def sealed(self, first: date = date.min, last: date = date.max) -> list[P]:
        """The Parquet files with rows of `first` to `last`, both included, oldest date first."""
        dated = ((path.parent.name.removeprefix("date="), path) for path in self.directory.glob("date=*/*.parquet"))
        return [path for day, path in sorted(dated) if first <= date.fromisoformat(day) <= last]

    def sealed_of(self, log_file: AnyPath) -> list[P]:
        """The Parquet files of one log file's rows, one a date."""
        return sorted(self.directory.glob(f"date=*/{log_file.stem}.parquet"))

    def rejected_files(self) -> list[P]:
        """The files of lines that sealing could not read, oldest first."""
        return sorted(self.rejected.glob("*.jsonl"))

    def schemas(self) -> list[tuple[LogColumn, ...]]:
        """Every schema the stream was ever written with, oldest first."""
        paths = sorted(self.directory.glob("schemas/*.json"), key=lambda path: (modified(path), path.name))
        return [_read_schema(path) for path in paths]

    def schema_of(self, log_file: AnyPath) -> tuple[LogColumn, ...]:
        """The columns of a log file, or of its Parquet. Raises LogError if its schema is missing or damaged."""
        return _read_schema(self.directory / "schemas" / f"{log_file.stem.rpartition('.')[2]}.json")


AnyStream = Stream[Path] | Stream[RemotePath]


def stream_of(directory: AnyPath) -> AnyStream:
    """The stream of a folder, wherever it is."""
    if isinstance(directory, Path):
        return Stream(directory)
    return Stream(directory)


@functools.lru_cache(maxsize=256)
def _read_schema(path: AnyPath) -> tuple[LogColumn, ...]:
    try:
        encoded = path.read_bytes()
    except FileNotFoundError:
        raise LogError(
            f"The schema {path} is missing, so the files that name it cannot be read; "
            "restore it from a copy of the log, or move those files out of the stream."
        ) from None
    if hashlib.sha256(encoded).hexdigest()[:FINGERPRINT_CHARS] != path.stem:
        raise LogError(f"The schema {path} was changed after it was written; restore it from a copy of the log.")
    return tuple(LogColumn.from_dict(values) for values in orjson.loads(encoded))
