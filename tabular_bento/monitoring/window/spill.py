"""What a pass exchanges between its two halves: rows and labels in Arrow files, by hash of `prediction_id`.

Whoever reads a file of the log writes one file here. Its record batches go round the partitions, so that whoever joins
a partition maps just its rows into memory, and leaves there what no query asks for.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.errors import SpillError

KEYS = ("k0", "k1")
"""The two halves of a key; the first decides on the partition."""

PARTITION_BYTES = 8 * 1024 * 1024
"""Bytes of the log that make one partition, as long as they are not more than MOST_PARTITIONS."""

MOST_PARTITIONS = 128

Columns = Mapping[str, NDArray[Any]]
"""Columns by name, shape [n] each; one of shape [n, k] holds the bytes of a BLOB."""


@dataclass(frozen=True)
class Spill:
    """A folder for a pass, and in how many partitions its rows are; a power of two."""

    folder: Path
    partitions: int = 1

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Writes one file. Raises SpillError where the folder refuses."""
        writer = Writer(self)
        try:
            yield writer
        finally:
            writer.close()

    def open(self, names: Iterable[str]) -> Files:
        """The files of these names."""
        maps = []
        for name in names:
            with self.reported(), (self.folder / name).open("rb") as file:
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return Files([(each, pa.ipc.open_file(pa.py_buffer(each))) for each in maps], self.partitions)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Errors of the file system and of DuckDB's own spilling, as SpillError."""
        import duckdb

        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise SpillError(
                f"{socket.gethostname()} does not see {self.folder}, where the pass spills rows: name a folder "
                "that all workers share by --spill."
            ) from None
        except duckdb.OutOfMemoryException as error:
            why = " ".join(str(error).split()).rstrip(".")
            raise SpillError(
                f"DuckDB cannot join rows and labels in the memory it may hold, nor spill into {self.folder}: {why}. "
                "Allow it more by --memory, or free space there."
            ) from error
        except (OSError, duckdb.IOException) as error:
            why = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
            raise SpillError(
                f"{self.folder}, where the pass spills rows, cannot be used: {why}. About 100 bytes a row of the "
                "window are needed, and 40 a label: free space, or name another folder by TMPDIR or --spill."
            ) from error


@dataclass(frozen=True)
class Files:
    """Files that were written into the same number of partitions."""

    files: list[tuple[mmap.mmap, pa.ipc.RecordBatchFileReader]]
    partitions: int

    def read(self, partition: int, nothing: pa.Table) -> pa.Table:
        """The rows of a partition; `nothing` where there are no files. What was read before leaves memory."""
        batches: list[pa.RecordBatch] = []
        for mapped, file in self.files:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)
            batches += (file.get_batch(i) for i in range(partition, file.num_record_batches, self.partitions))
        return pa.Table.from_batches(batches) if batches else nothing


class Writer:
    """Writes columns of rows into one file, by partition."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._file: pa.ipc.RecordBatchFileWriter | None = None
        self.names: list[str] = []

    def add(self, columns: Columns) -> None:
        """Write n rows, in any order."""
        count, keys = self._spill.partitions, columns[KEYS[0]]
        order, ends = None, [len(keys)]
        if count > 1:
            partition = (keys >> np.uint64(65 - count.bit_length())).astype(np.uint8)
            order = np.argsort(partition, kind="stable")
            ends = np.bincount(partition, minlength=count).cumsum().tolist()
        batch = pa.RecordBatch.from_pydict(
            {name: _array(each if order is None else each.take(order, axis=0)) for name, each in columns.items()}
        )
        with self._spill.reported():
            if self._file is None:
                self.names.append(f"{secrets.token_hex(8)}.arrow")
                self._file = pa.ipc.new_file(str(self._spill.folder / self.names[0]), batch.schema)
            for start, end in zip([0, *ends], ends, strict=False):
                self._file.write_batch(batch.slice(start, end - start))

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            with self._spill.reported():
                self._file.close()


def _array(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    rows, width = values.shape
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(values)])


@contextmanager
def spill_folder(parent: str | None, partitions: int) -> Iterator[Spill]:
    """A new folder in `parent`, by default in TMPDIR; it is gone afterwards, however that comes about.

    Raises SpillError where it cannot be made, and where `parent` is a URI.
    """
    if parent is not None and "://" in parent:
        raise SpillError(
            f"--spill {parent}: rows are spilled to files that DuckDB maps and writes, so this must be a folder, by "
            "its path, and with --scheduler one that all workers share."
        )
    name = f"drift-{os.getpid()}-{secrets.token_hex(4)}"
    spill = Spill(Path(parent or tempfile.gettempdir()).absolute() / name, partitions)
    with spill.reported():
        try:
            spill.folder.mkdir(parents=True)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SpillError(
                f"{spill.folder.parent}, where the pass spills rows, cannot be made: {error.strerror}. Name another "
                "folder by TMPDIR or --spill."
            ) from error
    try:
        yield spill
    finally:
        shutil.rmtree(spill.folder, ignore_errors=True)


def partitions_of(size: int) -> int:
    """In how many partitions the rows of a log of so many bytes are."""
    return min(1 << max(-(-size // PARTITION_BYTES) - 1, 0).bit_length(), MOST_PARTITIONS)
