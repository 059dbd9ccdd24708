from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from features.problem import PROBLEM
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, from_json
from tests.integration.serving.clients import (
    INFER,
    binary_body,
    binary_outputs,
    by_grpc,
    by_http,
    by_rest,
    by_rest_binary,
    call,
    channel,
    outputs_of,
    raw,
    stub,
)
from tests.serving import ServedPort, logged, serve

CALLS, ROWS_PER_CALL = 200, 500
PROTOCOLS = (by_http, by_rest, by_rest_binary, by_grpc)
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Sent = Callable[[ServedPort], Callable[[], list[float]]]
"""Sends a request that is ready to be sent, and gives what reads the predictions from its response."""


def rows_of_call(number: int) -> list[dict[str, Any]]:
    """Rows that no other call has, so that its response can be distinguished from another's."""
    return [{**EXAMPLE, "dep_delay": float(number), "temp": float(row % 100)} for row in range(ROWS_PER_CALL)]


def over_http(rows: list[dict[str, Any]]) -> Sent:
    body = json.dumps({PROBLEM.rows: rows}).encode()

    def send(server: ServedPort) -> Callable[[], list[float]]:
        status, _, content = call(server, "/predict", body)
        assert status == 200, content
        return lambda: [response["arrival_delay"] for response in json.loads(content)]

    return send


def over_rest(rows: list[dict[str, Any]]) -> Sent:
    body, sent = binary_body(rows, parameters={"binary_data_output": True})

    def send(server: ServedPort) -> Callable[[], list[float]]:
        status, headers, content = call(server, INFER, body, sent)
        assert status == 200, content
        return lambda: binary_outputs(headers, content)["arrival_delay"]

    return send


def over_grpc(rows: list[dict[str, Any]]) -> Sent:
    request = raw(rows)

    def send(server: ServedPort) -> Callable[[], list[float]]:
        with stub(server) as calls:
            response = calls.ModelInfer(request, timeout=60)
        return lambda: outputs_of(response)["arrival_delay"]

    return send


@pytest.mark.slow
def test_calls_in_progress_over_every_protocol_are_all_finished_after_sigterm_and_the_exit_code_is_0(
    trained: dict[str, Any], package: ModelPackage, tmp_path: Path
) -> None:
    requests = [rows_of_call(number) for number in range(CALLS)]
    expected = [package.predictor.predict(from_json(*rows)).value.tolist() for rows in requests]
    protocols = (over_http, over_rest, over_grpc)
    ready_to_send = [protocols[number % len(protocols)](rows) for number, rows in enumerate(requests)]
    with (
        serve(
            tmp_path,
            TABULAR_BENTO_MODEL=trained["tag"],
            TABULAR_BENTO_WORKERS="2",
            TABULAR_BENTO_MAX_QUEUE_ROWS="1000000",
            TABULAR_BENTO_DRAIN_SECONDS="5",
        ) as served,
        ThreadPoolExecutor(CALLS) as threads,
    ):
        while served.process.log.read_text().count("Service flights initialized") < 2:
            time.sleep(0.05)
        first = threading.Event()
        in_progress = [threads.submit(send, served) for send in ready_to_send]
        for one in in_progress:
            one.add_done_callback(lambda _: first.set())
        first.wait(60)
        served.process.process.terminate()
        waiting = sum(not one.done() for one in in_progress)
        responses = [one.result()() for one in in_progress]
        exit_code = served.process.process.wait(60)

    assert waiting > CALLS // 5, "most were returned before the signal: make the calls larger"
    assert responses == expected
    assert len(logged(served.traffic)) == CALLS * ROWS_PER_CALL
    assert exit_code == 0
    assert "Traceback" not in served.process.log.read_text()


def test_readiness_falls_over_each_protocol_while_predictions_are_still_returned(
    trained: dict[str, Any], package: ModelPackage, tmp_path: Path
) -> None:
    expected = package.predictor.predict(from_json(EXAMPLE)).value.tolist()
    with (
        serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="3") as served,
        channel(served) as opened,
    ):
        calls = services.GRPCInferenceServiceStub(opened)  # type: ignore[no-untyped-call]
        health = health_pb2_grpc.HealthStub(opened)
        watched = health.Watch(health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService"))
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        assert ready(served) == {"/readyz": 200, "/v2/health/ready": 200, "/v2/models/flights/ready": 200}

        served.process.process.terminate()
        started = time.monotonic()
        assert next(watched).status == NOT_SERVING
        assert time.monotonic() - started < 1
        assert ready(served) == {"/readyz": 503, "/v2/health/ready": 503, "/v2/models/flights/ready": 503}
        assert served.get("/v2/health/ready")[1]["error"] == "The server is draining."
        for service in ("", "inference.GRPCInferenceService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == NOT_SERVING
        assert not calls.ServerReady(messages.ServerReadyRequest()).ready
        assert not calls.ModelReady(messages.ModelReadyRequest(name="flights")).ready
        assert calls.ServerLive(messages.ServerLiveRequest()).live
        assert served.get("/v2/health/live") == (200, {"live": True})
        for ask in PROTOCOLS:
            assert [target for target, _ in ask(served, [EXAMPLE])] == expected
        assert time.monotonic() - started < 3

        assert served.process.process.wait(30) == 0
        assert 3 <= time.monotonic() - started < 15, "an open stream that watches health held the server up"
        assert "Traceback" not in served.process.log.read_text()
        assert gone(opened)


def ready(server: ServedPort) -> dict[str, int]:
    return {path: call(server, path)[0] for path in ("/readyz", "/v2/health/ready", "/v2/models/flights/ready")}


def gone(opened: grpc.Channel) -> bool:
    try:
        health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest(), timeout=5)
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAVAILABLE)
    return False
