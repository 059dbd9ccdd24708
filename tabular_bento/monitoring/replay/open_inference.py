"""Rows as requests of the Open Inference Protocol, and its answers as predictions: what its two clients share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from features.definition import FIELDS, NAME, TARGET
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.tensors import DATATYPES, PREDICTION_ID, Tensor, decode, encode
from tabular_bento.schema import Field
from tabular_bento.serving.endpoints.rest import HEADER_LENGTH

INFER = f"/v2/models/{NAME}/infer"


def tensors_of(rows: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """A tensor of shape [n] for each declared field, of n rows; missing are NaN and the empty text."""
    return [_tensor(field, [row.get(field.name) for row in rows]) for field in FIELDS]


def rest_request(rows: Sequence[Mapping[str, Any]], request_id: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a POST that asks for n rows, binary both ways."""
    tensors = tensors_of(rows)
    contents = [encode(tensor) for tensor in tensors]
    inputs = [
        {**_described(tensor), "parameters": {"binary_data_size": len(content)}}
        for tensor, content in zip(tensors, contents, strict=True)
    ]
    head = orjson.dumps({"id": request_id, "inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return b"".join((head, *contents)), headers


def rest_answer(body: bytes, header_length: str | None) -> tuple[str, dict[str, Sequence[Any]]]:
    """The request's id and the outputs by name. Raises ValueError, TypeError, KeyError or
    RequestError for what is no answer.
    """
    start = int(header_length) if header_length is not None else len(body)
    document = orjson.loads(body[:start])
    outputs = {}
    for output in document["outputs"]:
        if "data" in output:
            outputs[output["name"]] = output["data"]
            continue
        end = start + output["parameters"]["binary_data_size"]
        outputs[output["name"]] = _values(output["name"], output["datatype"], output["shape"], body[start:end])
        start = end
    return document.get("id", ""), outputs


def grpc_request(rows: Sequence[Mapping[str, Any]], request_id: str) -> Any:
    """A ModelInferRequest that asks for n rows, in raw contents."""
    tensors = tensors_of(rows)
    return messages.ModelInferRequest(
        model_name=NAME,
        id=request_id,
        inputs=[_described(tensor) for tensor in tensors],
        raw_input_contents=[encode(tensor) for tensor in tensors],
    )


def grpc_answer(response: Any) -> tuple[str, dict[str, Sequence[Any]]]:
    """The request's id and the outputs by name of a ModelInferResponse. Raises ValueError or
    RequestError for what is no answer.
    """
    outputs = {
        output.name: _values(output.name, output.datatype, output.shape, content)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    return response.id, outputs


def predictions_of(outputs: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """One answer a row, of prediction_id and prediction. Raises KeyError or ValueError where outputs are missing."""
    return [
        {PREDICTION_ID: prediction_id, TARGET.name: value}
        for prediction_id, value in zip(outputs[PREDICTION_ID], outputs[TARGET.name], strict=True)
    ]


def _tensor(field: Field, values: list[Any]) -> Tensor:
    datatype = DATATYPES[field.kind][0]
    if datatype == "BYTES":
        return Tensor(field.name, datatype, (len(values),), [value or "" for value in values])
    if None in values:
        datatype = "FP64"  # integers have no NaN
        values = [math.nan if value is None else value for value in values]
    return Tensor(field.name, datatype, (len(values),), values)


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _values(name: str, datatype: str, shape: Sequence[int], content: bytes) -> Sequence[Any]:
    tensor = decode(name, datatype, tuple(shape), content)
    return list(tensor.values) if datatype == "BYTES" else [float(value) for value in tensor.values]
