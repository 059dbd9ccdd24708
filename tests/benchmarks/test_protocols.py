"""The comparison of the protocols: what callers accept as a response, its arithmetic and its decision."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from benchmarks.callers import FaultError, GRPCCaller, HTTPResponse, read_grpc, read_rest
from benchmarks.errors import BenchmarkError
from benchmarks.load import CALLERS, Plan, measure
from benchmarks.protocols import GRPC, HTTP, METRICS, REST, STREAM, ProtocolComparison, check_bits, judge, targets_of
from benchmarks.requests import ENCODERS, encode_requests
from benchmarks.rounds import SCENARIOS, Measured, Target
from features.problem import PROBLEM
from tabular_bento.errors import ClientError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.serving.ports import free_port
from tests.serving import ServedPort

ROWS = [
    json.dumps({**PROBLEM.example, "temp": None if number % 3 else 70.5, "id": str(number)}).encode()
    for number in range(40)
]
TARGETS = targets_of("http://127.0.0.1:3000", 3001)


def measured(rate: float | None, reasons: dict[str, int] | None = None) -> Measured:
    values: dict[str, Any] = dict.fromkeys(("requests_per_second", "rows_per_second", "p50", "p90", "p99"), rate)
    return {**values, "load_busy": 0.5, "reasons": reasons or {}}


def comparison(
    http: float, rest: float, grpc_rate: float | None, failed: dict[str, int] | None = None
) -> ProtocolComparison:
    rounds = {
        HTTP: [dict.fromkeys(METRICS, measured(http))],
        REST: [dict.fromkeys(METRICS, measured(rest))],
        GRPC: [dict.fromkeys(METRICS, measured(grpc_rate, failed))],
        STREAM: [dict.fromkeys(METRICS, measured(grpc_rate, failed))],
    }
    return ProtocolComparison(rounds, TARGETS, (None, None))


def test_ratios_are_to_post_predict() -> None:
    made = comparison(1000, 500, 1500)
    assert [made.ratio(protocol, "one_row") for protocol in (HTTP, REST, GRPC)] == [1, 0.5, 1.5]
    document = json.loads(json.dumps(made.document(), allow_nan=False))
    assert document["ratios"][GRPC]["thousand_rows"] == 1.5
    table = made.table()
    assert "gRPC, raw contents" in table
    assert "REST, binary tensors" in table
    assert "1.50" in table


@pytest.mark.parametrize(
    ("rates", "requests", "rows", "code", "message"),
    [
        ((1000, 1500, 1500), None, None, 0, ""),
        ((1000, 1500, 1500), 1.5, 1.5, 0, ""),
        ((1000, 1500, 900), 1.0, None, 1, "requests/s of gRPC stream over POST /predict: 0.90, below 1"),
        ((1000, 1400, 1500), None, 1.5, 1, "rows/s of REST over POST /predict: 1.40, below 1.5"),
        ((1000, 1500, None), 1.0, None, 1, "not known"),
    ],
)
def test_decision(
    rates: tuple[float, float, float | None],
    requests: float | None,
    rows: float | None,
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert judge(comparison(*rates), requests, rows) == code
    assert message in capsys.readouterr().err


def test_errors_fail_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison(1000, 1500, 1500, {"status UNAVAILABLE": 3}), None, None) == 1
    assert "gRPC: 6 requests failed: status UNAVAILABLE" in capsys.readouterr().err


def test_a_ratio_is_the_median_of_the_rounds_so_that_a_slow_minute_does_not_matter() -> None:
    made = comparison(1000, 500, 1500)
    slow = {
        protocol: [dict.fromkeys(METRICS, measured(rate))] for protocol, rate in ((HTTP, 200), (REST, 300), (GRPC, 300))
    }
    for protocol, rounds in (slow | {STREAM: slow[GRPC]}).items():
        made.rounds[protocol][:] = [*made.rounds[protocol], *rounds, *made.rounds[protocol]]
    assert [made.ratio(protocol, "one_row") for protocol in (HTTP, REST, GRPC)] == [1, 0.5, 1.5]


def test_every_protocol_has_a_caller() -> None:
    assert CALLERS.keys() == ENCODERS.keys()
    assert set(METRICS) <= set(SCENARIOS)


def test_requests_hold_the_same_rows_in_every_protocol() -> None:
    for protocol in ENCODERS:
        requests = encode_requests("http://127.0.0.1:80/x", ROWS, 15, protocol)
        assert [[row["id"] for row in request.rows] for request in requests] == [
            [str(n) for n in range(15)],
            [str(n) for n in range(15, 30)],
        ]
    body = orjson.loads(encode_requests("http://h:80/x", ROWS, 3, "rest")[0].message.partition(b"\r\n\r\n")[2])
    temp = next(item for item in body["inputs"] if item["name"] == "temp")
    assert (body["id"], temp["shape"], temp["data"]) == ("0", [3], [70.5, None, None])


def response(values: Sequence[float], name: str = "0") -> Any:
    count = len(values)
    message = messages.ModelInferResponse(id=name)
    message.outputs.add(name="arrival_delay", datatype="FP64", shape=[count])
    message.outputs.add(name="prediction_id", datatype="BYTES", shape=[count])
    message.raw_output_contents.extend([np.array(values, "<f8").tobytes(), b"\x01\0\0\0p" * count])
    return message


class Servicer(services.GRPCInferenceServiceServicer):
    """Responds with `values`, or ends the call with `code`."""

    values: Sequence[float] = (1.5, 2.5)
    code: grpc.StatusCode | None = None

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if self.code is not None:
            context.abort(self.code, "no")
        return response(self.values, request.id)

    def ModelStreamInfer(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        for request in request_iterator:
            refusal = "no" if self.code is grpc.StatusCode.INVALID_ARGUMENT else ""
            if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                context.abort(self.code, "no")
            message = response(self.values, request.id)
            yield messages.ModelStreamInferResponse(error_message=refusal, infer_response=message)


@pytest.fixture
def fake() -> Iterator[tuple[Servicer, str]]:
    server, servicer = grpc.server(ThreadPoolExecutor(4)), Servicer()
    services.add_GRPCInferenceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


@pytest.mark.parametrize(
    ("values", "code", "reasons"),
    [
        ((1.5, 2.5), None, set()),
        ((1.5,), None, {"wrong predictions"}),
        ((1.5, math.nan), None, {"wrong predictions"}),
        ((1.5, 2.5), grpc.StatusCode.RESOURCE_EXHAUSTED, {"status RESOURCE_EXHAUSTED"}),
    ],
)
def test_responses_over_grpc_are_checked(
    fake: tuple[Servicer, str], values: Sequence[float], code: grpc.StatusCode | None, reasons: set[str]
) -> None:
    servicer, address = fake
    servicer.values, servicer.code = values, code
    requests = encode_requests(address, ROWS, 2, "grpc")
    seen = asyncio.run(measure(address, requests, Plan(connections=2, seconds=0.3), "grpc"))
    assert set(seen.reasons) == reasons
    assert (seen.requests == 0) == bool(reasons)
    assert seen.load_busy > 0


@pytest.mark.parametrize(
    ("values", "code", "reasons"),
    [
        ((1.5, 2.5), None, set()),
        ((1.5,), None, {"wrong predictions"}),
        ((1.5, 2.5), grpc.StatusCode.INVALID_ARGUMENT, {"refused"}),
        ((1.5, 2.5), grpc.StatusCode.RESOURCE_EXHAUSTED, {"the stream ended", "the stream broke: AioRpcError"}),
    ],
)
def test_responses_of_a_stream_are_checked(
    fake: tuple[Servicer, str], values: Sequence[float], code: grpc.StatusCode | None, reasons: set[str]
) -> None:
    servicer, address = fake
    servicer.values, servicer.code = values, code
    requests = encode_requests(address, ROWS, 2, "grpc-stream")
    seen = asyncio.run(measure(address, requests, Plan(connections=2, seconds=0.3), "grpc-stream"))
    assert set(seen.reasons) <= reasons
    assert bool(seen.reasons) == bool(reasons)
    assert (seen.requests == 0) == bool(reasons)


def test_a_response_to_another_request_is_wrong() -> None:
    request = encode_requests("", ROWS[8:], 1, "grpc")[0]
    with pytest.raises(ClientError):
        read_grpc(response([1.5], "7").SerializeToString(), request)
    values = {"arrival_delay": [1.5], "prediction_id": ["p"]}
    body = {"id": "7", "outputs": [{"name": name, "data": data} for name, data in values.items()]}
    with pytest.raises(ClientError):
        read_rest(HTTPResponse(200, orjson.dumps(body), None), request)
    found = read_rest(HTTPResponse(200, orjson.dumps(body | {"id": "8"}), None), request)
    assert list(found.column("arrival_delay")) == [1.5]


def test_nobody_at_the_grpc_port() -> None:
    async def ask() -> None:
        caller = GRPCCaller(f"127.0.0.1:{free_port()}")
        try:
            await caller.send(encode_requests("", ROWS, 1, "grpc")[0])
        finally:
            await caller.close()

    with pytest.raises(FaultError, match="status UNAVAILABLE"):
        asyncio.run(ask())


def test_the_protocols_predict_the_same_bits(server: ServedPort, fake: tuple[Servicer, str]) -> None:
    targets = targets_of(server.process.url, server.grpc_port)
    check_bits(targets, ROWS * 50)
    servicer, address = fake
    servicer.values = [1.5]
    wrong = {**targets, GRPC: dict.fromkeys(METRICS, Target(address, "grpc"))}
    with pytest.raises(BenchmarkError, match="gRPC, raw contents predicts other values than POST /predict, JSON"):
        check_bits(wrong, ROWS)
