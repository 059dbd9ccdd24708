"""Tensors of the Open Inference Protocol: their datatypes and binary form."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import RequestError, UnknownModelError
from tabular_bento.features.columns import RepeatedTexts
from tabular_bento.protocol.predictions import PREDICTION_ID, PredictionBatch
from tabular_bento.protocol.values import Values
from tabular_bento.schema import Kind

__all__ = [
    "CLASSES",
    "DATATYPES",
    "NUMPY_TYPES",
    "PREDICTION_ID",
    "STRUCT_CODES",
    "Tensor",
    "check_model",
    "decode",
    "decode_values",
    "encode",
    "equal_texts",
    "scored_by",
    "shown",
]

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "INT64": np.dtype("<i8"),
    "INT32": np.dtype("<i4"),
    "BOOL": np.dtype("?"),
}
DATATYPES: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: ("BYTES",),
    Kind.DATE: ("BYTES",),
    Kind.LOCAL_TIME: ("BYTES",),
    Kind.INSTANT: ("BYTES",),
    Kind.NUMBER: ("FP64", "FP32", "INT64", "INT32"),
    Kind.INTEGER: ("INT64", "INT32", "FP64", "FP32"),
    Kind.BOOLEAN: ("BOOL", "FP64", "FP32", "INT64", "INT32"),
}
"""The datatypes that a field of each kind is taken in; the first is what the metadata say.

Integers and booleans come as FP64 or FP32 where some are missing, which NaN says.
"""

STRUCT_CODES = {"FP64": "d", "FP32": "f", "INT64": "q", "INT32": "i", "BOOL": "?"}
FEW_BYTES = 512
"""Tensors up to this size are decoded in plain Python, which is faster than NumPy's fixed cost per operation."""


CLASSES = "classes"
"""The parameter that names the columns of an output, in their order."""


class Tensor(NamedTuple):
    """A named tensor; its values, flat, may be in their binary form, as they came."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values
    parameters: dict[str, Any] | None = None


def check_model(name: str, version: str, served: str) -> None:
    """Raise UnknownModelError unless `name` and `version`, empty for any, are those of the tag `served`."""
    served_name, served_version = served.split(":")
    if name != served_name or version not in ("", served_version):
        wanted = f"{name}, version {version}" if version else name
        raise UnknownModelError(f"The model {wanted[:200]} is not served here; {served_name}, {served_version}, is.")


def scored_by(batch: PredictionBatch, version: str, served: str) -> str:
    """The tag of the model that made the predictions, `served` where there are none.

    Raises UnknownModelError where a request for one `version` was scored by another, released while it waited.
    """
    tag = batch.model if batch else served
    check_model(tag.split(":")[0], version, tag)
    return tag


def shown(value: object) -> str:
    """A value of a request as a message can hold it, however large it is."""
    match value:
        case str():
            return repr(value if len(value) <= 60 else value[:60] + "...")
        case None | bool() | float():
            return repr(value)
        case int():
            return repr(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
        case _:
            return f"a {type(value).__name__}"


def decode(name: str, datatype: str, shape: tuple[int, ...], content: bytes) -> Tensor:
    """A tensor from its binary form: little-endian, and each of BYTES, which are text, behind its length in four bytes.

    Raises
    ------
    RequestError
        A message that names the tensor.
    """
    return Tensor(name, datatype, shape, decode_values(name, datatype, math.prod(shape), content))


def decode_values(name: str, datatype: str, count: int, content: bytes) -> Values:
    """The `count` values of a tensor from its binary form: numbers or texts. Raises as `decode` does."""
    if datatype == "BYTES":
        try:
            return _decode_texts(name, content, count)
        except UnicodeDecodeError as error:
            raise RequestError(f"Input {shown(name)} holds text that is not UTF-8: {error.reason}.") from error
    dtype = NUMPY_TYPES.get(datatype)
    if dtype is None:
        known = ", ".join([*NUMPY_TYPES, "BYTES"])
        raise RequestError(f"Input {shown(name)} has datatype {shown(datatype)}; {known} are read.")
    if len(content) % dtype.itemsize:
        raise RequestError(f"Input {shown(name)} has {len(content)} bytes, which is no whole number of {datatype}.")
    if len(content) <= FEW_BYTES:
        return struct.unpack(f"<{len(content) // dtype.itemsize}{STRUCT_CODES[datatype]}", content)
    return np.frombuffer(content, dtype)


def encode(tensor: Tensor) -> bytes:
    """The binary form of an output."""
    if tensor.datatype == "BYTES":
        encoded = list(map(str.encode, tensor.values))
        if len(set(map(len, encoded))) == 1:  # as ids are; several times as fast
            length = _LENGTH.pack(len(encoded[0]))
            return length + length.join(encoded)
        return b"".join(part for value in encoded for part in (_LENGTH.pack(len(value)), value))
    if len(tensor.values) == 1:
        return struct.pack(f"<{STRUCT_CODES[tensor.datatype]}", tensor.values[0])
    numbers: NDArray[Any] = np.asarray(tensor.values, dtype=NUMPY_TYPES[tensor.datatype])
    return numbers.tobytes()


def _decode_texts(name: str, content: bytes, count: int) -> Sequence[str]:
    if len(content) > FEW_BYTES and (texts := _decode_equal(content) or _decode_short(content, count)) is not None:
        return texts
    whole: str | bytes = content.decode("ascii") if content.isascii() else content
    start, end = 0, len(content)
    parts: list[Any] = []
    try:
        while start < end:
            if len(parts) == count:
                raise RequestError(f"Input {shown(name)} has more elements than the {count} that its shape says.")
            first = start + _LENGTH.size
            start = first + _LENGTH.unpack_from(content, start)[0]
            parts.append(whole[first:start])
    except struct.error:
        raise RequestError(f"Input {shown(name)} ends in the middle of a length.") from None
    if start > end:
        raise RequestError(f"Input {shown(name)} ends in the middle of an element.")
    return parts if isinstance(whole, str) else [part.decode() for part in parts]


_LENGTH = struct.Struct("<I")
"""What stands before each text."""


def _decode_short(content: bytes, count: int) -> list[str] | None:
    """The `count` texts where all are ASCII, shorter than 128 and none is empty, at once; else None.

    The zeros of their lengths part them, each but the last from the next one's length, which is its last character.
    """
    if not content.isascii():
        return None
    head, *parts = content.decode("ascii").split("\0\0\0")
    if len(head) != 1 or not parts or len(parts) != count:
        return None
    values = [part[:-1] for part in parts]
    values[-1] = parts[-1]
    sizes = np.fromiter(map(len, values), np.int64, count)
    ends = np.cumsum(sizes + 4)
    if ends[-1] != len(content):
        return None
    said = np.frombuffer(content, np.uint8)[ends - sizes - 4]
    return values if (said == sizes).all() else None


def _decode_equal(content: bytes) -> Sequence[str] | None:
    """The texts where all are ASCII of one length, as codes are, at once; else None."""
    characters = equal_texts(content)
    if characters is None:
        return None
    count, length = characters.shape
    if length > _WORD:
        return _cut(characters.tobytes(), length, length)
    words = np.zeros((count, _WORD), np.uint8)
    words[:, :length] = characters
    distinct, indices = np.unique(words.view(np.uint64).ravel(), return_inverse=True)
    return RepeatedTexts(_cut(distinct.tobytes(), _WORD, length), indices)


_WORD = 8
"""Bytes of a number: texts up to this length are compared as one."""


def _cut(content: bytes, step: int, length: int) -> list[str]:
    """The ASCII texts of `length` that begin at each `step`."""
    text = content.decode("ascii")
    return [text[start : start + length] for start in range(0, len(text), step)]


def equal_texts(content: bytes) -> NDArray[np.uint8] | None:
    """The characters, shape [n, length], of texts in their binary form that are ASCII of one length; else None."""
    length = int.from_bytes(content[:4], "little")
    if not length or len(content) % (4 + length) or not content.isascii():
        return None
    texts = np.frombuffer(content, np.dtype([("length", "<u4"), ("characters", np.uint8, (length,))]))
    return texts["characters"] if (texts["length"] == length).all() else None
