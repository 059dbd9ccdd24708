"""The server's responses over every protocol are those that it gave before the library was split off."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.serving.metrics import METRICS
from tests.conftest import ROOT
from tests.golden import before
from tests.golden.served import VERSION, write_store
from tests.serving import ServedPort, serve

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEPT = ("content-type", "inference-header-content-length", "retry-after", "allow")
SERVICE = "/inference.GRPCInferenceService/"

Exchange = dict[str, Any]

EXCHANGES: list[Exchange] = json.loads(gzip.decompress((before.FOLDER / "responses.json.gz").read_bytes()))


def chosen(exchange: Exchange) -> bool:
    """Whether it is repeated here: faults that are fixed, and what depends on load, are not."""
    other = exchange["name"].startswith("bug:") or "request_recipe" in exchange
    return not other and not ({"see", "keys"} & set(exchange))


WORDS = {
    "outcomes": "labels",
    "in a new segment": "in a new file",
    "It could not be logged, so it is not answered": "The request could not be logged, so nothing is returned",
    "Not answered in": "No response within",
    "the log of the server tells why": "the server's log has the reason",
}
"""What golden texts say, and what is said now."""

TOO_MANY_ROWS = re.compile(r"\d+ rows in one request, of at most \d+: send it in parts\.")
"""The message of a request over gRPC whose code was RESOURCE_EXHAUSTED, which made callers send it again."""

METRIC_NAMES = {
    "door_requests": "tabular_bento_requests",
    "door_rows": "tabular_bento_predicted_rows",
    "door_request_seconds": "tabular_bento_request_duration_seconds",
    "door_in_flight": "tabular_bento_requests_in_progress",
    "grpc_limit_calls": "tabular_bento_grpc_calls_limit",
    "batch_rows": "tabular_bento_batch_rows",
    "queue_rows": "tabular_bento_queue_rows",
    "queue_limit_rows": "tabular_bento_queue_rows_limit",
    "feedback_requests": "tabular_bento_feedback_requests",
    "outcomes_received": "tabular_bento_feedback_labels",
    "log_lines": "tabular_bento_log_lines",
    "log_bytes": "tabular_bento_log_bytes",
    "log_appends": "tabular_bento_log_writes",
    "log_append_seconds": "tabular_bento_log_write_seconds",
    "log_failed_appends": "tabular_bento_log_failed_writes",
    "log_lost_lines": "tabular_bento_log_lost_lines",
    "log_last_line_seconds": "tabular_bento_log_last_write_timestamp_seconds",
    "log_disk_free_bytes": "tabular_bento_log_disk_free_bytes",
    "log_disk_size_bytes": "tabular_bento_log_disk_size_bytes",
    "prediction": "tabular_bento_prediction",
    "feature_rows": "tabular_bento_feature_rows",
    "feature_missing": "tabular_bento_feature_missing_rows",
    "feature_missing_reference": "tabular_bento_feature_missing_reference_ratio",
    "model_info": "tabular_bento_model_info",
    "model_reloads": "tabular_bento_model_reloads",
    "build_info": "tabular_bento_build_info",
    "server_ready": "tabular_bento_ready",
    "workers": "tabular_bento_workers",
    "worker_cpu_seconds": "tabular_bento_worker_cpu_seconds",
    "worker_resident_bytes": "tabular_bento_worker_resident_memory_bytes",
}
"""Golden names of metrics, and those of now; BentoML's own keep theirs."""

METRIC_LABELS = {"door": ["protocol"], "outcome": ["status"], "tag": ["model", "version"], "le": []}
"""Golden labels, and those of now."""

READY: Exchange = {
    "protocol": "http",
    "name": "",
    "method": "GET",
    "path": "/readyz",
    "request_headers": {},
    "status": 0,
}

DEFAULT = [exchange for exchange in EXCHANGES if chosen(exchange) and "settings" not in exchange]
OTHERS = [exchange for exchange in EXCHANGES if chosen(exchange) and "settings" in exchange]


class Replay:
    """Repeats exchanges with a server.

    Parameters
    ----------
    server : ServedPort
        The server.
    stack : ExitStack
        Closes the connections.
    """

    def __init__(self, server: ServedPort, stack: ExitStack) -> None:
        self.server = server
        self.channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}"))

    def response(self, exchange: Exchange) -> Exchange:
        """The response of the server, masked as the golden one is, under the same keys."""
        made = self._http(exchange) if exchange["protocol"] == "http" else self._grpc(exchange)
        return {key: made.get(key) for key in expected(exchange)}

    def _http(self, exchange: Exchange) -> Exchange:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.process.port, timeout=60)
        path = exchange["path"].replace("<version>", VERSION)
        if exchange["name"].startswith("a body that does not come"):
            connection.putrequest("POST", path)
            connection.putheader("Content-Length", "1000")
            connection.endheaders(b"{")
        else:
            connection.request(exchange["method"], path, body_of(exchange), exchange["request_headers"])
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        kept = {name: headers[name] for name in KEPT if headers.get(name) is not None}
        if headers.get("content-type") != "application/octet-stream":
            return {"status": reply.status, "headers": kept, "text": self._masked(content.decode())}
        end = int(headers["inference-header-content-length"])
        binary, start = {}, end
        for output in json.loads(content[:end])["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is not None:
                part, start = content[start : start + size], start + size
                binary[output["name"]] = self._shown(output["name"], part)
        head = self._masked(content[:end].decode())
        return {"status": reply.status, "headers": kept, "head": head, "binary": binary}

    def _grpc(self, exchange: Exchange) -> Exchange:
        method = exchange["method"]
        try:
            if method == "grpc.health.v1.Health/Check":
                request = health_pb2.HealthCheckRequest(service=exchange["request"]["service"])
                return self._ok(health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=30))
            if method.startswith("grpc.reflection"):
                return self._reflected()
            if method == "ModelStreamInfer":
                return self._streamed(exchange)
            name = method.removeprefix("inference.GRPCInferenceService/")
            made = getattr(messages, f"{name}Response", None)
            call: Any = self.channel.unary_unary(
                SERVICE + name, response_deserializer=made.FromString if made else None
            )
            return self._ok(call(self._request(name, exchange), timeout=60))
        except grpc.RpcError as error:
            known: Any = error
            return {"code": known.code().name, "message": self._masked(known.details())}

    def _request(self, method: str, exchange: Exchange) -> bytes:
        """The bytes of a request, with the served version where it is named."""
        content = base64.b64decode(exchange["request_base64"])
        if b"<version>" not in content:
            return content
        request = getattr(messages, f"{method}Request").FromString(content)
        for field in ("model_version", "version"):
            if getattr(request, field, None) == "<version>":
                setattr(request, field, VERSION)
        sent: bytes = request.SerializeToString()
        return sent

    def _streamed(self, exchange: Exchange) -> Exchange:
        call: Any = self.channel.stream_stream(
            SERVICE + "ModelStreamInfer", response_deserializer=messages.ModelStreamInferResponse.FromString
        )
        requests = [self._request("ModelInfer", part) for part in exchange["requests"]]
        responses = [
            {"error_message": self._masked(one.error_message), "infer_response": self._dict(one.infer_response)}
            for one in call(iter(requests), timeout=60)
        ]
        return {"code": "OK", "responses": responses}

    def _reflected(self) -> Exchange:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(self.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (listed,) = stub.ServerReflectionInfo(iter([request]), timeout=30)
        names = sorted(service.name for service in listed.list_services_response.service)
        return {"code": "OK", "response": {"services": names}}

    def _ok(self, response: Any) -> Exchange:
        return {"code": "OK", "response": self._dict(response)}

    def _dict(self, message: Any) -> Exchange:
        document = MessageToDict(message, preserving_proto_field_name=True)
        if getattr(message, "raw_output_contents", None):
            document["raw_output_contents"] = [
                self._shown(output.name, content)
                for output, content in zip(message.outputs, message.raw_output_contents, strict=True)
            ]
        for output in document.get("outputs", []):
            if output.get("name") == "prediction_id" and output.get("contents"):
                ids = output["contents"]["bytes_contents"]
                assert all(UUID.fullmatch(base64.b64decode(one).decode()) for one in ids)
                output["contents"]["bytes_contents"] = ["<id>"] * len(ids)
        masked: Exchange = json.loads(self._masked(json.dumps(document)))
        return masked

    def _shown(self, name: str, content: bytes) -> Any:
        if name != "prediction_id":
            return base64.b64encode(content).decode()
        ids = [content[start + 4 : start + 40].decode() for start in range(0, len(content), 40)]
        assert all(map(UUID.fullmatch, ids))
        return ["<id>"] * len(ids)

    def _masked(self, text: str) -> str:
        text = text.replace(str(self.server.traffic), "<traffic>")
        return UUID.sub("<id>", text).replace(f"flights:{VERSION}", "<tag>").replace(VERSION, "<version>")


def body_of(exchange: Exchange) -> bytes | None:
    """The body of a request."""
    if "body_repeat" in exchange:
        text, count = exchange["body_repeat"]
        return bytes((text * count).encode())
    if "body_base64" in exchange:
        return base64.b64decode(exchange["body_base64"])
    if "body" not in exchange:
        return None
    body: str = exchange["body"]
    if exchange["path"] == "/feedback":
        body = body.replace('"outcomes"', '"labels"  ')  # columns stay, which errors name
    return body.encode()


def expected(exchange: Exchange) -> Exchange:
    """What is compared of an exchange: the golden response, by the names of today."""
    keys = ("status", "headers", "text", "head", "binary", "code", "response", "responses", "message")
    golden = {key: exchange[key] for key in keys if key in exchange}
    for key in ("text", "message"):
        for old, new in WORDS.items():
            if key in golden:
                golden[key] = golden[key].replace(old, new)
    if TOO_MANY_ROWS.fullmatch(golden.get("message", "")):
        golden["code"] = "INVALID_ARGUMENT"
    return golden


def differing(replay: Replay, exchanges: list[Exchange]) -> list[tuple[str, Any, Any]]:
    """Name, golden and new response of the exchanges that differ."""
    made = [(exchange["name"], expected(exchange), replay.response(exchange)) for exchange in exchanges]
    return [one for one in made if one[1] != one[2]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the golden model."""
    folder = tmp_path_factory.mktemp("golden")
    write_store(folder)
    return str(folder)


@pytest.fixture(scope="module")
def replay(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Replays with a server of the golden model."""
    with (
        serve(tmp_path_factory.mktemp("served"), cwd=ROOT, BENTOML_HOME=store) as server,
        ExitStack() as stack,
    ):
        yield Replay(server, stack)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_responses_are_the_same(replay: Replay, protocol: str) -> None:
    found = differing(replay, [exchange for exchange in DEFAULT if exchange["protocol"] == protocol])
    assert not found, "\n".join(map(str, found[:20]))


def test_the_served_model_is_described_by_the_same_keys_and_its_declaration(replay: Replay) -> None:
    golden = next(exchange for exchange in EXCHANGES if exchange["name"] == "GET /model")
    status, document = replay.server.get("/model")
    assert status == 200
    assert set(document) == {*golden["json"], "declaration", "exact", "explains", "tolerance"}


def test_metrics_have_the_same_types_and_labels_by_the_names_of_now(replay: Replay) -> None:
    golden = json.loads((before.FOLDER / "metrics.json").read_text())
    declared = {metric.exported.removesuffix("_total"): metric for metric in METRICS}
    assert {name for name in golden if not name.startswith("bentoml_")} <= set(METRIC_NAMES)
    for name, metric in golden.items():
        if not name.startswith("bentoml_"):
            now = declared[METRIC_NAMES[name]]
            labels = sorted(new for old in metric["labels"] for new in METRIC_LABELS.get(old, [old]))
            assert [now.kind, sorted(now.labels)] == [metric["type"], labels], name
    with urllib.request.urlopen(f"{replay.server.process.url}/metrics", timeout=30) as response:
        families = {family.name for family in text_string_to_metric_families(response.read().decode())}
    assert not {METRIC_NAMES.get(name, name) for name in golden} - families


def test_places_without_a_time_zone_are_predicted(replay: Replay) -> None:
    for exchange in EXCHANGES:
        if exchange["name"].startswith("bug:") and exchange["protocol"] == "http":
            assert replay._http(exchange)["status"] == 200, exchange["name"]


@pytest.mark.slow
@pytest.mark.parametrize("settings", sorted({json.dumps(exchange["settings"]) for exchange in OTHERS}))
def test_responses_under_other_settings_are_the_same(
    store: str, settings: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = {f"TABULAR_BENTO_{name}": value for name, value in json.loads(settings).items()}
    exchanges = [exchange for exchange in OTHERS if json.dumps(exchange["settings"]) == settings]
    folder = tmp_path_factory.mktemp("other")
    with serve(folder, cwd=ROOT, BENTOML_HOME=store, **environment) as server, ExitStack() as stack:
        replay = Replay(server, stack)
        if any(exchange["name"].startswith("draining") for exchange in exchanges):
            server.process.process.terminate()
            deadline = time.monotonic() + 30
            while replay.response(READY)["status"] != 503:
                assert time.monotonic() < deadline
        if any(exchange["name"].startswith("unlogged") for exchange in exchanges):
            server.traffic.write_text("a file in the folder's place")
        for exchange in exchanges:
            if exchange["name"] == "logged again":
                server.traffic.unlink()
            assert replay.response(exchange) == expected(exchange), exchange["name"]
