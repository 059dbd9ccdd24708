"""python -m benchmarks.load: a closed loop of callers on keep-alive connections, and what they saw, as JSON.

Each caller sends its next request when the last one is answered. An answer counts only if it is a 200 that gives every
row of the request, in order, one prediction that is a number; everything else is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop

from features.definition import ROW, TARGET

GRACE_SECONDS = 30.0
"""How long an answer may take after the end of the measurement before it is an error."""

RETRY_SECONDS = 0.05
"""Wait after a connection failed."""


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded HTTP request, and the ids of its rows."""

    message: bytes
    ids: list[str]


@dataclass(frozen=True)
class Plan:
    """How to load: so many connections, for `seconds` after `warm_up` seconds that are not measured."""

    connections: int
    seconds: float
    warm_up: float = 0.0
    grace: float = GRACE_SECONDS


@dataclass(frozen=True)
class Measurement:
    """What the callers saw. Latencies are in milliseconds, None where no request succeeded.

    `requests` are those answered right within the measured `seconds`, `errors` those that failed at any time, by what
    went wrong in `reasons`.
    """

    connections: int
    rows_per_request: int
    seconds: float
    requests: int
    errors: int
    reasons: dict[str, int]
    requests_per_second: float
    rows_per_second: float
    p50: float | None
    p90: float | None
    p99: float | None


def encode_requests(url: str, rows: Sequence[bytes], rows_per_request: int) -> list[Request]:
    """POSTs of `rows`, JSON objects with an `id`, so many in each; the last few that do not fill one are left out."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    ids = [orjson.loads(row)["id"] for row in rows]
    requests = []
    for start in range(0, len(rows) - rows_per_request + 1, rows_per_request):
        chosen = slice(start, start + rows_per_request)
        body = b'{"%ss":[%s]}' % (ROW.encode(), b",".join(rows[chosen]))
        requests.append(Request(f"{head}{len(body)}\r\n\r\n".encode() + body, ids[chosen]))
    return requests


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def ask(self, message: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send, and give the status and the body to come; ConnectionError where there is no whole answer."""
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return answer

    def close(self) -> None:
        """Hang up; what is on its way fails."""
        self.closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer was whole"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body = bytes(self._body)
        self._body.clear()
        if not self._parser.should_keep_alive():
            self.closed = True
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), body))


@dataclass
class _Tally:
    opens: float
    closes: float
    latencies: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, started: float, reason: str | None) -> None:
        now = time.perf_counter()
        if reason is not None:
            self.reasons[reason] += 1
        elif self.opens <= now <= self.closes:
            self.latencies.append(now - started)


async def measure(url: str, requests: Sequence[Request], plan: Plan) -> Measurement:
    """Load the server at `url` with the requests in turn, all callers together going through them once and again."""
    opens = time.perf_counter() + plan.warm_up
    tally = _Tally(opens, opens + plan.seconds)
    stream = cycle(requests)
    callers = [asyncio.ensure_future(_call(url, stream, tally)) for _ in range(plan.connections)]
    done, late = await asyncio.wait(callers, timeout=plan.warm_up + plan.seconds + plan.grace)
    for caller in late:
        tally.reasons["no answer"] += 1
        caller.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for caller in done:
        caller.result()
    latencies = sorted(tally.latencies)
    rate = len(latencies) / plan.seconds
    rows_per_request = len(requests[0].ids)
    return Measurement(
        plan.connections,
        rows_per_request,
        plan.seconds,
        len(latencies),
        tally.reasons.total(),
        dict(tally.reasons),
        rate,
        rate * rows_per_request,
        *(_milliseconds(latencies, share) for share in (0.5, 0.9, 0.99)),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of the ordered values that at least `share` of them do not exceed (nearest rank); or None."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


def _milliseconds(ordered: Sequence[float], share: float) -> float | None:
    seconds = percentile(ordered, share)
    return None if seconds is None else seconds * 1000


async def _call(url: str, requests: Iterator[Request], tally: _Tally) -> None:
    host, port = urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 80
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    try:
        while time.perf_counter() < tally.closes:
            request = next(requests)
            try:
                if connection is None or connection.closed:
                    _, connection = await loop.create_connection(Connection, host, port)
                started = time.perf_counter()
                status, body = await connection.ask(request.message)
            except OSError:
                tally.add(0.0, "connection")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                tally.add(started, _fault(status, body, request.ids))
    finally:
        if connection is not None:
            connection.close()


def _fault(status: int, body: bytes, ids: list[str]) -> str | None:
    if status != 200:
        return f"status {status}"
    try:
        answers: Any = orjson.loads(body)
        right = [answer["id"] for answer in answers] == ids
        numbers = all(type(answer[TARGET.name]) is float for answer in answers)
    except (ValueError, TypeError, KeyError):
        return "not predictions"
    return None if right and numbers else "wrong predictions"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 however many errors were counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--url", required=True, help="where to POST")
    parser.add_argument("--rows", type=Path, required=True, help="file with a JSON object with an id on each line")
    parser.add_argument("--rows-per-request", type=int, default=1, help="default: 1")
    parser.add_argument("--connections", type=int, default=32, help="default: 32")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, default: 10")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before that, default: 2")
    options = parser.parse_args(arguments)
    requests = encode_requests(options.url, options.rows.read_bytes().splitlines(), options.rows_per_request)
    if not requests:
        parser.error(f"{options.rows} has fewer than {options.rows_per_request} rows")
    plan = Plan(options.connections, options.seconds, options.warm_up)
    print(orjson.dumps(asdict(uvloop.run(measure(options.url, requests, plan)))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
