from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from data.schema import Kind
from features.definition import EXAMPLE, FIELDS
from scoring.doors import open_inference_pb2 as messages
from scoring.doors import open_inference_pb2_grpc as services
from scoring.package import ModelPackage
from tests.doors.clients import INFER, by_grpc, by_http, by_rest, by_rest_binary, call, channel, infer, json_body
from tests.rows import from_json
from tests.serving import ServedPort, logged, serve

CALLS, ROWS_PER_CALL = 200, 300
DOORS = (by_http, by_rest, by_rest_binary, by_grpc)
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def rows_of_call(number: int) -> list[dict[str, Any]]:
    """Rows that no other call has, so that its answers can be told from another's."""
    delays = [field.name for field in FIELDS if field.kind is Kind.NUMBER and not field.optional]
    return [
        {**EXAMPLE, **dict.fromkeys(delays, float(number)), "temp": float(row % 100)} for row in range(ROWS_PER_CALL)
    ]


def test_calls_in_flight_over_the_three_doors_are_all_answered_after_sigterm_and_the_exit_code_is_0(
    trained: dict[str, Any], package: ModelPackage, tmp_path: Path
) -> None:
    expected = [package.predictor.predict(from_json(*rows_of_call(number))).target.tolist() for number in range(CALLS)]
    with (
        serve(tmp_path, MODEL_TAG=trained["tag"], WORKERS="2", MAX_QUEUE_ROWS="1000000") as served,
        ThreadPoolExecutor(CALLS) as threads,
    ):
        in_flight = [
            threads.submit(DOORS[number % len(DOORS)], served, rows_of_call(number)) for number in range(CALLS)
        ]
        while not any(one.done() for one in in_flight):
            time.sleep(0.01)
        served.process.process.terminate()
        waiting = sum(not one.done() for one in in_flight)
        answers = [one.result() for one in in_flight]
        exit_code = served.process.process.wait(60)
        rows = logged(served.traffic)

    assert waiting > CALLS // 2, "most were answered before the signal: make the calls larger"
    assert [[target for target, _ in answer] for answer in answers] == expected
    assert {line["prediction_id"] for line in rows} == {name for answer in answers for _, name in answer}
    assert exit_code == 0
    assert "Traceback" not in served.process.log.read_text()


def test_readiness_falls_behind_each_door_while_predictions_are_still_answered(
    trained: dict[str, Any], package: ModelPackage, tmp_path: Path
) -> None:
    expected = package.predictor.predict(from_json(EXAMPLE)).target.tolist()
    with serve(tmp_path, MODEL_TAG=trained["tag"], DRAIN_SECONDS="3") as served, channel(served) as opened:
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
        for ask in DOORS:
            assert [target for target, _ in ask(served, [EXAMPLE])] == expected
        assert infer(served, json_body([EXAMPLE]), INFER)[0] == 200
        assert time.monotonic() - started < 3

        assert served.process.process.wait(30) == 0
        assert time.monotonic() - started >= 3
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
