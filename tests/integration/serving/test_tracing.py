"""Traces as a collector gets them: a small server that decodes OTLP."""

from __future__ import annotations

import gzip
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import assert_ended, body_of
from tests.integration.serving.clients import INFER, call, json_body, raw, stub
from tests.models import ROOT
from tests.serving import ServedPort, refused, serve

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """The spans that were exported to `url`, with the name of their service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Any] = []
        self.services: set[str] = set()

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {one.value.string_value for one in group.resource.attributes if one.key == "service.name"}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def named(self, name: str, count: int = 1) -> list[Any]:
        """The spans of that name, once there are so many."""
        deadline = time.monotonic() + 30
        while len(found := [span for span in self.spans if span.name == name]) < count:
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.05)
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    with collector() as taken:
        yield taken


@pytest.fixture(scope="module")
def traced(
    trained: dict[str, Any], collected: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedPort]:
    """A server whose traces are on, and leave often."""
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected.url, "OTEL_SERVICE_NAME": "delays", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    on |= {"TABULAR_BENTO_LOG_FORMAT": "json", "TABULAR_BENTO_LOG_REQUESTS": "all"}
    with serve(
        tmp_path_factory.mktemp("traced"), TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0", **on
    ) as served:
        yield served


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


def test_a_request_over_http_is_a_span_below_the_caller_s(traced: ServedPort, collected: Collector) -> None:
    headers = {"traceparent": TRACEPARENT, "X-Request-ID": "r-1"}
    status, _, content = call(traced, "/predict", body_of(*[EXAMPLE] * 3).encode(), headers)
    assert status == 200
    span = collected.named("predict http")[0]

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    reported = attributes(span)
    assert reported["first_prediction_id"] == json.loads(content)[0]["prediction_id"]
    assert {name: reported[name] for name in ("endpoint", "request_id", "status", "rows")} == {
        "endpoint": "http",
        "request_id": "r-1",
        "status": "ok",
        "rows": 3,
    }
    assert collected.services == {"delays"}
    lines = map(json.loads, traced.process.log.read_text().splitlines())
    (line,) = (line for line in lines if line.get("request_id") == "r-1")
    assert (line["trace_id"], line["first_prediction_id"]) == (TRACE, reported["first_prediction_id"])


def test_labels_come_in_a_span_too(traced: ServedPort, collected: Collector) -> None:
    headers = {"traceparent": TRACEPARENT, "X-Request-ID": "r-2"}
    assert call(traced, "/feedback", b'{"labels": [{"prediction_id": "p", "arrival_delay": 1}]}', headers)[0] == 200
    span = collected.named("feedback")[0]

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (attributes(span)["request_id"], attributes(span)["rows"]) == ("r-2", 1)


def test_a_request_over_the_other_endpoints_is_too(traced: ServedPort, collected: Collector) -> None:
    call(traced, INFER, json.dumps(json_body([EXAMPLE])).encode(), {"traceparent": TRACEPARENT})
    with stub(traced) as calls:
        calls.ModelInfer(raw([EXAMPLE], id="mine"), metadata=[("traceparent", TRACEPARENT)], timeout=30)
    for endpoint, request_id in (("rest", None), ("grpc", "mine")):
        span = collected.named(f"predict {endpoint}")[-1]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert attributes(span)["request_id"] == request_id or endpoint == "rest"


def test_requests_that_are_computed_together_are_linked_with_their_batch_each_in_its_own_trace(
    traced: ServedPort, collected: Collector
) -> None:
    collected.spans.clear()
    traces = [f"{number:032x}" for number in range(1, 25)]
    body = body_of(*[EXAMPLE] * 200).encode()

    def ask(trace: str) -> str:
        content = call(traced, "/predict", body, {"traceparent": f"00-{trace}-{PARENT}-01"})[2]
        first: str = json.loads(content)[0]["prediction_id"]
        return first

    with ThreadPoolExecutor(len(traces)) as threads:
        firsts = dict(zip(traces, threads.map(ask, traces), strict=True))
    requests = collected.named("predict http", len(traces))

    assert {span.trace_id.hex(): attributes(span)["first_prediction_id"] for span in requests} == firsts
    batches = {batch.span_id: batch for batch in collected.named("batch")}
    assert len(batches) < len(traces), "nothing was computed together"
    for request in requests:
        (link,) = request.links
        batch = batches[link.span_id]
        assert (request.trace_id, request.span_id) in {(link.trace_id, link.span_id) for link in batch.links}
        assert batch.trace_id != request.trace_id
        assert attributes(batch)["batch.rows"] == 200 * attributes(batch)["batch.requests"] == 200 * len(batch.links)


def test_a_caller_who_is_not_sampled_is_not_traced(traced: ServedPort, collected: Collector) -> None:
    trace = "f" * 32
    call(traced, "/predict", body_of(EXAMPLE).encode(), {"traceparent": f"00-{trace}-{PARENT}-00"})
    before = len(collected.named("predict http"))
    call(traced, "/predict", body_of(EXAMPLE).encode(), {"traceparent": TRACEPARENT})
    collected.named("predict http", before + 1)
    assert trace not in {span.trace_id.hex() for span in collected.spans}


@pytest.mark.slow
def test_a_request_that_the_server_fails_is_an_error_and_one_that_the_caller_failed_is_none(
    trained: dict[str, Any], collected: Collector, tmp_path: Path
) -> None:
    on = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collected.url}/v1/traces"}
    collected.spans.clear()
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0", **on) as served:
        call(served, "/predict", b"{}")
        served.traffic.write_bytes(b"a file where the folder should be")
        call(served, "/predict", body_of(EXAMPLE).encode())
    found = {attributes(span)["status"]: span for span in collected.named("predict http", 2)}  # sent as it ended

    assert found["unlogged"].status.code == 2
    assert "cannot be written" in str(found["unlogged"].events[0])
    assert found["invalid"].status.code == 0
    assert not found["invalid"].links
    assert "flights" in collected.services


def test_a_protocol_that_is_not_known_is_reported_in_one_line(trained: dict[str, Any]) -> None:
    ended = refused(
        ROOT, TABULAR_BENTO_MODEL=trained["tag"], OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"
    )
    assert_ended(ended, "http/protobuf alone")


def test_where_traces_are_off_nothing_that_exports_them_is_loaded() -> None:
    code = "import sys, service; print([name for name in sys.modules if 'exporter.otlp' in name])"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
