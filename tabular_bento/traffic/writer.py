"""The writer of an event stream: append-only files of JSON lines, one a process and hour.

A stream is a folder. While a log file is written to, its process holds `flock` on it, so it is live exactly as long as
it is locked, however its writer ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from tabular_bento.errors import LogError
from tabular_bento.traffic.schema import TIME, LogColumn

FINGERPRINT_CHARS = 12
"""How much of a schema's fingerprint is in the names of its log files."""


def owner_of(pid: int) -> str:
    """What stands in the name of each log file that the process `pid` of this machine writes, between hyphens."""
    host = re.sub(r"[^A-Za-z0-9.]+", "-", socket.gethostname())
    return f"{host}-{pid}"


def encode_schema(schema: Sequence[LogColumn]) -> bytes:
    """The columns as canonical JSON: what is fingerprinted, and what `schemas/` holds."""
    return orjson.dumps([column.to_dict() for column in schema], option=orjson.OPT_SORT_KEYS)


def schema_fingerprint(schema: Sequence[LogColumn]) -> str:
    """SHA-256, in hexadecimal, of the schema's canonical JSON."""
    return hashlib.sha256(encode_schema(schema)).hexdigest()


class LogWriter:
    """Appends JSON lines to a stream, in log files that belong to this process alone.

    One writer serves any number of threads; after a fork, the child starts a log file of its own. A line whose `append`
    returned outlives the process. It is not synced to disk: it may not outlive the machine.

    Parameters
    ----------
    directory : Path
        The stream's folder, made when the first line comes.
    schema : sequence of LogColumn
        What the lines hold.
    roll_bytes : int
        A log file that holds as much is ended, and another begun.
    roll_seconds : float
        Likewise one that is as old.

    Attributes
    ----------
    lines, bytes : int
        What this process wrote.
    appends, seconds, last : float
        In how many appends, how long they took together, and when the last was, in Unix time.
    failures, lost : int
        The appends that raised, and their lines.
    """

    seconds: float
    last: float

    def __init__(
        self,
        directory: Path,
        schema: Sequence[LogColumn],
        roll_bytes: int = 64 * 1024 * 1024,
        roll_seconds: float = 3600.0,
    ) -> None:
        if not any(column.name == TIME.name and column.kind is TIME.kind for column in schema):
            raise LogError(f"The schema of {directory} has no instant named 'time'; every stream needs one.")
        self.directory = Path(directory)
        self.schema = tuple(schema)
        self.roll_bytes = roll_bytes
        self.roll_seconds = roll_seconds
        self._count_anew()
        self._fingerprint = schema_fingerprint(schema)[:FINGERPRINT_CHARS]
        self._lock = threading.Lock()
        self._path = self.directory
        self._fd: int | None = None
        self._size = 0
        self._opened = 0.0
        _writers.add(self)

    def append(self, lines: bytes, count: int | None = None) -> None:
        """Write one or more JSON lines, each ended by a newline, in one write; `count` is their number, if known.

        Raises
        ------
        LogError
            If they cannot be written. None of them is then in the log unless the file system refuses even to truncate,
            and the next append starts a new log file.
        ValueError
            If the last line is not ended.
        """
        if not lines.endswith(b"\n"):
            raise ValueError("Every line must end with a newline.")
        count = lines.count(b"\n") if count is None else count
        start = time.perf_counter()
        with self._lock:
            try:
                if self._fd is None or self._is_over(self._fd):
                    self._fd = self._roll()
                self._write(self._fd, lines)
            except BaseException as error:
                self.failures += 1
                self.lost += count
                self._abandon()
                if not isinstance(error, OSError):
                    raise
                raise LogError(
                    f"{self._path} cannot be written: {error.strerror or error}. {count:,} line(s) are not logged; "
                    "free space or grant access, and the next append tries again in a new file."
                ) from error
            self.lines += count
            self.bytes += len(lines)
            self.appends += 1
            self.seconds, self.last = self.seconds + time.perf_counter() - start, time.time()

    def close(self) -> None:
        """End the current log file, which may then be sealed. A later append starts another."""
        with self._lock:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_over(self, fd: int) -> bool:
        """Whether the log file is full, old, or was deleted under the writer."""
        age = time.monotonic() - self._opened
        return self._size >= self.roll_bytes or age >= self.roll_seconds or os.fstat(fd).st_nlink == 0

    def _roll(self) -> int:
        self._release()
        self._path = self.directory
        self._publish_schema()
        while True:
            fd = self._create()
            # A sealer that came between the two steps of _create has deleted the file: it was empty and unlocked.
            if os.fstat(fd).st_nlink > 0:
                break
            os.close(fd)
        self._size = 0
        self._opened = time.monotonic()
        return fd

    def _create(self) -> int:
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{start}-{owner_of(os.getpid())}-{secrets.token_hex(4)}.{self._fingerprint}.jsonl"
        self._path = self.directory / name
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _publish_schema(self) -> None:
        folder = self.directory / "schemas"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._fingerprint}.json"
        while not path.exists():
            temporary = folder / f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
            with temporary.open("xb") as file:
                file.write(encode_schema(self.schema))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):  # a sealer swept it: once more
                os.replace(temporary, path)

    def _write(self, fd: int, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(fd, rest) :]
        self._size += len(lines)

    def _abandon(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
        self._release()

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _begin_in_child(self) -> None:
        """Let go of the parent's log file, lock and counts; the file stays locked by the parent."""
        self._lock = threading.Lock()
        self._count_anew()
        self._release()

    def _count_anew(self) -> None:
        self.lines = self.bytes = self.appends = self.failures = self.lost = 0
        self.seconds = self.last = 0.0


_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


def _begin_in_child() -> None:
    for writer in list(_writers):
        writer._begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
