"""The Open Inference Protocol over REST: /v2, with JSON tensors and the binary tensor extension."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pydantic_core
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tabular_bento.errors import RequestError
from tabular_bento.protocol.explanations import EXPLAIN
from tabular_bento.protocol.tensors import NUMPY_TYPES, Tensor, check_model, encode, scored_by, shown
from tabular_bento.serving.endpoints.bodies import DRAINING, error_response, guarded, json_response, read_body
from tabular_bento.serving.endpoints.handler import RequestHandler

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ["binary_tensor_data"]
_JSON_TYPES: dict[str, set[type]] = {"BYTES": {str, type(None)}, "BOOL": {bool, int, float, type(None)}}
_LARGEST = {"INT64": 2**63 - 1, "INT32": 2**31 - 1}


class RESTEndpoints:
    """The endpoints of /v2.

    Parameters
    ----------
    handler : RequestHandler
        The way to the predictions.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        model = "/v2/models/{name}"
        version = model + "/versions/{version}"
        both = (model, version)
        self.routes = [
            Route(path, guarded(endpoint, handler.message), methods=[method])
            for method, path, endpoint in (
                ("GET", "/v2", self.server),
                ("GET", "/v2/health/live", self.live),
                ("GET", "/v2/health/ready", self.ready),
                *(("GET", path, self.model) for path in both),
                *(("GET", path + "/ready", self.model_ready) for path in both),
                *(("POST", path + "/infer", self.infer) for path in both),
            )
        ]

    async def server(self, _: Request) -> Response:
        """Name, version and extensions of the server."""
        name, version = self._handler.package.tag.split(":")
        return json_response(200, {"name": name, "version": version, "extensions": EXTENSIONS})

    async def live(self, _: Request) -> Response:
        """Whether the process responds at all."""
        return json_response(200, {"live": True})

    async def ready(self, _: Request) -> Response:
        """Whether it takes requests: not while it drains."""
        return self._readiness({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        """Whether the model takes requests."""
        name, _ = self._served(request).split(":")
        return self._readiness({"name": name, "ready": True})

    async def model(self, request: Request) -> Response:
        """Inputs and outputs of the model."""
        name, version = self._served(request).split(":")
        return json_response(
            200,
            {
                "name": name,
                "versions": [version],
                "platform": self._handler.package.runner.kind,
                "inputs": self._handler.tensors.input_metadata,
                "outputs": self._handler.tensors.output_metadata,
            },
        )

    async def infer(self, request: Request) -> Response:
        """Predict the rows of the input tensors."""
        with self._handler.request("rest", lambda: request.headers) as counted:
            served = self._served(request)
            body = await read_body(request, self._handler.settings)
            document, tensors = _read(body, request.headers.get(HEADER_LENGTH))
            requested: Sequence[str] = [_text(one, "name", "output") for one in _objects(document, "outputs")]
            schema = self._handler.tensors
            explained = _parameters(document).get(EXPLAIN, False)
            if type(explained) is not bool:
                raise RequestError(f"The parameter `{EXPLAIN}` must be true or false.")
            requested = schema.check_outputs(requested, explained)
            predict = self._handler.explain if explained else self._handler.predict
            batch = await predict(schema.rows_of_tensors(tensors), counted)
            served = scored_by(batch, request.path_params.get("version", ""), served)
            return _write(served, document, schema.output_tensors(batch, requested))

    def _served(self, request: Request) -> str:
        tag = self._handler.package.tag
        check_model(request.path_params["name"], request.path_params.get("version", ""), tag)
        return tag

    def _readiness(self, ready: dict[str, Any]) -> Response:
        if self._handler.draining:
            return error_response(503, DRAINING)
        return json_response(200, ready)


def _read(body: bytes, header_length: str | None) -> tuple[dict[str, Any], list[Tensor]]:
    if header_length is None:
        end = len(body)
    elif header_length.isdecimal() and int(header_length) <= len(body):
        end = int(header_length)
    else:
        raise RequestError(
            f"The header {HEADER_LENGTH} is {shown(header_length)} where the body has {len(body)} bytes."
        )
    try:
        document = pydantic_core.from_json(body[:end])
    except ValueError as error:
        raise RequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise RequestError("The body must be a JSON object with `inputs`.")
    if not isinstance(document.get("id", ""), str):
        raise RequestError("`id` of the request must be a string.")
    tensors = []
    for item in _objects(document, "inputs"):
        size = _parameters(item).get("binary_data_size")
        if size is None:
            tensors.append(_json_tensor(item))
            continue
        name = _text(item, "name", "input")
        left = len(body) - end
        if type(size) is not int or not 0 <= size <= left:
            raise RequestError(f"Input {shown(name)} wants {shown(size)} bytes of binary data where {left} are left.")
        tensors.append(Tensor(name, _text(item, "datatype", name), _shape(item), body[end : end + size]))
        end += size
    if end != len(body):
        raise RequestError(f"{len(body) - end} bytes of binary data belong to no input.")
    return document, tensors


def _json_tensor(item: dict[str, Any]) -> Tensor:
    name, shape = _text(item, "name", "input"), _shape(item)
    datatype = _text(item, "datatype", name)
    data = item.get("data")
    if not isinstance(data, list):
        raise RequestError(f"Input {shown(name)} has no list `data`.")
    if data and isinstance(data[0], list):
        if any(not isinstance(row, list) or len(row) != 1 for row in data):
            raise RequestError(f"Input {shown(name)} has ragged rows; each must hold one element.")
        data = [row[0] for row in data]
    integral, boolean = datatype.startswith("INT"), datatype == "BOOL"
    allowed = _JSON_TYPES.get(datatype) or {int, type(None)} | (set() if integral else {float})
    largest = _LARGEST.get(datatype, sys.float_info.max)
    for index, value in enumerate(data):
        if type(value) not in allowed or (type(value) is int and not -largest <= value <= largest):
            raise RequestError(f"Input {shown(name)} has {shown(value)} at row {index}, which is no {shown(datatype)}.")
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, [value or "" for value in data])
    numbers = [math.nan if value is None else value for value in data]
    if integral or boolean or datatype not in NUMPY_TYPES:
        return Tensor(name, datatype, shape, numbers)
    with np.errstate(over="ignore"):  # what FP32 cannot hold is infinite, and refused as such
        return Tensor(name, datatype, shape, np.array(numbers, np.float64).astype(NUMPY_TYPES[datatype]))


def _write(served: str, document: dict[str, Any], outputs: Sequence[Tensor]) -> Response:
    name, version = served.split(":")
    everything = bool(_parameters(document).get("binary_data_output"))
    binary = {
        item.get("name"): bool(_parameters(item).get("binary_data", everything)) for item in document.get("outputs", [])
    }
    described: list[dict[str, Any]] = []
    contents: list[bytes] = []
    for tensor in outputs:
        item: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary.get(tensor.name, everything):
            contents.append(encode(tensor))
            item["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            item["data"] = tensor.values
        if tensor.parameters:
            item["parameters"] = tensor.parameters | item.get("parameters", {})
        described.append(item)
    response: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if "id" in document:
        response["id"] = document["id"]
    head = orjson.dumps(response)
    if not contents:
        return Response(head, media_type="application/json")
    return Response(head + b"".join(contents), 200, {HEADER_LENGTH: str(len(head))}, "application/octet-stream")


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = document.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RequestError(f"`{name}` must be a list of objects.")
    return items


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    parameters = item.get("parameters", {})
    return parameters if isinstance(parameters, dict) else {}


def _text(item: dict[str, Any], key: str, what: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise RequestError(f"`{key}` of {shown(what)} must be a string.")
    return value


def _shape(item: dict[str, Any]) -> tuple[int, ...]:
    shape = item.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise RequestError(f"`shape` of {shown(item.get('name'))} must be a list of integers.")
    return tuple(shape)
