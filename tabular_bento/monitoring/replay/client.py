"""A client of the service that loses nothing silently: every row ends as an answer or as a counted error."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from features.definition import TARGET
from tabular_bento.monitoring.replay.config import DoorName
from tabular_bento.monitoring.replay.doors import WRONG, Door, GRPCDoor, HTTPDoor, RefusedError, RESTDoor

TRIES = 5
"""How often a request is sent at most: when the server is overloaded, or the connection breaks."""

_FIRST_WAIT = 0.1

Answer = TypeVar("Answer")


@dataclass
class Failures:
    """Rows without a good answer, by status, with the first message."""

    by_status: Counter[str] = field(default_factory=Counter)
    first: str | None = None

    def add(self, rows: int, error: RefusedError) -> None:
        self.by_status[error.status] += rows
        self.first = self.first or f"{error.status}: {error}"

    @property
    def rows(self) -> int:
        return self.by_status.total()


class Client:
    """Sends rows through `door` and outcomes to POST /feedback through `http`, `concurrency` requests at a time.

    Use it as an asynchronous context, which closes the doors. `failures` counts the rows that were not served. A
    request whose connection breaks is sent again: the server may then log its rows twice, and the outcomes go with the
    answer that arrived.
    """

    def __init__(self, door: Door, http: HTTPDoor, concurrency: int) -> None:
        self._door, self._http = door, http
        self._gate = asyncio.Semaphore(concurrency)
        self.failures = Failures()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: Any) -> None:
        for door in dict.fromkeys((self._http, self._door)):
            await door.close()

    async def check(self) -> None:
        """Raise UnreachableError where nothing listens."""
        for door in dict.fromkeys((self._http, self._door)):
            await door.check()

    async def predict(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """The answers to n rows, in their order; None where they were not served, which is counted."""
        async with self._gate:
            try:
                return _check_answers(await _patiently(lambda: self._door.predict(rows)), rows)
            except RefusedError as error:
                self.failures.add(len(rows), error)
                return None

    async def feedback(self, outcomes: Sequence[dict[str, Any]]) -> int:
        """How many of the outcomes the server took; those that it did not are counted as failures."""
        async with self._gate:
            try:
                content = await _patiently(lambda: self._http.post_json("/feedback", {"outcomes": outcomes}))
                accepted = content.get("accepted") if isinstance(content, dict) else None
                if accepted != len(outcomes):
                    raise RefusedError(WRONG, f"{accepted} of {len(outcomes)} outcomes were accepted")
            except RefusedError as error:
                self.failures.add(len(outcomes), error)
                return 0
            return len(outcomes)


def connect(url: str, door: DoorName, grpc: str, concurrency: int, timeout: float) -> Client:
    """A client of the server at `url` through `door`, `grpc` being HOST:PORT of that for gRPC; in a running loop."""
    kind = RESTDoor if door == "rest" else HTTPDoor
    http = kind(url, concurrency, timeout)
    return Client(GRPCDoor(grpc, concurrency, timeout) if door == "grpc" else http, http, concurrency)


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `ask` gives in the end, tried again where that may help. Raises RefusedError."""
    wait = _FIRST_WAIT
    for left in reversed(range(TRIES)):
        try:
            return await ask()
        except RefusedError as error:
            if not (left and error.again):
                raise
            await asyncio.sleep(wait if error.wait is None else error.wait)
            wait *= 2
    raise AssertionError("the last try neither answered nor failed")


def _check_answers(content: Any, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(content, list) or len(content) != len(rows):
        length = len(content) if isinstance(content, list) else "no list of"
        raise RefusedError(WRONG, f"{length} answers to {len(rows)} rows")
    for place, answer in enumerate(content):
        value = answer.get(TARGET.name)
        if not isinstance(value, int | float) or not math.isfinite(value) or not answer.get("prediction_id"):
            raise RefusedError(WRONG, f"answer {place} lacks {TARGET.name} or prediction_id")
    return content


async def paced(
    sizes: Sequence[int], send: Callable[[int], Awaitable[None]], concurrency: int, rate: float | None
) -> None:
    """Call `send` with 0, 1, ... in order, `concurrency` at a time, so that at most `rate` rows a second start.

    `sizes` holds the rows of each request.
    """
    loop = asyncio.get_running_loop()
    start, sent = loop.time(), 0
    turns = iter(range(len(sizes)))

    async def work() -> None:
        nonlocal sent
        for turn in turns:
            due = start + sent / rate if rate else start
            sent += sizes[turn]
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            await send(turn)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
