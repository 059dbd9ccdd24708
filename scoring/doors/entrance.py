"""What the doors have in common: one way into the batches, one set of limits, one count, one end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from features.values import Row
from scoring.bento import Application
from scoring.errors import OverloadError, RequestError, TooLargeError, UnknownModelError
from scoring.metrics import CountedRequest, DoorMetrics
from scoring.package import ModelPackage
from scoring.settings import settings


class Entrance:
    """The way from a door to the predictions of the running service."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.draining = False
        self._metrics = DoorMetrics()
        self._batcher = application.batcher_of(
            "predict", settings.max_batch_rows, settings.max_queue_rows, self._metrics.batch_rows.observe
        )

    @property
    def package(self) -> ModelPackage:
        """The model package that is served."""
        package: ModelPackage = self.application.instance.package
        return package

    async def predict(self, rows: Sequence[Row], counted: CountedRequest) -> Sequence[dict[str, Any]]:
        """Answers to validated rows, logged. Raises TooLargeError, OverloadError, LogError or PredictionError."""
        return await self.enqueue(rows, counted)

    def enqueue(self, rows: Sequence[Row], counted: CountedRequest) -> asyncio.Future[Sequence[dict[str, Any]]]:
        """Those answers, to come. Raises TooLargeError or OverloadError at once."""
        counted.rows = len(rows)
        check_size(len(rows))
        if rows:
            return self._batcher.enqueue(rows)
        none: asyncio.Future[Sequence[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        none.set_result([])
        return none

    @contextmanager
    def request(self, door: str) -> Iterator[CountedRequest]:
        """Count a request through `door`, and how it ended."""
        with self._metrics.request(door) as counted:
            try:
                yield counted
            except BaseException as error:
                counted.outcome = _outcome(error)
                raise
            counted.outcome = "answered"


def check_size(rows: int) -> None:
    """Raise TooLargeError for more rows than one request may have."""
    if rows > settings.max_rows:
        raise TooLargeError(f"{rows} rows in one request, of at most {settings.max_rows}: send it in parts.")


def _outcome(error: BaseException) -> str:
    match error:
        case TooLargeError():
            return "too_large"
        case UnknownModelError():
            return "unknown_model"
        case ValidationError() | RequestError():
            return "invalid"
        case OverloadError():
            return "overload"
        case TimeoutError():
            return "timeout"
        case ClientDisconnect():
            return "cancelled"
        case Exception():
            return "failed"
        case _:
            return "cancelled"
