"""Messages of ModelInfer: requests to rows, and predictions to responses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from json import dumps, loads
from typing import Any, NamedTuple

from tabular_bento.errors import RequestError
from tabular_bento.features.columns import Row
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.explanations import EXPLAIN, described_parameters
from tabular_bento.protocol.layout import Layout, TensorSchema
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.tensors import CLASSES, encode, shown

CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}

HEAD_BYTES = 4096
"""Heads up to this size are remembered; a client sends the same one again and again."""


class InferenceRequest(NamedTuple):
    """What a request asks for: validated rows, the names of the outputs, its id, whether tensors are raw bytes, and
    whether there are to be explanations."""

    rows: Sequence[Row]
    outputs: tuple[str, ...]
    request_id: str
    raw: bool
    explained: bool = False


class _Head(NamedTuple):
    layout: Layout
    outputs: tuple[str, ...]
    explained: bool


class InferenceMessages:
    """Reads and writes the messages of ModelInfer for one problem.

    Parameters
    ----------
    schema : TensorSchema
        The tensors of the problem.
    """

    def __init__(self, schema: TensorSchema) -> None:
        self.schema = schema
        self._remembered_head = lru_cache(maxsize=256)(self._parsed_head)
        self._response_head = lru_cache(maxsize=256)(self._new_response_head)

    def read(self, request: Any) -> InferenceRequest:
        """What a ModelInferRequest asks for; the request is taken apart.

        Raises
        ------
        RequestError
            A message that names the input.
        TooLargeError
            For more rows than a request may have.
        pydantic.ValidationError
            Located by row and field.
        """
        contents, request_id = list(request.raw_input_contents), request.id
        if not contents:
            head = self._head(request)
            values = [_values(tensor) for tensor in request.inputs]
            return InferenceRequest(head.layout.rows(values), head.outputs, request_id, False, head.explained)
        if len(contents) != len(request.inputs):
            raise RequestError(f"{len(contents)} raw_input_contents came with {len(request.inputs)} inputs.")
        request.ClearField("raw_input_contents")
        request.ClearField("id")
        serialized = request.SerializeToString(deterministic=True)
        head = self._remembered_head(serialized) if len(serialized) <= HEAD_BYTES else self._raw_head(request)
        rows = head.layout.row(contents) or head.layout.rows(contents)
        return InferenceRequest(rows, head.outputs, request_id, True, head.explained)

    def write(self, tag: str, request: InferenceRequest, batch: PredictionBatch) -> Any:
        """The ModelInferResponse, in raw bytes where the request was."""
        tensors = self.schema.output_tensors(batch, request.outputs)
        response = messages.ModelInferResponse.FromString(self._response_head(tag, request.outputs, len(batch)))
        response.id = request.request_id
        if request.explained:
            for tensor in tensors[len(response.outputs) :]:
                output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
                for name, value in described_parameters(tensor).items():
                    output.parameters[name].string_param = value
        if request.raw:
            response.raw_output_contents.extend(map(encode, tensors))
            return response
        for output, tensor in zip(response.outputs, tensors, strict=True):
            values = [value.encode() for value in tensor.values] if tensor.datatype == "BYTES" else tensor.values
            getattr(output.contents, CONTENTS[tensor.datatype]).extend(values)
        return response

    def _new_response_head(self, tag: str, outputs: tuple[str, ...], rows: int) -> bytes:
        """A ModelInferResponse without what differs between requests for as many rows."""
        name, version = tag.split(":")
        head: bytes = messages.ModelInferResponse(
            model_name=name, model_version=version, outputs=self.schema.described_outputs(outputs, rows)
        ).SerializeToString()
        return head

    def _parsed_head(self, serialized: bytes) -> _Head:
        return self._raw_head(messages.ModelInferRequest.FromString(serialized))

    def _raw_head(self, request: Any) -> _Head:
        for tensor in request.inputs:
            if tensor.HasField("contents"):
                raise RequestError(f"Input {shown(tensor.name)} has contents beside raw_input_contents.")
        return self._head(request)

    def _head(self, request: Any) -> _Head:
        explained = _explained(request)
        outputs = self.schema.check_outputs([output.name for output in request.outputs], explained)
        for tensor in request.inputs:
            if tensor.datatype not in self.schema.datatypes:
                known = ", ".join(self.schema.datatypes)
                raise RequestError(
                    f"Input {shown(tensor.name)} has datatype {shown(tensor.datatype)}; {known} are read."
                )
        layout = self.schema.layout((tensor.name, tensor.datatype, tensor.shape) for tensor in request.inputs)
        return _Head(layout, outputs, explained)


def described_tensors(metadata: Sequence[dict[str, Any]]) -> list[Any]:
    """Metadata of inputs or outputs as messages; lists among the parameters are JSON."""
    tensors = []
    for item in metadata:
        tensor = messages.ModelMetadataResponse.TensorMetadata(
            name=item["name"], datatype=item["datatype"], shape=item["shape"]
        )
        for name, value in item.get("parameters", {}).items():
            tensor.parameters[name].string_param = dumps(value, ensure_ascii=False)
        tensors.append(tensor)
    return tensors


def described_classes(tensor: Any) -> tuple[str, ...]:
    """The names of an output's columns, as its metadata say; by number where they do not.

    Raises
    ------
    ValueError
        Where the metadata contradict themselves.
    """
    if len(tensor.shape) < 2:
        return ()
    if CLASSES not in tensor.parameters:
        return tuple(map(str, range(tensor.shape[1])))
    names = tuple(loads(tensor.parameters[CLASSES].string_param))
    if len(names) != tensor.shape[1]:
        raise ValueError(f"{tensor.name} has {tensor.shape[1]} columns and {len(names)} classes")
    return names


def _explained(request: Any) -> bool:
    """Whether a request asks for explanations."""
    if EXPLAIN not in request.parameters:
        return False
    parameter = request.parameters[EXPLAIN]
    if not parameter.HasField("bool_param"):
        raise RequestError(f"The parameter `{EXPLAIN}` must be true or false.")
    return bool(parameter.bool_param)


def _values(tensor: Any) -> Sequence[Any]:
    contents = list(getattr(tensor.contents, CONTENTS[tensor.datatype]))
    if tensor.datatype != "BYTES":
        return contents
    try:
        return [value.decode() for value in contents]
    except UnicodeDecodeError as error:
        raise RequestError(f"Input {shown(tensor.name)} holds text that is not UTF-8: {error.reason}.") from error
