"""Input tensors of the Open Inference Protocol to rows.

There is one input for each field of the declaration, of shape [n] or [n, 1]. NaN, an empty string, or leaving an
optional input out means missing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from features.definition import FIELDS
from features.texts import RepeatedTexts
from features.values import Row
from tabular_bento.errors import RequestError
from tabular_bento.protocol.requests import FEW_ROWS, plain_seconds, rows_of_columns, valid_row
from tabular_bento.protocol.tensors import (
    DATATYPES,
    STRUCT_CODES,
    Tensor,
    Values,
    count_rows,
    decode_values,
    equal_texts,
    shown,
)
from tabular_bento.schema import Field, Kind

LARGEST = 2.0**63
"""Whole numbers from here on are no INT64, and are refused as they are."""

_FIELDS = {field.name: field for field in FIELDS}


class Layout:
    """Which field each input of a request holds, in which datatype, of how many rows: its tensors without values.

    Checked once, it serves all requests that are laid out alike. Raises RequestError that names the input at fault,
    and TooLargeError for more rows than a request may have.
    """

    def __init__(self, inputs: Iterable[tuple[str, str, Sequence[int]]]) -> None:
        """`inputs` are name, datatype and shape of each tensor."""
        self._inputs: list[tuple[Field, str, int, Callable[[Any], Values] | None]] = []
        counts: dict[str, int] = {}
        for name, datatype, shape in inputs:
            field = _FIELDS.get(name)
            if field is None:
                raise RequestError(f"Input {shown(name)} is unknown; the inputs are {', '.join(_FIELDS)}.")
            if name in counts:
                raise RequestError(f"Input {name!r} is given twice.")
            counts[name] = count_rows(name, shape)
            allowed = DATATYPES[field.kind]
            if datatype not in allowed:
                datatypes = " or ".join(allowed)
                raise RequestError(f"Input {name!r} has datatype {shown(datatype)}; it must be {datatypes}.")
            self._inputs.append((field, datatype, counts[name], _reader(field)))
        for field in FIELDS:
            if not field.optional and field.name not in counts:
                raise RequestError(f"Input {field.name!r} is missing, and is not optional.")
        if not counts:
            raise RequestError("There are no inputs.")
        self.count = next(iter(counts.values()))
        self._ragged = next((name for name, count in counts.items() if count != self.count), None)
        self._of_one = [(field.name, _reader_of_one(datatype, read)) for field, datatype, _, read in self._inputs]

    def row(self, contents: Sequence[bytes]) -> list[Row] | None:
        """The validated row of what each input holds in binary form, where it is one; None where `rows` must tell."""
        if self.count != 1 or self._ragged is not None:
            return None
        try:
            values = {name: read(content) for (name, read), content in zip(self._of_one, contents, strict=True)}
        except (struct.error, ValueError):
            return None
        return valid_row(values)

    def rows(self, contents: Iterable[bytes | Values]) -> Sequence[Row]:
        """Validated rows of what each input holds, in order: its binary form, or its values.

        Raises RequestError that names the input, or pydantic's ValidationError that names row and field.
        """
        columns: dict[str, Values] = {}
        for (field, datatype, count, read), content in zip(self._inputs, contents, strict=True):
            values = _decode(field, datatype, count, content) if isinstance(content, bytes) else content
            if len(values) != count:
                raise RequestError(f"Input {field.name!r} has {len(values)} elements where its shape says {count}.")
            columns[field.name] = read(values) if read else values
        if self._ragged is not None:
            first, rows = self._inputs[0][0].name, len(columns[self._ragged])
            raise RequestError(f"Input {self._ragged!r} has {rows} rows where {first!r} has {self.count}.")
        return rows_of_columns(columns, self.count)


def rows_of_tensors(tensors: Sequence[Tensor]) -> Sequence[Row]:
    """Validated rows of whole tensors. Raises as `Layout` does."""
    layout = Layout((tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
    return layout.rows(tensor.values for tensor in tensors)


def _decode(field: Field, datatype: str, count: int, content: bytes) -> Values:
    """The values of an input from its binary form, many times in seconds where they are spelt in the plain way."""
    if field.kind is Kind.LOCAL_TIME and count > FEW_ROWS and (characters := equal_texts(content)) is not None:
        seconds = plain_seconds(characters)
        if seconds is not None:
            return seconds
    return decode_values(field.name, datatype, count, content)


def _reader(field: Field) -> Callable[[Any], Values] | None:
    """What makes an input's values those of the schema, where missing is None; None where they are already."""
    if field.kind is Kind.INTEGER:
        return _integers
    return _texts if field.kind is Kind.TEXT and field.optional else None


def _reader_of_one(datatype: str, read: Callable[[Any], Values] | None) -> Callable[[bytes], Any]:
    """What reads an input's binary form of one value, as the schema has it; struct.error or ValueError for another."""
    if datatype == "BYTES":
        return _text if read is None else _text_or_none
    unpack = struct.Struct(f"<{STRUCT_CODES[datatype]}").unpack
    if read is not None:
        return lambda content: _integer(unpack(content)[0])
    return lambda content: _finite_or_none(unpack(content)[0])


def _text(content: bytes) -> str:
    if int.from_bytes(content[:4], "little") != len(content) - 4:
        raise ValueError("another length than is said")
    return content[4:].decode()


def _text_or_none(content: bytes) -> str | None:
    return _text(content) or None


def _finite_or_none(number: float) -> float | None:
    """A number, None for NaN. Raises ValueError for an infinite one."""
    if number - number == 0:
        return number
    if number != number:
        return None
    raise ValueError("infinite")


def _integers(values: Values) -> Values:
    if not isinstance(values, np.ndarray):
        return [_integer(value) for value in values]
    return values if values.dtype.kind == "i" else [_integer(value) for value in values.tolist()]


def _integer(value: float) -> int | float | None:
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() and abs(value) < LARGEST else value
    return value


def _texts(values: Values) -> Values:
    if isinstance(values, RepeatedTexts) and "" not in values.distinct:
        return values
    return [text or None for text in values]
