"""What the doors have in common: one way into the batches, one set of limits, one count, one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from features.values import Row
from tabular_bento.errors import TooLargeError
from tabular_bento.protocol.predictions import Answers
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.bento import Application
from tabular_bento.serving.logs import new_request_id, tell, tells
from tabular_bento.serving.metrics import CountedRequest, DoorMetrics
from tabular_bento.serving.sampling import Sampler
from tabular_bento.serving.settings import settings
from tabular_bento.serving.status import ending
from tabular_bento.serving.tracing import start_tracing

REQUEST_ID = "x-request-id"
"""The header, and the metadata of gRPC, by which a caller names a request for traces and logs."""

MAX_ID = 128

FEEDBACK = "feedback"
"""What a request that brings outcomes is called in traces and logs, in the place of its door."""

Headers = Callable[[], Mapping[str, str]]


class Entrance:
    """The way from a door to the predictions of the running service."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.draining = False
        self._metrics = DoorMetrics()
        self._batcher = application.batcher_of(
            "predict", settings.max_batch_rows, settings.max_queue_rows, self._metrics.batch_rows.observe
        )
        self.tracing = start_tracing()
        if self.tracing is not None:
            self._batcher.trace = self.tracing.batch
        self.sampler = Sampler(application, self._batcher, self._metrics.in_flight, lambda: not self.draining)

    @property
    def package(self) -> ModelPackage:
        """The model package that is served."""
        package: ModelPackage = self.application.instance.package
        return package

    def predict(self, rows: Sequence[Row], counted: CountedRequest) -> asyncio.Future[Answers]:
        """Answers to validated rows, to come once they are logged. Cancelled, they are not computed.

        Raises TooLargeError or OverloadError at once; the answers raise LogError, PredictionError, or TimeoutError
        where they do not come within `settings.timeout_seconds` of the request.
        """
        counted.rows = len(rows)
        check_size(len(rows))
        loop = asyncio.get_running_loop()
        if not rows:
            none: asyncio.Future[Answers] = loop.create_future()
            none.set_result(Answers((), (), (), ""))
            return none
        answers = self._batcher.enqueue(rows, counted.span)
        left = settings.timeout_seconds - (time.perf_counter() - counted.start)
        expiry = loop.call_later(max(left, 0.0), _expire, answers)
        answers.add_done_callback(lambda _: expiry.cancel())
        if counted.request_id:
            answers.add_done_callback(partial(_note_ids, counted))
        return answers

    def request(self, door: str, headers: Headers) -> AbstractContextManager[CountedRequest]:
        """Count a request through `door`, and how it ended; `headers` are asked for where it is traced or told of."""
        return self._observed(door, headers, self._metrics.begin(door), partial(self._metrics.end, door))

    def feedback(self, headers: Headers) -> AbstractContextManager[CountedRequest]:
        """Count a request that brings outcomes, as `request` does."""
        return self._observed(FEEDBACK, headers, CountedRequest(start=time.perf_counter()), self._metrics.end_feedback)

    @contextmanager
    def _observed(
        self, what: str, headers: Headers, counted: CountedRequest, end: Callable[[CountedRequest], None]
    ) -> Iterator[CountedRequest]:
        error: BaseException | None = None
        try:
            if self.tracing is not None or settings.log_requests == "all":
                counted.request_id = _request_id(headers())
            if self.tracing is not None:
                counted.span = self.tracing.begin(what, headers())
            yield counted
            counted.outcome = "answered"
        except BaseException as raised:
            counted.outcome, error = ending(raised), raised
            raise
        finally:
            end(counted)
            if self.tracing is not None:
                self.tracing.end(counted, error)
            if tells(counted.outcome):
                counted.request_id = counted.request_id or _request_id(headers())
                tell(what, counted)


def _expire(answers: asyncio.Future[Any]) -> None:
    if not answers.done():
        answers.set_exception(TimeoutError())


def _request_id(headers: Mapping[str, str]) -> str:
    return headers.get(REQUEST_ID, "")[:MAX_ID] or new_request_id()


def _note_ids(counted: CountedRequest, answers: asyncio.Future[Answers]) -> None:
    if not answers.cancelled() and answers.exception() is None:
        counted.first_id = answers.result().column("prediction_id")[0]


def check_size(rows: int) -> None:
    """Raise TooLargeError for more rows than one request may have."""
    if rows > settings.max_rows:
        raise TooLargeError(f"{rows} rows in one request, of at most {settings.max_rows}: send it in parts.")
