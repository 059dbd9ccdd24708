"""The least that a client of each protocol has to do, written from the protocol and not from the server's code."""

from __future__ import annotations

import json
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.problem import PROBLEM
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.serving.metrics import PREFIX
from tabular_bento.serving.settings import ServingSettings
from tests import tensors
from tests.flights.rows import EXAMPLE, SECOND
from tests.serving import ServedPort
from tests.tensors import Input, binary

HEADER_LENGTH = "Inference-Header-Content-Length"
INFER = f"/v2/models/{PROBLEM.name}/infer"
TARGET, PREDICTION_ID = "arrival_delay", "prediction_id"

LIMITS = ServingSettings()
"""The limits of a server that has no settings."""

Request = dict[str, Any]
"""A row as JSON."""

_CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "BYTES": "bytes_contents",
}


def inputs_of(rows: Sequence[Request]) -> list[Input]:
    """An input for each field of a flight that one of `rows` has."""
    return tensors.inputs_of(PROBLEM.fields, rows)


def texts_of(content: bytes) -> list[str]:
    """The elements of a binary tensor of BYTES."""
    texts = []
    while content:
        end = 4 + struct.unpack("<I", content[:4])[0]
        texts.append(content[4:end].decode())
        content = content[end:]
    return texts


def numbers_of(content: bytes) -> list[float]:
    """The elements of a binary tensor of FP64."""
    numbers: list[float] = np.frombuffer(content, "<f8").tolist()
    return numbers


def json_body(rows: Sequence[Request], **more: Any) -> Request:
    """The body of an inference request in JSON tensors."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(values)], "data": values}
        for name, datatype, values in inputs_of(rows)
    ]
    return {"inputs": inputs, **more}


def binary_body(rows: Sequence[Request], **more: Any) -> tuple[bytes, dict[str, str]]:
    """The body of an inference request in binary tensors, and its headers."""
    described, contents = [], []
    for name, datatype, values in inputs_of(rows):
        contents.append(binary(datatype, values))
        parameters = {"binary_data_size": len(contents[-1])}
        described.append({"name": name, "datatype": datatype, "shape": [len(values)], "parameters": parameters})
    head = json.dumps({"inputs": described, **more}).encode()
    return head + b"".join(contents), {HEADER_LENGTH: str(len(head))}


def typed(rows: Sequence[Request], **more: Any) -> Any:
    """A ModelInferRequest with typed contents."""
    request = messages.ModelInferRequest(model_name=PROBLEM.name, **more)
    for name, datatype, values in inputs_of(rows):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        if datatype == "BYTES":
            values = [(value or "").encode() for value in values]
        else:
            values = [float("nan") if value is None else value for value in values]
        getattr(tensor.contents, _CONTENTS[datatype]).extend(values)
    return request


def raw(rows: Sequence[Request], **more: Any) -> Any:
    """A ModelInferRequest with raw_input_contents."""
    request = messages.ModelInferRequest(model_name=PROBLEM.name, **more)
    for name, datatype, values in inputs_of(rows):
        request.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        request.raw_input_contents.append(binary(datatype, values))
    return request


def outputs_of(response: Any) -> dict[str, list[Any]]:
    """Values by output of a ModelInferResponse, typed or raw."""
    outputs: dict[str, list[Any]] = {}
    for index, output in enumerate(response.outputs):
        if response.raw_output_contents:
            content = response.raw_output_contents[index]
            outputs[output.name] = texts_of(content) if output.datatype == "BYTES" else numbers_of(content)
        elif output.datatype == "BYTES":
            outputs[output.name] = [value.decode() for value in output.contents.bytes_contents]
        else:
            outputs[output.name] = list(getattr(output.contents, _CONTENTS[output.datatype]))
        assert list(output.shape) == [len(outputs[output.name])]
    return outputs


@contextmanager
def channel(server: ServedPort, credentials: grpc.ChannelCredentials | None = None) -> Iterator[grpc.Channel]:
    """A connection of its own to the gRPC port."""
    address = f"localhost:{server.grpc_port}"
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    opened = (
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
    )
    with opened:
        yield opened


@contextmanager
def stub(server: ServedPort) -> Iterator[Any]:
    """The calls of the protocol over gRPC."""
    with channel(server) as opened:
        yield services.GRPCInferenceServiceStub(opened)  # type: ignore[no-untyped-call]


def call(
    server: ServedPort, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, bytes]:
    """Status, headers and body of a GET, or of a POST where there is a body."""
    request = urllib.request.Request(server.process.url + path, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def infer(server: ServedPort, body: Request, path: str = INFER) -> tuple[int, Any]:
    """Status and decoded response of an inference request in JSON tensors."""
    return server.post(path, json.dumps(body).encode())


def values_of(response: Request) -> dict[str, list[Any]]:
    """Values by output of a response in JSON tensors."""
    for output in response["outputs"]:
        assert output["shape"] == [len(output["data"])]
    return {output["name"]: output["data"] for output in response["outputs"]}


def by_http(server: ServedPort, rows: Sequence[Request]) -> list[tuple[float, str]]:
    """Prediction and prediction_id of each row, from POST /predict."""
    status, response = server.post("/predict", json.dumps({PROBLEM.rows: rows}).encode())
    assert status == 200, response
    return [(item[TARGET], item[PREDICTION_ID]) for item in response]


def by_rest(server: ServedPort, rows: Sequence[Request]) -> list[tuple[float, str]]:
    """The same from /v2, in JSON tensors."""
    status, response = infer(server, json_body(rows))
    assert status == 200, response
    values = values_of(response)
    return list(zip(values[TARGET], values[PREDICTION_ID], strict=True))


def by_rest_binary(server: ServedPort, rows: Sequence[Request]) -> list[tuple[float, str]]:
    """The same from /v2, in binary tensors in and out."""
    body, headers = binary_body(rows, parameters={"binary_data_output": True})
    status, headers, content = call(server, INFER, body, headers)
    assert status == 200, content
    values = binary_outputs(headers, content)
    return list(zip(values[TARGET], values[PREDICTION_ID], strict=True))


def by_grpc(server: ServedPort, rows: Sequence[Request]) -> list[tuple[float, str]]:
    """The same over gRPC, in raw contents."""
    with stub(server) as calls:
        values = outputs_of(calls.ModelInfer(raw(rows), timeout=60))
    return list(zip(values[TARGET], values[PREDICTION_ID], strict=True))


def by_grpc_typed(server: ServedPort, rows: Sequence[Request]) -> list[tuple[float, str]]:
    """The same over gRPC, in typed contents."""
    with stub(server) as calls:
        values = outputs_of(calls.ModelInfer(typed(rows), timeout=60))
    return list(zip(values[TARGET], values[PREDICTION_ID], strict=True))


def binary_outputs(headers: Any, content: bytes) -> dict[str, list[Any]]:
    """Values by output of a response in binary tensors, or of one that mixes them with JSON."""
    start = int(headers[HEADER_LENGTH])
    values: dict[str, list[Any]] = {}
    for output in json.loads(content[:start])["outputs"]:
        if "data" in output:
            values[output["name"]] = output["data"]
            continue
        end = start + output["parameters"]["binary_data_size"]
        read = texts_of if output["datatype"] == "BYTES" else numbers_of
        values[output["name"]] = list(read(content[start:end]))
        start = end
    assert start == len(content)
    return values


COUNTED = tuple(f"{PREFIX}{name}" for name in ("request", "predicted_rows", "batch_rows"))


def metrics_of(server: ServedPort) -> dict[tuple[str, ...], float]:
    """What /metrics says: values by the sample's name and the values of its labels."""
    status, _, content = call(server, "/metrics")
    assert status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
        if sample.name.startswith(COUNTED)
    }


def risen(before: dict[tuple[str, ...], float], after: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """By how much each figure has risen, where it has."""
    return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}


def refused_call(call: Any, request: Any, code: grpc.StatusCode) -> str:
    """The message with which a call is refused."""
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=30)
    assert error.value.code() is code, error.value.details()
    message: str = error.value.details()
    return message


def body_with_input(changed: str, **changes: Any) -> dict[str, Any]:
    """A good request of two rows, but for one of its inputs."""
    body = json_body([EXAMPLE, SECOND])
    body["inputs"] = [item | changes if item["name"] == changed else item for item in body["inputs"]]
    return body


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until `condition` holds, which must be within `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it has not come about in time"
        time.sleep(0.02)
