"""Deadlines, sizes and numbers of calls: what gRPC takes, and how it says no."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from features.problem import PROBLEM
from tests.flights.rows import EXAMPLE
from tests.integration.serving.clients import channel, metrics_of, raw, refused_call, risen, stub
from tests.serving import ServedPort, logged, serve

ID = [field.name for field in PROBLEM.fields].index("id")


@pytest.fixture(scope="module")
def narrow(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A server that takes one call and one MiB at a time, but lets any number of rows wait."""
    folder = tmp_path_factory.mktemp("narrow")
    limits = {
        "TABULAR_BENTO_GRPC_MAX_CONCURRENT": "1",
        "TABULAR_BENTO_MAX_BODY_MB": "1",
        "TABULAR_BENTO_MAX_QUEUE_ROWS": "1000000",
    }
    with serve(folder, TABULAR_BENTO_MODEL=trained["tag"], **limits) as served:
        yield served


@pytest.mark.slow
def test_rows_of_a_caller_whose_deadline_has_passed_are_neither_computed_nor_logged(
    trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    large = raw([EXAMPLE] * 5_000)
    late = [raw([{**EXAMPLE, "id": f"late-{index}"}]) for index in range(5)]
    folder = tmp_path_factory.mktemp("busy")
    with (
        serve(folder, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_MAX_QUEUE_ROWS="1000000") as served,
        stub(served) as calls,
    ):
        calls.ModelInfer(large)
        computing = [calls.ModelInfer.future(large) for _ in range(50)]
        before = metrics_of(served)
        for request in late:
            with pytest.raises(grpc.RpcError) as error:
                calls.ModelInfer(request, timeout=0.15)
            assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        still_computing = sum(not future.done() for future in computing)
        assert still_computing, "the server was not busy for long enough"
        assert all(len(future.result().outputs) == 2 for future in computing)
        calls.ModelInfer(raw([{**EXAMPLE, "id": "on time"}]))
        counted = risen(before, metrics_of(served))
        ids = [line["inputs"][ID] for line in logged(served.traffic) if line["inputs"][ID] != EXAMPLE["id"]]

    assert ids == ["on time"]
    cancelled = counted.get(("tabular_bento_requests_total", "grpc", "cancelled"), 0)
    assert cancelled <= len(late), "those that left before they were read are not counted"


@pytest.mark.slow
def test_a_call_that_takes_longer_than_the_server_allows_is_reported(
    trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    large, folder = raw([EXAMPLE] * 5_000), tmp_path_factory.mktemp("impatient")
    limits = {"TABULAR_BENTO_TIMEOUT_SECONDS": "0.3", "TABULAR_BENTO_MAX_QUEUE_ROWS": "1000000"}
    with serve(folder, TABULAR_BENTO_MODEL=trained["tag"], **limits) as served, stub(served) as calls:
        waiting = [calls.ModelInfer.future(large) for _ in range(40)]
        refusals = [future.exception() for future in waiting]
        reported = {(error.code(), error.details()) for error in refusals if error is not None}
        counted = metrics_of(served)

    assert reported == {(grpc.StatusCode.DEADLINE_EXCEEDED, "No response within 0.3 seconds.")}
    assert counted["tabular_bento_requests_total", "grpc", "timeout"] == sum(error is not None for error in refusals)


def test_a_message_over_the_limit_is_resource_exhausted_and_the_connection_goes_on(narrow: ServedPort) -> None:
    before = narrow.process.log.stat().st_size
    with stub(narrow) as calls:
        request = raw([EXAMPLE] * 8_000)
        assert request.ByteSize() > 1 << 20
        assert "larger than max" in refused_call(calls.ModelInfer, request, grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert len(calls.ModelInfer(raw([EXAMPLE])).outputs) == 2

    assert b"Traceback" not in narrow.process.log.read_bytes()[before:]


def test_more_calls_at_once_than_the_limit_are_resource_exhausted_while_health_is_still_reported(
    narrow: ServedPort,
) -> None:
    request = raw([EXAMPLE] * 4_000)
    before = metrics_of(narrow)
    with channel(narrow) as opened, stub(narrow) as calls:
        waiting = [calls.ModelInfer.future(request) for _ in range(30)]
        health = health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest())
        refusals = [error for error in (future.exception() for future in waiting) if error is not None]
        returned = len(waiting) - len(refusals)
    counted = risen(before, metrics_of(narrow))

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert returned >= 1
    assert {(error.code(), error.details()) for error in refusals} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "More than 1 calls at once: try again in a second.")
    }
    assert counted["tabular_bento_requests_total", "grpc", "overload"] == len(refusals)
    assert counted["tabular_bento_requests_total", "grpc", "ok"] == returned


@pytest.mark.slow
def test_rows_beyond_what_may_wait_are_resource_exhausted(
    trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("short-queue")
    with (
        serve(folder, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_MAX_QUEUE_ROWS="5000") as served,
        stub(served) as calls,
    ):
        waiting = [calls.ModelInfer.future(raw([EXAMPLE] * 4_000)) for _ in range(30)]
        refusals = [error for error in (future.exception() for future in waiting) if error is not None]

    assert {error.code() for error in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert all(error.details().endswith("of at most 5000: try again in a second.") for error in refusals)
    assert len(refusals) < len(waiting)
