"""What a pass spills, so that it need not be held in memory: rows by ranges of their keys, in temporary files.

A run is one file of rows in order of bucket, a bucket being the top bits of the key. Whoever has all runs can read any
range of buckets from them, and finds there every row that has a key of the range.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data.storage import filesystem
from tabular_bento.errors import SpillError, StorageError

BUCKETS = 1024
RUN_ROWS = 256 * 1024
RANGE_ROWS = 128 * 1024
"""About how many rows are looked at together, as long as a window is below some 130 million rows."""

_SHIFT = np.uint64(64 - BUCKETS.bit_length() + 1)
_FIRST = "first"
"""An empty file, written to see that the folder can be."""

Records = NDArray[Any]
"""Rows of one structured type, shape [n], whose first field is `key`, uint64."""


@dataclass(frozen=True)
class Run:
    """The name of a file of rows, and where in it each bucket begins, in rows, shape [BUCKETS + 1]."""

    name: str
    offsets: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.offsets[-1])


@dataclass(frozen=True)
class Slice:
    """Some rows of a run, those from `start` up to `stop`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Spill:
    """A folder of runs, by its path or URI. Every method raises SpillError where the folder refuses."""

    folder: str

    def write(self, rows: Records) -> Run:
        """Spill rows, in any order."""
        buckets = (rows["key"] >> _SHIFT).astype(np.uint16)
        ordered = rows[np.argsort(buckets, kind="stable")]
        offsets = np.concatenate([[0], np.bincount(buckets, minlength=BUCKETS).cumsum()])
        run = Run(f"{secrets.token_hex(8)}.run", offsets)
        system, folder = self._open()
        with self._reported(), system.open(f"{folder}/{run.name}", "wb") as file:
            file.write(ordered.view(np.uint8).data)
        return run

    def read(self, slices: Iterable[Slice], kind: np.dtype[Any]) -> Records:
        """The rows of the slices, in order of the slices."""
        system, folder = self._open()
        parts = [np.empty(0, kind)]
        for each in slices:
            start, end = each.start * kind.itemsize, each.stop * kind.itemsize
            with self._reported():
                parts.append(np.frombuffer(system.cat_file(f"{folder}/{each.name}", start=start, end=end), kind))
        return np.concatenate(parts)

    def _open(self) -> tuple[Any, str]:
        system, folder = filesystem(self.folder)
        return system, folder.rstrip("/")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Errors of the file system, as SpillError."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise SpillError(
                f"{socket.gethostname()} does not see {self.folder}, where the pass spills rows: name a folder "
                "that all workers share by --spill."
            ) from None
        except StorageError:
            raise
        except Exception as error:  # each driver has errors of its own
            why = getattr(error, "strerror", None) or error
            raise SpillError(
                f"{self.folder}, where the pass spills rows, cannot be used: {why}. About 80 bytes a row of the "
                "window are needed, and 24 a label: free space, or name another folder by TMPDIR or --spill."
            ) from error


class Writer:
    """Gathers rows of type `kind` and spills them, a run at a time."""

    def __init__(self, spill: Spill, kind: np.dtype[Any]) -> None:
        self._spill, self._kind = spill, kind
        self._rows: Records = np.empty(0, kind)
        self._size = 0
        self.runs: list[Run] = []

    def add(self, rows: Records) -> None:
        """Spill rows, some now and the rest later."""
        while len(rows):
            if not len(self._rows):
                self._rows = np.empty(RUN_ROWS, self._kind)
            part, rows = rows[: RUN_ROWS - self._size], rows[RUN_ROWS - self._size :]
            self._rows[self._size : self._size + len(part)] = part
            self._size += len(part)
            if self._size == RUN_ROWS:
                self.flush()

    def flush(self) -> list[Run]:
        """Spill what is left, and return all runs."""
        if self._size:
            self.runs.append(self._spill.write(self._rows[: self._size]))
            self._size = 0
        return self.runs


@contextmanager
def spill_folder(parent: str | None = None) -> Iterator[Spill]:
    """A new folder in `parent`, a path or URI, by default in TMPDIR; it is gone afterwards, however that comes about.

    Raises SpillError where it cannot be made.
    """
    spill = Spill(f"{(parent or tempfile.gettempdir()).rstrip('/')}/drift-{os.getpid()}-{secrets.token_hex(4)}")
    system, folder = spill._open()
    with spill._reported():
        system.makedirs(folder, exist_ok=True)
        system.pipe_file(f"{folder}/{_FIRST}", b"")
    try:
        yield spill
    finally:
        with suppress(FileNotFoundError):
            system.rm(folder, recursive=True)


def ranges(rows: int) -> list[tuple[int, int]]:
    """Ranges of buckets, first and last, that hold about RANGE_ROWS of so many rows each, in order."""
    count = 1
    while count < BUCKETS and rows > count * RANGE_ROWS:
        count *= 2
    step = BUCKETS // count
    return [(first, first + step) for first in range(0, BUCKETS, step)]


def cut(runs: Iterable[Run], first: int, last: int) -> list[Slice]:
    """Where the rows of the buckets from `first` up to `last` are."""
    slices = (Slice(run.name, int(run.offsets[first]), int(run.offsets[last])) for run in runs)
    return [each for each in slices if each.start < each.stop]
