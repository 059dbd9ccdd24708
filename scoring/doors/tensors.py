"""Tensors of the Open Inference Protocol to rows, and predictions to tensors: what its REST and gRPC doors share.

There is one input for each field of the declaration, of shape [n] or [n, 1]. NaN, an empty string, or leaving an
optional input out means missing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Field, Kind
from features.definition import FIELDS, TARGET
from features.values import Row
from scoring.doors.entrance import check_size
from scoring.errors import RequestError, UnknownModelError
from scoring.schema import rows_of_columns

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "INT64": np.dtype("<i8"),
    "INT32": np.dtype("<i4"),
}
DATATYPES: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: ("BYTES",),
    Kind.LOCAL_TIME: ("BYTES",),
    Kind.NUMBER: ("FP64", "FP32", "INT64", "INT32"),
    Kind.INTEGER: ("INT64", "INT32", "FP64", "FP32"),
}
"""The datatypes that a field of each kind is taken in; the first is what the metadata say."""

PREDICTION_ID = "prediction_id"
OUTPUTS = {TARGET.name: "FP64", PREDICTION_ID: "BYTES"}

_STRUCT_CODES = {"FP64": "d", "FP32": "f", "INT64": "q", "INT32": "i"}
FEW_BYTES = 512
"""Tensors up to this size are decoded in plain Python, which is faster than NumPy's fixed cost per operation."""

_FIELDS = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor. `values` are flat: an array of numbers, or bytes or strings."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any] | NDArray[Any]


def input_metadata() -> list[dict[str, Any]]:
    """Name, datatype and shape of each input, -1 for the number of rows."""
    return [{"name": field.name, "datatype": DATATYPES[field.kind][0], "shape": [-1]} for field in FIELDS]


def output_metadata() -> list[dict[str, Any]]:
    """Name, datatype and shape of each output."""
    return [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()]


def check_model(name: str, version: str, served: str) -> None:
    """Raise UnknownModelError unless `name` and `version`, empty for any, are those of the tag `served`."""
    served_name, served_version = served.split(":")
    if name != served_name or version not in ("", served_version):
        wanted = f"{name}, version {version}" if version else name
        raise UnknownModelError(f"The model {wanted[:200]} is not served here; {served_name}, {served_version}, is.")


def check_outputs(requested: Sequence[str]) -> None:
    """Raise RequestError for an output that does not exist."""
    for name in requested:
        if name not in OUTPUTS:
            raise RequestError(f"Output {shown(name)} is unknown; the outputs are {', '.join(OUTPUTS)}.")


def shown(value: object) -> str:
    """A value of a request as a sentence can hold it, however large it is."""
    match value:
        case str():
            return repr(value if len(value) <= 60 else value[:60] + "...")
        case None | bool() | float():
            return repr(value)
        case int():
            return repr(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
        case _:
            return f"a {type(value).__name__}"


def rows_of_tensors(tensors: Sequence[Tensor]) -> list[Row]:
    """Validated rows. Raises RequestError that names the input, or pydantic's ValidationError that names the value."""
    columns: dict[str, Sequence[Any]] = {}
    counts: dict[str, int] = {}
    for tensor in tensors:
        field = _FIELDS.get(tensor.name)
        if field is None:
            raise RequestError(f"Input {shown(tensor.name)} is unknown; the inputs are {', '.join(_FIELDS)}.")
        if tensor.name in columns:
            raise RequestError(f"Input {tensor.name!r} is given twice.")
        counts[tensor.name] = _count(tensor)
        columns[tensor.name] = _column(field, tensor)
    for field in FIELDS:
        if not field.optional and field.name not in columns:
            raise RequestError(f"Input {field.name!r} is missing, and is not optional.")
    if not counts:
        raise RequestError("There are no inputs.")
    first, count = next(iter(counts.items()))
    for name, other in counts.items():
        if other != count:
            raise RequestError(f"Input {name!r} has {other} rows where {first!r} has {count}.")
    return rows_of_columns(columns, count)


def output_tensors(answers: Sequence[dict[str, Any]], requested: Sequence[str]) -> list[Tensor]:
    """The outputs asked for, all of them where none is."""
    return [
        Tensor(name, OUTPUTS[name], (len(answers),), [answer[name] for answer in answers])
        for name in requested or OUTPUTS
    ]


def decode(name: str, datatype: str, shape: tuple[int, ...], content: bytes) -> Tensor:
    """A tensor from its binary form: little-endian, and each of BYTES behind its length in four bytes.

    Raises RequestError that names the input, and TooLargeError for more rows than a request may have.
    """
    count = _rows(name, shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _decode_bytes(name, content, count))
    dtype = NUMPY_TYPES.get(datatype)
    if dtype is None:
        known = ", ".join([*NUMPY_TYPES, "BYTES"])
        raise RequestError(f"Input {shown(name)} has datatype {shown(datatype)}; {known} are read.")
    if len(content) % dtype.itemsize:
        raise RequestError(f"Input {shown(name)} has {len(content)} bytes, which is no whole number of {datatype}.")
    if len(content) <= FEW_BYTES:
        return Tensor(
            name, datatype, shape, struct.unpack(f"<{len(content) // dtype.itemsize}{_STRUCT_CODES[datatype]}", content)
        )
    return Tensor(name, datatype, shape, np.frombuffer(content, dtype))


def encode(tensor: Tensor) -> bytes:
    """The binary form of an output."""
    if tensor.datatype == "BYTES":
        encoded = [value.encode() for value in tensor.values]
        return b"".join(part for value in encoded for part in (struct.pack("<I", len(value)), value))
    numbers: NDArray[Any] = np.asarray(tensor.values, dtype=NUMPY_TYPES[tensor.datatype])
    return numbers.tobytes()


def _decode_bytes(name: str, content: bytes, count: int) -> list[bytes]:
    if len(content) > FEW_BYTES and (equal := _decode_equal(content)) is not None:
        return equal
    start, end = 0, len(content)
    values: list[bytes] = []
    while start < end:
        if len(values) == count:
            raise RequestError(f"Input {shown(name)} has more elements than the {count} that its shape says.")
        if start + 4 > end:
            raise RequestError(f"Input {shown(name)} ends in the middle of a length.")
        first = start + 4
        start = first + int.from_bytes(content[start:first], "little")
        if start > end:
            raise RequestError(f"Input {shown(name)} ends in the middle of an element.")
        values.append(content[first:start])
    return values


def _decode_equal(content: bytes) -> list[bytes] | None:
    """The elements where all are of one length, as codes and times are, at once; else None."""
    length = int.from_bytes(content[:4], "little")
    if not length or len(content) % (4 + length):
        return None
    block = np.frombuffer(content, np.uint8).reshape(-1, 4 + length)
    if (block[:, :4] != block[0, :4]).any() or not block[:, 4:].all():  # NumPy would cut a text at its last NUL
        return None
    elements: list[bytes] = np.ascontiguousarray(block[:, 4:]).view(f"S{length}").ravel().tolist()
    return elements


def _rows(name: str, shape: tuple[int, ...]) -> int:
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] < 0:
        sizes = ", ".join(map(shown, shape[:8]))
        raise RequestError(f"Input {shown(name)} has shape [{sizes}]; it must be [n] or [n, 1].")
    check_size(shape[0])
    return shape[0]


def _count(tensor: Tensor) -> int:
    count = _rows(tensor.name, tensor.shape)
    if len(tensor.values) != count:
        raise RequestError(f"Input {tensor.name!r} has {len(tensor.values)} elements where its shape says {count}.")
    return count


def _column(field: Field, tensor: Tensor) -> Any:
    allowed = DATATYPES[field.kind]
    if tensor.datatype not in allowed:
        datatypes = " or ".join(allowed)
        raise RequestError(f"Input {field.name!r} has datatype {shown(tensor.datatype)}; it must be {datatypes}.")
    if field.kind is Kind.NUMBER:
        return tensor.values
    if field.kind is Kind.INTEGER:
        values = tensor.values.tolist() if isinstance(tensor.values, np.ndarray) else tensor.values
        return [_integer(value) for value in values]
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in tensor.values]
    except UnicodeDecodeError as error:
        raise RequestError(f"Input {field.name!r} holds text that is not UTF-8: {error.reason}.") from error
    return [text or None for text in texts] if field.optional else texts


def _integer(value: float) -> int | float | None:
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value
