"""How many rows a table has, found without reading them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet

from tabular_bento.data.raw import files_of
from tabular_bento.data.storage import failure
from tabular_bento.data.uris import shown
from tabular_bento.errors import SourceError

_SAMPLE = 1 << 20
"""Bytes of a CSV file that its rows are estimated from."""


@dataclass(frozen=True)
class Size:
    """The size of a table.

    Parameters
    ----------
    rows : int
        Rows; of CSV an estimate.
    held : int
        Bytes that are held while it is read, beside the rows: those of its files.
    """

    rows: int
    held: int = 0


def table_size(uri: str) -> Size:
    """The size of the table at a URI, by the footers of Parquet files or the beginning of CSV files.

    Parameters
    ----------
    uri : str
        As of `tabular_bento.data.raw.fetch_file`.

    Raises
    ------
    SourceError
        Where there is nothing, or it cannot be read.
    """
    system, files = files_of(uri)
    try:
        rows = sum(_rows(system, path, size) for path, size in files.items())
    except Exception as error:  # each driver and each format has errors of its own
        raise SourceError(failure(shown(uri), error, "it cannot be read")) from error
    return Size(rows, 2 * sum(files.values()))


def _rows(system: Any, path: str, size: int) -> int:
    with system.open(path, "rb") as file:
        if path.endswith(".parquet"):
            return int(pyarrow.parquet.read_metadata(file).num_rows)
        if path.endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                member = max(archive.infolist(), key=lambda item: item.file_size)
                return _estimate(archive.open(member).read(_SAMPLE), member.file_size)
        sample = file.read(_SAMPLE)
    if path.endswith(".gz"):
        text = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(sample)
        return _estimate(text, len(text) * size // max(len(sample), 1))
    return _estimate(sample, size)


def _estimate(sample: bytes, size: int) -> int:
    """Lines of a file of `size` bytes that begins with a sample, without the header."""
    lines = sample.count(b"\n")
    if len(sample) >= size:
        return max(lines - 1 + (not sample.endswith(b"\n") and bool(sample)), 0)
    return max(size * lines // len(sample) - 1, 1)
