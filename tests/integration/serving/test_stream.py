"""ModelStreamInfer: many requests over one gRPC call."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, from_json
from tests.integration.serving.clients import LIMITS, channel, metrics_of, outputs_of, raw, risen, stub, typed, wait_for
from tests.serving import ServedPort, logged, serve


def request(number: int, make: Any = raw, **changes: Any) -> Any:
    return make([{**EXAMPLE, "dep_delay": float(number), **changes}], id=str(number))


def expected(package: ModelPackage, number: int) -> list[float]:
    values: list[float] = package.predictor.predict(from_json({**EXAMPLE, "dep_delay": float(number)})).value.tolist()
    return values


@pytest.mark.parametrize("make", [raw, typed])
def test_every_request_is_served_in_its_turn_as_a_call_of_its_own_is(
    server: ServedPort, package: ModelPackage, make: Any
) -> None:
    numbers = range(500)
    before = metrics_of(server)
    with stub(server) as calls:
        responses = list(calls.ModelStreamInfer(iter([request(number, make) for number in numbers]), timeout=60))

    assert [response.error_message for response in responses] == [""] * len(numbers)
    assert [response.infer_response.id for response in responses] == list(map(str, numbers))
    for number in numbers[::50]:
        assert outputs_of(responses[number].infer_response)["arrival_delay"] == expected(package, number)
    assert risen(before, metrics_of(server))["tabular_bento_requests_total", "grpc", "ok"] == len(numbers)


def test_requests_that_wait_are_computed_together(server: ServedPort) -> None:
    before = metrics_of(server)
    with stub(server) as calls:
        list(calls.ModelStreamInfer(iter([request(number) for number in range(400)]), timeout=60))
    rose = risen(before, metrics_of(server))

    assert rose["tabular_bento_batch_rows_sum",] == 400
    assert rose["tabular_bento_batch_rows_count",] < 400


def test_what_is_wrong_with_one_request_ends_only_that_one(server: ServedPort, package: ModelPackage) -> None:
    bad = [request(1, temp=1e9), request(2), request(3)]
    bad[1].inputs[0].name = "speed"
    bad[2].model_name = "ships"
    with stub(server) as calls:
        responses = list(calls.ModelStreamInfer(iter([request(0), *bad, request(4)]), timeout=60))

    assert [response.infer_response.id for response in responses] == list("01234")
    said = [response.error_message for response in responses]
    assert said[1].startswith("flights.0.temp: ")
    assert said[2].startswith("Input 'speed' is unknown")
    assert said[3].startswith("The model ships is not served here")
    assert [said[0], said[4]] == ["", ""]
    assert outputs_of(responses[4].infer_response)["arrival_delay"] == expected(package, 4)
    assert not responses[1].infer_response.outputs


def test_a_request_too_large_is_reported_and_the_stream_goes_on(server: ServedPort) -> None:
    large = raw([EXAMPLE] * (LIMITS.max_rows + 1), id="large")
    with stub(server) as calls:
        responses = list(calls.ModelStreamInfer(iter([large, request(1)]), timeout=60))

    assert "rows in one request, of at most" in responses[0].error_message
    assert responses[1].error_message == ""


def test_a_stream_without_requests_ends_without_responses(server: ServedPort) -> None:
    with stub(server) as calls:
        assert list(calls.ModelStreamInfer(iter([]), timeout=30)) == []


class Sending:
    """Requests for a stream that are sent when the test says so."""

    def __init__(self) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()

    def send(self, *requests: Any) -> None:
        for one in requests:
            self._requests.put(one)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._requests.get, None)


def test_responses_come_while_the_stream_is_open(server: ServedPort, package: ModelPackage) -> None:
    sending = Sending()
    with stub(server) as calls:
        responses = calls.ModelStreamInfer(iter(sending), timeout=60)
        for number in (3, 4):
            sending.send(request(number))
            assert outputs_of(next(responses).infer_response)["arrival_delay"] == expected(package, number)
        sending.send(None)
        assert list(responses) == []


def test_a_caller_that_leaves_takes_its_waiting_requests_along(server: ServedPort) -> None:
    sending = Sending()
    before = metrics_of(server)
    with channel(server) as opened:
        calls = opened.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer", request_serializer=lambda one: one.SerializeToString()
        )(iter(sending))
        sending.send(*(raw([EXAMPLE] * 1_000, id=str(number)) for number in range(200)))
        wait_for(lambda: metrics_of(server)["tabular_bento_requests_in_progress", "grpc"] >= 20)
        calls.cancel()
        sending.send(None)
    wait_for(lambda: ("tabular_bento_requests_total", "grpc", "cancelled") in risen(before, metrics_of(server)))
    rose = risen(before, metrics_of(server))
    assert rose["tabular_bento_batch_rows_sum",] < 200 * 1_000
    wait_for(lambda: not metrics_of(server)["tabular_bento_requests_in_progress", "grpc"])
    with stub(server) as again:
        assert len(list(again.ModelStreamInfer(iter([request(1)]), timeout=30))) == 1


@pytest.mark.slow
def test_more_at_once_than_the_limit_are_asked_to_try_again(trained: dict[str, Any], tmp_path: Path) -> None:
    # So many rows are computed in a thread, while the requests behind them are read.
    sent = [raw([EXAMPLE] * 5_000, id=str(number)) for number in range(20)]
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_MAX_CONCURRENT="2") as served:
        with stub(served) as calls:
            responses = list(calls.ModelStreamInfer(iter(sent), timeout=60))
        refused = [response for response in responses if response.error_message]

        assert [response.infer_response.id for response in responses] == list(map(str, range(20)))
        assert 0 < len(refused) <= 18
        assert {response.error_message for response in refused} == {"More than 2 calls at once: try again in a second."}
        assert len(logged(served.traffic)) == 5_000 * (len(responses) - len(refused))


@pytest.mark.slow
def test_a_server_that_ends_finishes_what_was_asked_and_ends_the_stream(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    sending = Sending()
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"]) as served, stub(served) as calls:
        responses = calls.ModelStreamInfer(iter(sending), timeout=60)
        sending.send(*(raw([EXAMPLE] * 500, id=str(number)) for number in range(50)))
        first = next(responses)
        served.process.process.terminate()
        received = [first]
        with pytest.raises(grpc.RpcError) as error:
            received.extend(responses)
        exit_code = served.process.process.wait(60)
        sending.send(None)

    assert [response.infer_response.id for response in received] == list(map(str, range(50)))
    assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert len(logged(served.traffic)) == 50 * 500
    assert exit_code == 0
    assert "Traceback" not in served.process.log.read_text()
