"""A client of the service that loses nothing silently: every row ends as an answer or as a counted error."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from features.definition import ROW, TARGET
from monitoring.errors import UnreachableError

TRIES = 5
"""How often a request is sent at most: after 503 with Retry-After, or when the connection breaks."""

LONGEST_WAIT = 30.0
"""Seconds that a Retry-After is honoured up to."""

BROKEN = "connection"
"""What a request without an answer counts as, in place of its status."""

_FIRST_WAIT = 0.1
_QUOTED = 200


class _RefusedError(Exception):
    """An answer that is none: its status, or the word for what was wrong, and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class Failures:
    """Rows without a good answer, by status, with the first message."""

    by_status: Counter[str] = field(default_factory=Counter)
    first: str | None = None

    def add(self, rows: int, error: _RefusedError) -> None:
        self.by_status[error.status] += rows
        self.first = self.first or f"{error.status}: {error}"

    @property
    def rows(self) -> int:
        return self.by_status.total()


class Client:
    """Sends rows and outcomes to the server at `url` over kept connections, `concurrency` requests at a time.

    Use it as an asynchronous context. `failures` counts the rows that were not served. A request whose connection
    breaks is sent again: the server may then log its rows twice, and the outcomes go with the answer that arrived.
    """

    def __init__(self, url: str, concurrency: int, timeout: float) -> None:
        self._url = url
        self._gate = asyncio.Semaphore(concurrency)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._http = httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, trust_env=False)
        self.failures = Failures()

    async def __aenter__(self) -> Client:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._http.__aexit__(*error)

    async def check(self) -> None:
        """Raise UnreachableError where nothing listens."""
        try:
            await self._http.get("/livez")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(
                f"No server answers at {self._url} ({error}): start one with `make serve`, or name another with --url."
            ) from error
        except httpx.HTTPError:
            return  # something is there; what is wrong with it will show

    async def predict(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """The answers to n rows, in their order; None where they were not served, which is counted."""
        async with self._gate:
            try:
                content = await self._post("/predict", {f"{ROW}s": rows})
                return _check_answers(content, rows)
            except _RefusedError as error:
                self.failures.add(len(rows), error)
                return None

    async def feedback(self, outcomes: Sequence[dict[str, Any]]) -> int:
        """How many of the outcomes the server took; those that it did not are counted as failures."""
        async with self._gate:
            try:
                content = await self._post("/feedback", {"outcomes": outcomes})
                accepted = content.get("accepted") if isinstance(content, dict) else None
                if accepted != len(outcomes):
                    raise _RefusedError("wrong answer", f"{accepted} of {len(outcomes)} outcomes were accepted")
            except _RefusedError as error:
                self.failures.add(len(outcomes), error)
                return 0
            return len(outcomes)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        content = orjson.dumps(body)
        wait = _FIRST_WAIT
        for left in reversed(range(TRIES)):
            try:
                response = await self._http.post(path, content=content, headers={"content-type": "application/json"})
            except httpx.HTTPError as error:
                if not left:
                    raise _RefusedError(BROKEN, f"{type(error).__name__}: {error}") from error
                await asyncio.sleep(wait)
                wait *= 2
                continue
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in response.headers and left:
                await asyncio.sleep(_seconds(response.headers["retry-after"]))
                continue
            return _content(response)


def _seconds(retry_after: str) -> float:
    """What a Retry-After asks for; a date, which needs both clocks to agree, counts as one second."""
    try:
        return min(max(float(retry_after), 0.0), LONGEST_WAIT)
    except ValueError:
        return 1.0


def _content(response: httpx.Response) -> Any:
    if response.status_code != httpx.codes.OK:
        raise _RefusedError(str(response.status_code), response.text[:_QUOTED])
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise _RefusedError("wrong answer", f"the answer is not JSON ({error})") from error


def _check_answers(content: Any, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(content, list) or len(content) != len(rows):
        length = len(content) if isinstance(content, list) else "no list of"
        raise _RefusedError("wrong answer", f"{length} answers to {len(rows)} rows")
    for place, (answer, row) in enumerate(zip(content, rows, strict=True)):
        if not isinstance(answer, dict) or answer.get("id") != row["id"]:
            raise _RefusedError("wrong answer", f"answer {place} is not to row {row['id']}")
        value = answer.get(TARGET.name)
        if not isinstance(value, int | float) or not math.isfinite(value) or not answer.get("prediction_id"):
            raise _RefusedError("wrong answer", f"answer {place} lacks {TARGET.name} or prediction_id")
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
