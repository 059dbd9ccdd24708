"""python -m benchmarks.load: a closed loop of callers on kept connections, and what they measured, as JSON.

Each caller sends its next request after the response to the last one. A response counts only if it holds a prediction
that is a number for every row of the request; everything else is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

import orjson
import uvloop

from benchmarks.callers import Caller, FaultError, GRPCCaller, GRPCStreamCaller, HTTPCaller, read_json, read_rest
from benchmarks.requests import Request, encode_requests

CALLERS: dict[str, Callable[[str], Caller]] = {
    "json": partial(HTTPCaller, read=read_json),
    "rest": partial(HTTPCaller, read=read_rest),
    "rest-binary": partial(HTTPCaller, read=read_rest),
    "grpc": GRPCCaller,
    "grpc-stream": GRPCStreamCaller,
}
"""A caller of the server at a URL, by protocol; gRPC's URL is HOST:PORT."""

GRACE_SECONDS = 30.0
"""How long a response may take after the end of the measurement before it is an error."""

RETRY_SECONDS = 0.05
"""Wait after a connection failed."""


@dataclass(frozen=True)
class Plan:
    """How to load: so many connections, one a caller, for `seconds` after `warm_up` seconds that are not measured."""

    connections: int
    seconds: float
    warm_up: float = 0.0
    grace: float = GRACE_SECONDS


@dataclass(frozen=True)
class Measurement:
    """What the callers measured. Latencies are in milliseconds, None where no request succeeded.

    `requests` are those with a right response within the measured `seconds`. `errors` are those that failed at any
    time, counted by reason in `reasons`. `load_busy` is the share of a core that the callers took: near 1, they were
    the limit.
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
    load_busy: float


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


async def measure(url: str, requests: Sequence[Request], plan: Plan, protocol: str = "json") -> Measurement:
    """Load the server at `url` with the requests in turn, all callers together going through them once and again."""
    started, busy = time.perf_counter(), time.process_time()
    tally = _Tally(started + plan.warm_up, started + plan.warm_up + plan.seconds)
    stream = cycle(requests)
    callers = [asyncio.ensure_future(_call(CALLERS[protocol](url), stream, tally)) for _ in range(plan.connections)]
    done, late = await asyncio.wait(callers, timeout=plan.warm_up + plan.seconds + plan.grace)
    for caller in late:
        tally.reasons["no response"] += 1
        caller.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for caller in done:
        caller.result()
    latencies = sorted(tally.latencies)
    rate = len(latencies) / plan.seconds
    rows_per_request = len(requests[0].rows)
    return Measurement(
        plan.connections,
        rows_per_request,
        plan.seconds,
        len(latencies),
        tally.reasons.total(),
        dict(tally.reasons),
        rate,
        rate * rows_per_request,
        _milliseconds(latencies, 0.5),
        _milliseconds(latencies, 0.9),
        _milliseconds(latencies, 0.99),
        (time.process_time() - busy) / (time.perf_counter() - started),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of the ordered values that at least `share` of them do not exceed (nearest rank); or None."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


def _milliseconds(ordered: Sequence[float], share: float) -> float | None:
    seconds = percentile(ordered, share)
    return None if seconds is None else seconds * 1000


async def _call(caller: Caller, requests: Iterator[Request], tally: _Tally) -> None:
    try:
        while time.perf_counter() < tally.closes:
            request = next(requests)
            try:
                await caller.connect()
                started = time.perf_counter()
                await caller.send(request)
            except FaultError as fault:
                tally.add(0.0, str(fault))
            except OSError:
                tally.add(0.0, "connection")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                tally.add(started, None)
    finally:
        await caller.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 however many errors were counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--url", required=True, help="where to POST, or HOST:PORT of a gRPC server")
    parser.add_argument("--protocol", choices=tuple(CALLERS), default="json", help="default: json")
    parser.add_argument("--rows", type=Path, required=True, help="file with a JSON object with an id on each line")
    parser.add_argument("--rows-per-request", type=int, default=1, help="default: 1")
    parser.add_argument("--connections", type=int, default=32, help="default: 32")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, default: 10")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before that, default: 2")
    options = parser.parse_args(arguments)
    rows = options.rows.read_bytes().splitlines()
    requests = encode_requests(options.url, rows, options.rows_per_request, options.protocol)
    if not requests:
        parser.error(f"{options.rows} has fewer than {options.rows_per_request} rows")
    plan = Plan(options.connections, options.seconds, options.warm_up)
    print(orjson.dumps(asdict(uvloop.run(measure(options.url, requests, plan, options.protocol)))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
