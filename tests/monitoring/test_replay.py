"""Replays against a server that misbehaves on purpose, and against the real one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import orjson
import pytest
from pydantic import ValidationError

from data.flights import Flights
from features.definition import FIELD_NAMES, TARGET
from monitoring.__main__ import main
from monitoring.errors import ReplayError, UnreachableError
from monitoring.job import judge
from monitoring.replay.config import ReplayConfig
from monitoring.replay.doors import Door, GRPCDoor, HTTPDoor, RESTDoor
from monitoring.replay.job import replay, requests_of
from monitoring.settings import DriftSettings
from monitoring.window import Query
from scoring.doors import open_inference_pb2 as messages
from scoring.doors import open_inference_pb2_grpc as services
from scoring.doors.tensors import Tensor, decode, encode
from scoring.schema import ROWS, PredictRequest
from tests.serving import ServedPort, free_port, logged

Answers = list[dict[str, Any]]
Fault = Callable[["Handler", Answers], bool]


class Handler(BaseHTTPRequestHandler):
    """Predicts that every flight arrives as late as it left, unless the server's fault answers in its place."""

    protocol_version = "HTTP/1.1"
    server: Misbehaving

    def do_GET(self) -> None:
        self.reply(200, {})

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            if self.path == "/feedback":
                self.server.outcomes += body["outcomes"]
                return self.reply(200, {"accepted": len(body["outcomes"])})
            self.server.requests += 1
            rows = body["flights"]
            answers = [
                {"prediction_id": f"p-{row['id']}", "id": row["id"], "arrival_delay": row["dep_delay"], "model": "m"}
                for row in rows
            ]
            if not self.server.fault(self, answers):
                self.server.served += rows
                self.reply(200, answers)

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
        self.outcomes: list[dict[str, Any]] = []
        self.fault: Fault = lambda *_: False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class MisbehavingServicer(services.GRPCInferenceServiceServicer):
    """The same over gRPC: `fault` may end a call through its context, or alter the answer."""

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
        response = messages.ModelInferResponse(model_name="flights", id=request.id)
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


def test_all_is_served(bad: Misbehaving) -> None:
    result = replay(config(bad.url, rows_per_request=33))
    assert (result.flights_served, result.errors, result.complete) == (500, 0, True)
    assert result.outcomes_posted == len(bad.outcomes)
    assert len({row["id"] for row in bad.served}) == 500
    assert result.ratio_to_zero_gain == 1
    assert result.rmse == result.zero_gain_rmse
    assert result.first_event == "2013-07-01T05:00:00"


def test_outcomes_in_several_requests_are_all_counted(bad: Misbehaving) -> None:
    result = replay(config(bad.url, limit=None, sample=5_000, rows_per_request=500))
    assert result.outcomes_posted == len(bad.outcomes)
    assert 4_900 < result.outcomes_posted < 5_000


def test_no_feedback(bad: Misbehaving) -> None:
    result = replay(config(bad.url, feedback=False))
    assert (result.outcomes_posted, bad.outcomes, result.complete) == (0, [], True)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_tried_again(bad: Misbehaving, status: int) -> None:
    def busy(handler: Handler, _: Answers) -> bool:
        if bad.requests <= 6:
            handler.reply(status, {"error": "busy"}, Retry_After="0.05")
        return bad.requests <= 6

    bad.fault = busy
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors, bad.requests) == (500, 0, 16)


def test_server_that_stays_busy_is_an_error(bad: Misbehaving) -> None:
    def busy(handler: Handler, _: Answers) -> bool:
        handler.reply(503, {"error": "busy"}, Retry_After="0.01")
        return True

    bad.fault = busy
    result = replay(config(bad.url, limit=50))
    assert (result.flights_served, result.errors, result.errors_by_status, bad.requests) == (0, 50, {"503": 50}, 5)
    assert result.rmse is None
    assert "busy" in str(result.first_error)


def test_closed_connection_is_tried_again(bad: Misbehaving) -> None:
    def hang_up(handler: Handler, _: Answers) -> bool:
        handler.close_connection = bad.requests % 3 == 0
        return handler.close_connection

    bad.fault = hang_up
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors) == (500, 0)
    assert bad.requests > 10


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda answers: answers[:-1], "49 answers to 50 rows"),
        (lambda answers: answers[::-1], "answer 0 is not to row"),
        (lambda answers: {"answers": answers}, "no list of answers"),
        (lambda answers: [{**answers[0], "arrival_delay": None}, *answers[1:]], "answer 0 lacks arrival_delay"),
    ],
)
def test_wrong_answers_are_errors(bad: Misbehaving, spoil: Callable[[Answers], Any], why: str) -> None:
    def wrong(handler: Handler, answers: Answers) -> bool:
        if bad.requests == 2:
            handler.reply(200, spoil(answers))
        return bad.requests == 2

    bad.fault = wrong
    result = replay(config(bad.url, concurrency=1))
    assert (result.flights_served, result.errors, result.complete) == (450, 50, False)
    assert result.errors_by_status == {"wrong answer": 50}
    assert why in str(result.first_error)


def test_refusal_is_counted_by_status(bad: Misbehaving) -> None:
    def refuse(handler: Handler, _: Answers) -> bool:
        if bad.requests == 1:
            handler.reply(400, {"error": "flights.0.temp: no"})
        return bad.requests == 1

    bad.fault = refuse
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors_by_status) == (450, {"400": 50})
    assert "flights.0.temp" in str(result.first_error)


def over_grpc(bad: Misbehaving, bad_grpc: MisbehavingServicer, **values: Any) -> ReplayConfig:
    return config(bad.url, door="grpc", grpc=f"127.0.0.1:{bad_grpc.port}", **values)


def test_outcomes_of_flights_served_over_grpc_are_posted(bad: Misbehaving, bad_grpc: MisbehavingServicer) -> None:
    result = replay(over_grpc(bad, bad_grpc))
    assert (result.door, result.flights_served, result.errors, result.ratio_to_zero_gain) == ("grpc", 500, 0, 1)
    assert (bad.requests, bad_grpc.calls, result.outcomes_posted) == (0, 10, len(bad.outcomes))


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_busy_grpc_server_is_tried_again(
    code: grpc.StatusCode, bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    def busy(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls <= 3:
            context.abort(code, "busy")

    bad_grpc.fault = busy
    result = replay(over_grpc(bad, bad_grpc, limit=100, concurrency=1))
    assert (result.flights_served, result.errors, bad_grpc.calls) == (100, 0, 5)


def test_grpc_server_that_stays_busy_is_an_error(bad: Misbehaving, bad_grpc: MisbehavingServicer) -> None:
    bad_grpc.fault = lambda context, _: context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
    result = replay(over_grpc(bad, bad_grpc, limit=50))
    assert (result.flights_served, result.errors_by_status) == (0, {"RESOURCE_EXHAUSTED": 50})
    assert bad_grpc.calls == 5
    assert result.first_error == "RESOURCE_EXHAUSTED: busy"


def test_refusal_over_grpc_is_counted_by_code(bad: Misbehaving, bad_grpc: MisbehavingServicer) -> None:
    def refuse(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls == 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Input 'temp': no")

    bad_grpc.fault = refuse
    result = replay(over_grpc(bad, bad_grpc, concurrency=1))
    assert (result.flights_served, result.errors_by_status) == (450, {"INVALID_ARGUMENT": 50})
    assert result.first_error == "INVALID_ARGUMENT: Input 'temp': no"


def _shorten(response: Any) -> None:
    for output, datatype in zip(response.outputs, ("BYTES", "FP64"), strict=True):
        output.shape[0] = 0
        output.datatype = datatype
    response.raw_output_contents[:] = [b"", b""]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda response: setattr(response, "id", "other"), "the answer is to request 'other', not to 2013-"),
        (lambda response: response.outputs.pop(), "zip()"),
        (lambda response: setattr(response.outputs[1], "name", "delay"), "KeyError: 'arrival_delay'"),
        (lambda response: setattr(response.outputs[1], "datatype", "FP16"), "has datatype 'FP16'"),
        (lambda response: response.raw_output_contents.__setitem__(1, bytes(49 * 8)), "zip()"),
        (lambda response: response.raw_output_contents.__setitem__(1, b"\xff" * 50 * 8), "answer 0 lacks"),
        (_shorten, "0 answers to 50 rows"),
    ],
)
def test_wrong_answers_over_grpc_are_errors(
    bad: Misbehaving, bad_grpc: MisbehavingServicer, spoil: Callable[[Any], object], why: str
) -> None:
    bad_grpc.fault = lambda _, response: spoil(response) if bad_grpc.calls == 2 else None
    result = replay(over_grpc(bad, bad_grpc, concurrency=1))
    assert (result.flights_served, result.errors_by_status) == (450, {"wrong answer": 50})
    assert why in str(result.first_error)


def test_nobody_at_the_grpc_port(bad: Misbehaving, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    arguments = ["replay", "--months", "2013-07", "--limit", "10", "--url", bad.url, "--door", "grpc"]
    assert main([*arguments, "--grpc", address]) == 3
    error = capsys.readouterr().err
    assert f"No gRPC server answers at {address}" in error
    assert "--grpc" in error


@pytest.mark.parametrize(
    ("url", "given", "address"),
    [
        ("http://example.test:3000", None, "example.test:3001"),
        ("http://[::1]:3000", None, "[::1]:3001"),
        ("http://example.test", "other.test:9", "other.test:9"),
    ],
)
def test_grpc_address(url: str, given: str | None, address: str) -> None:
    assert config(url, grpc=given).grpc_address == address


def test_parts_share_the_flights_out(bad: Misbehaving) -> None:
    replay(config(bad.url, concurrency=1, feedback=False))
    whole = [row["id"] for row in bad.served]
    for number in (1, 2, 3):
        bad.served.clear()
        result = replay(config(bad.url, concurrency=1, feedback=False, part=f"{number}/3"))
        assert [row["id"] for row in bad.served] == whole[number - 1 :: 3]
        assert result.flights == len(bad.served)


def test_part_without_flights(bad: Misbehaving) -> None:
    with pytest.raises(ReplayError, match="no flights in part 3/3"):
        replay(config(bad.url, limit=2, part="3/3"))


def test_rate(bad: Misbehaving) -> None:
    result = replay(config(bad.url, rate=1_000, feedback=False))
    assert 0.4 < result.seconds < 2


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="make serve"):
        replay(config(url))
    assert main(["replay", "--months", "2013-07", "--limit", "10", "--url", url]) == 3
    assert url in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        {"months": "July"},
        {"months": "2013-09:2013-07"},
        {"url": "nowhere"},
        {"rate": 0},
        {"door": "side"},
        {"grpc": "host"},
        {"part": "4/3"},
        {"part": "0/3"},
        {"part": "1"},
    ],
)
def test_senseless_configuration(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**{"url": "http://127.0.0.1:1"} | values)


def test_command(bad: Misbehaving, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", "--months", "2013-07", "--limit", "60", "--url", bad.url, "--json"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert json.loads(output.out.splitlines()[-1])["flights_served"] == 60
    assert output.err == ""

    def fail(handler: Handler, _: Answers) -> bool:
        handler.reply(500, {"error": "no"})
        return True

    bad.fault = fail
    assert main(arguments) == 1
    assert main(["replay", "--months", "2013-13", "--url", bad.url]) == 2
    assert "--months" in capsys.readouterr().err
    assert main(["replay", "--months", "2014-01", "--url", bad.url]) == 2


def test_requests_are_what_the_service_takes(flights: Flights) -> None:
    table = flights.between(*config("http://127.0.0.1:1").days)
    rows = requests_of(table)
    assert rows[0]["id"].startswith("2013-07-01T05:00-")
    assert set().union(*rows) == set(FIELD_NAMES)
    assert len({row["id"] for row in rows}) == len(rows)
    PredictRequest.model_validate_json(orjson.dumps({ROWS: rows[:2_000]}))
    assert [row["sched_dep"] for row in rows[:500]] == sorted(row["sched_dep"] for row in rows[:500])


def test_sample_is_spread_over_the_months_and_repeatable(bad: Misbehaving) -> None:
    ids = []
    for _ in range(2):
        bad.served.clear()
        replay(config(bad.url, limit=None, sample=1_000, concurrency=1, feedback=False))
        ids.append([row["id"] for row in bad.served])
    assert ids[0] == ids[1]
    assert 450 < sum(one.startswith("2013-07") for one in ids[0]) < 550


def test_real_server(server: ServedPort) -> None:
    before = len(logged(server.traffic))
    result = replay(config(server.process.url, limit=None, sample=1_500))
    assert (result.flights_served, result.errors, result.complete) == (1_500, 0, True)
    assert len(logged(server.traffic)) == before + 1_500
    query = Query(server.traffic, datetime(2013, 7, 1), datetime(2013, 9, 1), "sched_dep")
    verdict = judge(query, None, DriftSettings()).result
    assert verdict.rows.scored >= 1_500
    assert verdict.outcomes.matched >= result.outcomes_posted


def test_every_door_predicts_the_same_bits(server: ServedPort, flights: Flights) -> None:
    rows = requests_of(flights.between(*config(server.process.url).days).slice(0, 10_000))
    for place, name in enumerate(("tailnum", "flight", "temp"), 1):
        del rows[place][name]

    async def ask(open_door: Callable[[], Door], sent: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        door = open_door()
        answers = await door.predict(sent)
        await door.close()
        return list(answers)

    for sent in (rows[:1], rows):
        values, ids = set(), set()
        for door in (
            lambda: HTTPDoor(server.process.url, 1, 60),
            lambda: RESTDoor(server.process.url, 1, 60),
            lambda: GRPCDoor(f"127.0.0.1:{server.grpc_port}", 1, 60),
        ):
            answers = asyncio.run(ask(door, sent))
            values.add(np.array([answer[TARGET.name] for answer in answers]).tobytes())
            ids.update(answer["prediction_id"] for answer in answers)
        assert len(values) == 1
        assert len(ids) == 3 * len(sent)


def test_a_third_of_the_flights_through_each_door(server: ServedPort) -> None:
    before = len(logged(server.traffic))
    results = [
        replay(
            config(
                server.process.url,
                limit=None,
                sample=900,
                door=door,
                grpc=f"127.0.0.1:{server.grpc_port}",
                part=f"{number}/3",
            )
        )
        for number, door in enumerate(("http", "rest", "grpc"), 1)
    ]
    assert [(result.flights_served, result.complete) for result in results] == [(300, True)] * 3
    new = logged(server.traffic)[before:]
    assert len({row["id"] for row in new}) == len(new) == 900
