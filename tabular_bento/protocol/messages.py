"""What ModelInfer is asked and answers: its messages to rows, and predictions to its messages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from features.values import Row
from tabular_bento.errors import RequestError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.layout import Layout
from tabular_bento.protocol.predictions import Answers
from tabular_bento.protocol.tensors import NUMPY_TYPES, OUTPUTS, check_outputs, encode, output_tensors, shown

CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "BYTES": "bytes_contents",
}

HEAD_BYTES = 4096
"""Heads up to this size are remembered; a client sends the same one again and again."""


class Asked(NamedTuple):
    """What a request asks for: validated rows, the names of the outputs, its id, and whether tensors are raw bytes."""

    rows: Sequence[Row]
    outputs: tuple[str, ...]
    request_id: str
    raw: bool


class _Head(NamedTuple):
    layout: Layout
    outputs: tuple[str, ...]


def read(request: Any) -> Asked:
    """What a ModelInferRequest asks for; the request is taken apart.

    Raises RequestError that names the input, TooLargeError, or pydantic's ValidationError that names row and field.
    """
    contents, request_id = list(request.raw_input_contents), request.id
    if not contents:
        head = _head_of(request)
        values = [_values(tensor) for tensor in request.inputs]
        return Asked(head.layout.rows(values), head.outputs, request_id, raw=False)
    if len(contents) != len(request.inputs):
        raise RequestError(f"{len(contents)} raw_input_contents came with {len(request.inputs)} inputs.")
    request.ClearField("raw_input_contents")
    request.ClearField("id")
    serialized = request.SerializeToString(deterministic=True)
    head = _read_head(serialized) if len(serialized) <= HEAD_BYTES else _raw_head_of(request)
    return Asked(head.layout.row(contents) or head.layout.rows(contents), head.outputs, request_id, raw=True)


def write(tag: str, asked: Asked, answers: Answers) -> Any:
    """The ModelInferResponse, in raw bytes where the request was."""
    tensors = output_tensors(answers, asked.outputs)
    response = messages.ModelInferResponse.FromString(_response_head(tag, asked.outputs, len(answers)))
    response.id = asked.request_id
    if asked.raw:
        response.raw_output_contents.extend(map(encode, tensors))
        return response
    for output, tensor in zip(response.outputs, tensors, strict=True):
        values = [value.encode() for value in tensor.values] if tensor.datatype == "BYTES" else tensor.values
        getattr(output.contents, CONTENTS[tensor.datatype]).extend(values)
    return response


@lru_cache(maxsize=256)
def _response_head(tag: str, outputs: tuple[str, ...], rows: int) -> bytes:
    """A ModelInferResponse without what differs between requests for as many rows."""
    name, version = tag.split(":")
    described = [{"name": name, "datatype": OUTPUTS[name], "shape": [rows]} for name in outputs or OUTPUTS]
    head: bytes = messages.ModelInferResponse(
        model_name=name, model_version=version, outputs=described
    ).SerializeToString()
    return head


@lru_cache(maxsize=256)
def _read_head(serialized: bytes) -> _Head:
    return _raw_head_of(messages.ModelInferRequest.FromString(serialized))


def _raw_head_of(request: Any) -> _Head:
    for tensor in request.inputs:
        if tensor.HasField("contents"):
            raise RequestError(f"Input {shown(tensor.name)} has contents beside raw_input_contents.")
    return _head_of(request)


def _head_of(request: Any) -> _Head:
    outputs = tuple(output.name for output in request.outputs)
    check_outputs(outputs)
    for tensor in request.inputs:
        if tensor.datatype not in CONTENTS:
            known = ", ".join([*NUMPY_TYPES, "BYTES"])
            raise RequestError(f"Input {shown(tensor.name)} has datatype {shown(tensor.datatype)}; {known} are read.")
    return _Head(Layout((tensor.name, tensor.datatype, tensor.shape) for tensor in request.inputs), outputs)


def _values(tensor: Any) -> Sequence[Any]:
    contents = list(getattr(tensor.contents, CONTENTS[tensor.datatype]))
    if tensor.datatype != "BYTES":
        return contents
    try:
        return [value.decode() for value in contents]
    except UnicodeDecodeError as error:
        raise RequestError(f"Input {shown(tensor.name)} holds text that is not UTF-8: {error.reason}.") from error
