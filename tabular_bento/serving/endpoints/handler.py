"""What all endpoints have in common: one queue, one set of limits, one count, one way to end a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from tabular_bento.features.columns import Row
from tabular_bento.problem import Problem
from tabular_bento.protocol.layout import TensorSchema
from tabular_bento.protocol.predictions import PREDICTION_ID, PredictionBatch
from tabular_bento.protocol.requests import RequestSchema, check_size
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.batching import AdaptiveBatcher
from tabular_bento.serving.explaining import Explainer
from tabular_bento.serving.logs import RequestLog, new_request_id
from tabular_bento.serving.metrics import CountedRequest, Metrics, RequestMetrics
from tabular_bento.serving.sampling import Sampler
from tabular_bento.serving.service import PredictionService
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.status import message_of, status_of
from tabular_bento.serving.tracing import row_traces, start_tracing
from tabular_bento.traffic.explanations import ExplanationLog

REQUEST_ID = "x-request-id"
"""The header, and the metadata of gRPC, by which a caller names a request for traces and logs."""

MAX_ID = 128

FEEDBACK = "feedback"
"""What a request that brings labels is called in traces and logs, in the place of its endpoint."""

Headers = Callable[[], Mapping[str, str]]


class RequestHandler:
    """The way from an endpoint to the predictions of the running service.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    settings : ServingSettings
        Limits and times.
    batcher : callable
        Makes the batcher, given what observes the rows of each batch.
    metrics : Metrics
        Where the metrics are made.
    requests : RequestSchema, optional
        The request models, where they are there already.
    bento : str, optional
        Tag of the bento that is served.
    """

    def __init__(
        self,
        problem: Problem,
        settings: ServingSettings,
        batcher: Callable[[Callable[[float], None]], AdaptiveBatcher],
        metrics: Metrics,
        requests: RequestSchema | None = None,
        bento: str | None = None,
    ) -> None:
        self.problem = problem
        self.settings = settings
        self.metrics = metrics
        self.requests = requests or RequestSchema(problem.declaration)
        self.tensors = TensorSchema(problem.declaration, settings.max_rows, self.requests)
        self.draining = False
        self.tracing = start_tracing(problem.name)
        self.sampler: Sampler | None = None
        self.service: PredictionService
        self._explainer = Explainer(lambda: self.package, settings.explain_max_rows, settings.explain_log_share)
        self._log = RequestLog(settings)
        self._bento = bento
        self._counts = RequestMetrics(metrics)
        self._batcher = batcher(self._counts.batch_rows.observe)
        if self.tracing is not None:
            self._batcher.trace = self.tracing.batch

    def start(self, service: PredictionService) -> None:
        """Begin to take requests for `service`, once the event loop runs."""
        self.service = service
        settings = self.settings
        if settings.explain_log_share:
            roll = (settings.traffic_roll_mb << 20, settings.traffic_roll_seconds)
            self._explainer.log = ExplanationLog(service.log.directory, self.problem.declaration, *roll)
        if self.tracing is not None:
            service.log.traces = row_traces
        self.sampler = Sampler(
            service,
            self.problem.declaration,
            self.settings,
            self.metrics,
            self._batcher,
            self._counts.in_progress,
            lambda: not self.draining,
            self._bento,
        )
        self.sampler.start()

    async def stop(self) -> None:
        """Count what is not counted yet, and send what traces are left."""
        self._explainer.stop()
        if self.sampler is not None:
            self.sampler.stop()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.stop)

    @property
    def package(self) -> ModelPackage:
        """The model package that serves now."""
        return self.service.model.current

    def predict(self, rows: Sequence[Row], counted: CountedRequest) -> asyncio.Future[PredictionBatch]:
        """Predictions of validated rows, to come once they are logged. Cancelled, they are not computed.

        Raises TooLargeError or OverloadError at once; the predictions raise LogError, PredictionError, or TimeoutError
        where they do not come within `settings.timeout_seconds` of the request.
        """
        counted.rows = len(rows)
        check_size(len(rows), self.settings.max_rows)
        loop = asyncio.get_running_loop()
        if not rows:
            none: asyncio.Future[PredictionBatch] = loop.create_future()
            none.set_result(PredictionBatch.empty(self.problem.declaration))
            return none
        predictions = self._batcher.enqueue(rows, counted.span)
        left = self.settings.timeout_seconds - (time.perf_counter() - counted.start)
        expiry = loop.call_later(max(left, 0.0), _expire, predictions)
        predictions.add_done_callback(lambda _: expiry.cancel())
        if counted.request_id:
            predictions.add_done_callback(partial(_note_ids, counted))
        return predictions

    def explain(self, rows: Sequence[Row], counted: CountedRequest) -> asyncio.Future[PredictionBatch]:
        """Predictions of validated rows with explanations, to come; otherwise as `predict`.

        Raises RequestError where the runner has no explanations.
        """
        counted.rows = len(rows)
        self._explainer.check(len(rows))
        predictions = self.predict(rows, counted)
        left = self.settings.timeout_seconds - (time.perf_counter() - counted.start)
        return self._explainer.begin(rows, predictions, max(left, 0.0))

    def message(self, error: Exception) -> str:
        """The text of an error for its caller."""
        return message_of(error, self.settings.timeout_seconds)

    def request(self, endpoint: str, headers: Headers) -> AbstractContextManager[CountedRequest]:
        """Count a request to `endpoint` with its status; `headers` are asked for where it is traced or logged."""
        return self._observed(endpoint, headers, self._counts.begin(endpoint), partial(self._counts.end, endpoint))

    def feedback(self, headers: Headers) -> AbstractContextManager[CountedRequest]:
        """Count a request that brings labels, as `request` does."""
        return self._observed(FEEDBACK, headers, CountedRequest(start=time.perf_counter()), self._counts.end_feedback)

    @contextmanager
    def _observed(
        self, what: str, headers: Headers, counted: CountedRequest, end: Callable[[CountedRequest], None]
    ) -> Iterator[CountedRequest]:
        error: BaseException | None = None
        try:
            if self.tracing is not None or self._log.all:
                counted.request_id = _request_id(headers())
            if self.tracing is not None:
                counted.span = self.tracing.begin(what, headers())
            yield counted
            counted.status = "ok"
        except BaseException as raised:
            counted.status, error = status_of(raised), raised
            raise
        finally:
            end(counted)
            if self.tracing is not None:
                self.tracing.end(counted, error)
            if self._log.wants(counted.status):
                counted.request_id = counted.request_id or _request_id(headers())
                self._log.write(what, counted)


def _expire(predictions: asyncio.Future[Any]) -> None:
    if not predictions.done():
        predictions.set_exception(TimeoutError())


def _request_id(headers: Mapping[str, str]) -> str:
    return headers.get(REQUEST_ID, "")[:MAX_ID] or new_request_id()


def _note_ids(counted: CountedRequest, predictions: asyncio.Future[PredictionBatch]) -> None:
    if not predictions.cancelled() and predictions.exception() is None:
        counted.first_id = predictions.result().column(PREDICTION_ID)[0]
