"""The load generator against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import Measurement, Plan, measure, percentile
from benchmarks.requests import Request, encode_requests
from features.problem import PROBLEM

Respond = Callable[[int, list[str]], bytes]
"""Of the number of the request on its server, and the ids of its rows: the bytes to respond with."""


class Last(bytes):
    """What is sent before the server hangs up."""


ROWS = [json.dumps({**PROBLEM.example, "id": str(number)}).encode() for number in range(40)]


def http(status: int, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def predictions(ids: list[str], delay: object = 1.5) -> bytes:
    items = [{"prediction_id": "p", "id": name, "arrival_delay": delay, "model": "m"} for name in ids]
    return json.dumps(items).encode()


def right(_: int, ids: list[str]) -> bytes:
    return http(200, predictions(ids))


class Seen:
    """What the server counted itself."""

    def __init__(self) -> None:
        self.requests = 0
        self.connections = 0
        self.ids: set[str] = set()


@asynccontextmanager
async def serving(respond: Respond, seen: Seen) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                ids = [row["id"] for row in json.loads(await reader.readexactly(length))["flights"]]
                seen.requests += 1
                seen.ids.update(ids)
                message = respond(seen.requests, ids)
                writer.write(message)
                if isinstance(message, Last):
                    break
                await asyncio.sleep(0.001)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"


def load(respond: Respond, plan: Plan, rows_per_request: int = 2) -> tuple[Measurement, Seen]:
    async def run() -> tuple[Measurement, Seen]:
        seen = Seen()
        async with serving(respond, seen) as url:
            return await measure(url, encode_requests(url, ROWS, rows_per_request), plan), seen

    return asyncio.run(run())


PLAN = Plan(connections=3, seconds=0.3)


def test_right_responses_are_counted_once_and_are_no_errors() -> None:
    measured, seen = load(right, PLAN)
    assert measured.errors == 0
    assert seen.requests - PLAN.connections <= measured.requests <= seen.requests
    assert seen.connections == PLAN.connections
    assert measured.requests_per_second == pytest.approx(measured.requests / PLAN.seconds)
    assert measured.rows_per_second == pytest.approx(2 * measured.requests_per_second)
    assert measured.p50 is not None
    assert measured.p90 is not None
    assert measured.p99 is not None
    assert 0 < measured.p50 <= measured.p90 <= measured.p99 < 300


def test_all_rows_are_sent() -> None:
    _, seen = load(right, PLAN)
    assert seen.ids == {str(number) for number in range(len(ROWS))}


def test_warm_up_is_not_measured() -> None:
    measured, seen = load(right, Plan(connections=1, seconds=0.1, warm_up=0.4))
    assert measured.requests < seen.requests / 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda ids: http(500, predictions(ids)), "status 500"),
        (lambda _: http(503, b""), "status 503"),
        (lambda ids: http(200, predictions(ids[:-1])), "wrong predictions"),
        (lambda ids: http(200, predictions(ids[::-1])), "wrong predictions"),
        (lambda ids: http(200, predictions(ids, None)), "wrong predictions"),
        (lambda _: http(200, b""), "wrong predictions"),
        (lambda _: http(200, b"{}"), "wrong predictions"),
        (lambda _: http(200, b"[1, 2]"), "wrong predictions"),
        (lambda ids: http(200, predictions(ids, float("nan"))), "wrong predictions"),
        (lambda _: b"SMTP is not spoken here\r\n\r\n", "connection"),
        (lambda ids: Last(http(200, predictions(ids))[:-5]), "connection"),
        (lambda _: Last(), "connection"),
    ],
)
def test_every_kind_of_error_is_counted(wrong: Callable[[list[str]], bytes], reason: str) -> None:
    seen_wrong = 0

    def respond(number: int, ids: list[str]) -> bytes:
        nonlocal seen_wrong
        if number % 3:
            return right(number, ids)
        seen_wrong += 1
        return wrong(ids)

    measured, seen = load(respond, PLAN)
    assert seen_wrong > 0
    assert measured.reasons == {reason: seen_wrong}
    assert measured.errors == seen_wrong
    assert measured.requests > 0
    assert measured.requests + measured.errors <= seen.requests


def test_a_connection_closed_politely_is_no_error() -> None:
    measured, seen = load(lambda _, ids: http(200, predictions(ids), "Connection: close\r\n"), PLAN)
    assert measured.errors == 0
    assert seen.connections == seen.requests


def test_a_response_in_chunks_is_right() -> None:
    def chunked(_: int, ids: list[str]) -> bytes:
        body = predictions(ids)
        chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (body[:9], body[9:]))
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"

    assert load(chunked, PLAN)[0].errors == 0


def test_a_server_that_never_responds_is_an_error_of_each_caller() -> None:
    measured, _ = load(lambda *_: b"", Plan(connections=3, seconds=0.1, grace=0.1))
    assert measured.reasons == {"no response": 3}
    assert (measured.requests, measured.p50, measured.p99) == (0, None, None)


def test_nobody_listens() -> None:
    requests = encode_requests("http://127.0.0.1:9/predict", ROWS, 1)
    measured = asyncio.run(measure("http://127.0.0.1:9/predict", requests, Plan(connections=1, seconds=0.1)))
    assert measured.requests == 0
    assert measured.errors > 0
    assert set(measured.reasons) == {"connection"}


def test_requests_hold_the_rows_in_order() -> None:
    requests = encode_requests("http://127.0.0.1:80/predict", ROWS, 15)
    assert [[row["id"] for row in request.rows] for request in requests] == [
        [str(n) for n in range(15)],
        [str(n) for n in range(15, 30)],
    ]
    head, _, body = requests[1].message.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"flights": [json.loads(row) for row in ROWS[15:30]]}
    assert all(isinstance(request, Request) for request in requests)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.5, 50), (100, 0.99, 99), (1, 0.99, 1), (3, 0.5, 2), (4, 0.9, 4), (10, 0.9, 9)],
)
def test_percentile_is_the_nearest_rank(count: int, share: float, expected: int) -> None:
    assert percentile(list(range(1, count + 1)), share) == expected


def test_percentile_of_nothing() -> None:
    assert percentile([], 0.5) is None
