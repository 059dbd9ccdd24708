"""The inputs of the Open Inference Protocol, written from the protocol and not from the library's code."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tabular_bento.protocol.tensors import Tensor, decode
from tabular_bento.schema import Field, Kind

Input = tuple[str, str, list[Any]]
"""Name, datatype and values of an input; a missing value is None."""

FORMATS = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4", "BOOL": "?"}


def inputs_of(fields: Sequence[Field], rows: Sequence[Mapping[str, Any]]) -> list[Input]:
    """An input for each field that one of `rows` has; a missing integer or boolean needs a datatype that has a NaN."""
    inputs = []
    for field in fields:
        values = [row.get(field.name) for row in rows]
        if rows and values.count(None) == len(values):
            continue
        inputs.append((field.name, _datatype(field, None in values), values))
    return inputs


def _datatype(field: Field, gaps: bool) -> str:
    match field.kind:
        case Kind.INTEGER if not gaps:
            return "INT64"
        case Kind.BOOLEAN if not gaps:
            return "BOOL"
        case Kind.NUMBER | Kind.INTEGER | Kind.BOOLEAN:
            return "FP64"
    return "BYTES"


def binary(datatype: str, values: Sequence[Any]) -> bytes:
    """The binary form of a tensor."""
    if datatype == "BYTES":
        texts = [(value or "").encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array([np.nan if value is None else value for value in values], FORMATS[datatype]).tobytes()


def tensors_of(fields: Sequence[Field], rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """The inputs of rows as decoded tensors, by name."""
    return {
        name: decode(name, datatype, (len(values),), binary(datatype, values))
        for name, datatype, values in inputs_of(fields, rows)
    }
