"""JSON lines to Arrow: typed, in bounded memory, with every line that cannot be read rejected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from types import NoneType
from typing import BinaryIO, cast

import orjson
import pyarrow as pa

from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import TIME, LogColumn

ARROW: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.LOCAL_TIME: pa.timestamp("s"),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
}
"""How columns are held in Arrow and Parquet."""

_JSON: dict[Kind, set[type]] = {
    Kind.TEXT: {str},
    Kind.INTEGER: {int},
    Kind.NUMBER: {int, float},
    Kind.BOOLEAN: {bool},
    Kind.DATE: {str},
    Kind.LOCAL_TIME: {str},
    Kind.INSTANT: {str},
}

_CHUNK_BYTES = 1024 * 1024  # measured: less pays for many small batches, more for rows that leave the cache

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_NUMBER = re.compile(rb'"([^"\\]+)"\s*:\s*(?:\[((?:"(?:[^"\\]|\\.)*"|[^"\]])*?))?(-?(?:NaN|Infinity))\b')
"""What other writers put where JSON has no word: the name, what precedes it in a list, and the value."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that could not be read: its number from 1, its bytes without the newline, and why.

    It is truncated if it is the last of its log file and was never ended.
    """

    number: int
    line: bytes
    reason: str
    truncated: bool = False


def arrow_schema(columns: Sequence[LogColumn]) -> pa.Schema:
    """The columns as Arrow has them."""
    return pa.schema([(column.name, ARROW[column.kind]) for column in columns])


def read_lines(
    file: BinaryIO, size: int, columns: Sequence[LogColumn], reject: Callable[[RejectedLine], None]
) -> Iterator[pa.RecordBatch]:
    """The rows of a log file.

    A line is read or rejected as a whole: it must be one JSON object, `time` must be set, and every column must be of
    its kind, null or left out; a list that columns are within holds each of them, or is null or left out. Other names
    are ignored.

    Parameters
    ----------
    file : BinaryIO
        The file.
    size : int
        How many bytes of it to read.
    columns : sequence of LogColumn
        What the lines hold.
    reject : callable
        Given each line that cannot be read.

    Yields
    ------
    pyarrow.RecordBatch
        Some thousand rows.
    """
    number, tail = 1, b""
    while size > 0 and (block := file.read(min(_CHUNK_BYTES, size))):
        size -= len(block)
        head, newline, rest = block.rpartition(b"\n")
        if not newline:
            tail += block
            continue
        lines = (tail + head).split(b"\n")
        yield from _read_chunk(lines, number, columns, reject)
        number, tail = number + len(lines), rest
    if tail:
        reject(RejectedLine(number, tail, "the line was never ended", truncated=True))


def rejected_lines(file: BinaryIO, columns: Sequence[LogColumn]) -> Iterator[RejectedLine]:
    """The lines of a file of `rejected/`, which sealing could not read, and why not."""
    for number, line in enumerate(file, 1):
        found: list[RejectedLine] = []
        for _ in read_lines(BytesIO(line), len(line), columns, found.append):
            pass
        reason = found[0].reason if found else "sealing could not read the line"
        yield RejectedLine(number, line.rstrip(b"\n"), reason, truncated=not line.endswith(b"\n"))


def _read_chunk(
    lines: list[bytes], number: int, columns: Sequence[LogColumn], reject: Callable[[RejectedLine], None]
) -> Iterator[pa.RecordBatch]:
    """All lines at once if they are good; else by halves, until the bad ones stand alone."""
    try:
        yield _decode(lines, columns)
    except ValueError as error:
        if len(lines) == 1:
            reject(RejectedLine(number, lines[0], str(error)))
            return
        middle = len(lines) // 2
        yield from _read_chunk(lines[:middle], number, columns, reject)
        yield from _read_chunk(lines[middle:], number + middle, columns, reject)


def _decode(lines: list[bytes], columns: Sequence[LogColumn]) -> pa.RecordBatch:
    try:
        rows = orjson.loads(b"[%b]" % b",".join(lines))
    except orjson.JSONDecodeError as error:
        if token := _NO_NUMBER.search(lines[0]):
            raise ValueError(f"{_named(token, columns)} is {token[3].decode()}, so the line is not JSON") from None
        raise ValueError(f"the line is not JSON: {error.msg}") from None
    if len(rows) != len(lines) or any(type(row) is not dict for row in rows):
        raise ValueError("the line is not one JSON object")
    arrays = [_column(values, column) for values, column in zip(_values(rows, columns), columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


def _named(token: re.Match[bytes], columns: Sequence[LogColumn]) -> str:
    """The column that `_NO_NUMBER` met; the list, where that holds more than the schema says."""
    name, before = token[1].decode(errors="replace"), token[2]
    if before is None:
        return name
    members = [column.name for column in columns if column.within == name]
    index = _TEXT.sub(b"", before).count(b",")
    return members[index] if index < len(members) else name


def _values(rows: list[dict[str, object]], columns: Sequence[LogColumn]) -> Iterator[Sequence[object]]:
    """The values of each column, shape (rows,), with None where a row lacks it."""
    get = _getter(rows)
    for within, members in groupby(columns, key=lambda column: column.within):
        if within is None:
            yield from (get(column.name) for column in members)
        else:
            yield from _elements(within, get(within), len(list(members)))


def _getter(rows: list[dict[str, object]]) -> Callable[[str], Sequence[object]]:
    """What gives the values of a name, shape (rows,)."""
    names = list(rows[0])
    if all(list(row) == names for row in rows):  # the usual case, three times as fast
        values = dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
        absent = (None,) * len(rows)
        return lambda name: values.get(name, absent)
    return lambda name: [row.get(name) for row in rows]


def _elements(name: str, lists: Sequence[object], size: int) -> Iterator[tuple[object, ...]]:
    """The values of the `size` columns within a list, each of shape (rows,)."""
    none = [None] * size
    whole = [none if values is None else values for values in lists]
    if any(type(values) is not list or len(values) != size for values in whole):
        raise ValueError(f"{name} is not a list of {size} values")
    return zip(*cast(list[list[object]], whole), strict=True)


def _column(values: Sequence[object], column: LogColumn) -> pa.Array:
    wrong = set(map(type, values)) - _JSON[column.kind]
    if wrong - {NoneType}:
        raise ValueError(f"{column.name} is not of kind {column.kind}")
    if wrong and column.name == TIME.name:
        raise ValueError("time is missing")
    try:
        if column.kind.is_time:
            return pa.array(values, pa.string()).cast(ARROW[column.kind])
        return pa.array(values, ARROW[column.kind])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{column.name}: {error}") from None
