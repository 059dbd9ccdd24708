"""Servers that misbehave on purpose, over HTTP and over gRPC, and the fixtures that run them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import orjson
import pytest

from features.problem import PROBLEM
from tabular_bento.monitoring.replay import ReplayConfig
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.protocol.tensors import Tensor, decode, encode

Predictions = list[dict[str, Any]]

Fault = Callable[["Handler", Predictions], bool]


class Handler(BaseHTTPRequestHandler):
    """Predicts that every flight arrives as late as it left, unless the server's fault responds in its place."""

    protocol_version = "HTTP/1.1"
    server: Misbehaving

    def do_GET(self) -> None:
        self.reply(200, {"tag": "flights:1", "declaration": PROBLEM.declaration.to_dict()})

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            if self.path == "/feedback":
                self.server.labels += body["labels"]
                return self.reply(200, {"accepted": len(body["labels"])})
            self.server.requests += 1
            rows = body["flights"]
            predictions = [
                {"prediction_id": f"p-{row['id']}", "id": row["id"], "arrival_delay": row["dep_delay"], "model": "m"}
                for row in rows
            ]
            if not self.server.fault(self, predictions):
                self.server.served += rows
                self.reply(200, predictions)

    def reply(self, status: int, content: Any, **headers: str) -> None:
        body = orjson.dumps(content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Misbehaving(ThreadingHTTPServer):
    """A real server on a port of its own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.requests = 0
        self.served: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.fault: Fault = lambda *_: False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class MisbehavingServicer(services.GRPCInferenceServiceServicer):
    """The same over gRPC: `fault` may end a call through its context, or alter the response."""

    def __init__(self) -> None:
        self.calls = 0
        self.port = 0
        self.fault: Callable[[grpc.ServicerContext, Any], None] = lambda *_: None

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return messages.ServerLiveResponse(live=True)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.calls += 1
        inputs = {
            tensor.name: decode(tensor.name, tensor.datatype, tuple(tensor.shape), content).values
            for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        shape = tuple(request.inputs[0].shape)
        ids = [f"p-{value}" for value in inputs["id"]]
        response = messages.ModelInferResponse(model_name="flights", model_version="1", id=request.id)
        for output in (
            Tensor("prediction_id", "BYTES", shape, ids),
            Tensor("arrival_delay", "FP64", shape, inputs["dep_delay"]),
        ):
            response.outputs.add(name=output.name, datatype=output.datatype, shape=shape)
            response.raw_output_contents.append(encode(output))
        self.fault(context, response)
        return response


@pytest.fixture
def bad_grpc() -> Iterator[MisbehavingServicer]:
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = MisbehavingServicer()
    services.add_GRPCInferenceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    servicer.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer
    server.stop(grace=None).wait()


@pytest.fixture
def bad() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def config(url: str, **values: Any) -> ReplayConfig:
    return ReplayConfig(**{"months": "2013-07:2013-08", "limit": 500, "concurrency": 4, "url": url} | values)
