"""The JSON door: POST /predict, POST /feedback and GET /model.

It stands before BentoML's own handlers as ASGI middleware. Those would give the same predictions, but answer errors in
three shapes with a traceback in the log for each, and take several times as long for one row.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from data.errors import LogError
from scoring.batching import AdaptiveBatcher
from scoring.bento import Application, Submit
from scoring.doors.openapi import describe
from scoring.errors import OverloadError, ScoringError
from scoring.schema import ROWS, ErrorAnswer, FeedbackRequest, PredictRequest, explain, rows_of_models
from scoring.settings import settings


class HTTPDoor:
    """ASGI middleware: answers the routes above, and hands everything else on to BentoML."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._application: Application
        self._submit: Submit
        self._router = Router(
            [
                Route("/predict", self.predict, methods=["POST"]),
                Route("/feedback", self.feedback, methods=["POST"]),
                Route("/model", self.model, methods=["GET"]),
                Route("/docs.json", self.docs, methods=["GET"]),
            ],
            redirect_slashes=False,
            default=app,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            batcher = AdaptiveBatcher(settings.max_batch_rows, settings.max_queue_rows)
            self._application = Application(scope["app"])
            self._submit = self._application.install_batcher("predict", batcher)
        await (self._router if scope["type"] == "http" else self._app)(scope, receive, send)

    async def predict(self, request: Request) -> Response:
        """Validate, wait for the batch, answer."""
        body = await _body(request)
        if isinstance(body, Response):
            return body
        try:
            models: list[Any] = getattr(PredictRequest.__pydantic_validator__.validate_json(body), ROWS)
        except ValidationError as error:
            return _answer(400, explain(error))
        if len(models) > settings.max_rows:
            return _too_large(f"{len(models)} rows in one request, of at most {settings.max_rows}")
        if not models:
            return _json(200, [])
        try:
            return _json(200, await self._submit(rows_of_models(models)))
        except OverloadError as error:
            return _answer(503, ErrorAnswer(error=str(error)), {"Retry-After": str(error.retry_after)})
        except LogError as error:
            return _answer(503, ErrorAnswer(error=f"The prediction could not be logged: {error}"))
        except ScoringError as error:
            return _answer(500, ErrorAnswer(error=str(error)))

    async def feedback(self, request: Request) -> Response:
        """Validate outcomes and log them."""
        body = await _body(request)
        if isinstance(body, Response):
            return body
        try:
            outcomes = FeedbackRequest.__pydantic_validator__.validate_json(body).outcomes
        except ValidationError as error:
            return _answer(400, explain(error))
        if len(outcomes) > settings.max_rows:
            return _too_large(f"{len(outcomes)} outcomes in one request, of at most {settings.max_rows}")
        try:
            return _json(200, await self._application.instance.feedback.local(outcomes))
        except LogError as error:
            return _answer(503, ErrorAnswer(error=f"The outcomes could not be logged: {error}"))

    async def model(self, _: Request) -> Response:
        """What is served: tag, fingerprints, metrics, when it was trained."""
        return _json(200, self._application.instance.describe())

    async def docs(self, _: Request) -> Response:
        """The OpenAPI description."""
        return _json(200, describe(self._application.openapi()))


async def _body(request: Request) -> bytes | Response:
    limit = settings.max_body_mb << 20
    too_large = _too_large(f"The body is larger than {settings.max_body_mb} MiB")
    if int(request.headers.get("content-length", 0)) > limit:
        return too_large
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > limit:
            return too_large
    return bytes(chunks)


def _too_large(what: str) -> Response:
    return _answer(413, ErrorAnswer(error=f"{what}: send it in parts."))


def _answer(status: int, model: BaseModel, headers: dict[str, str] | None = None) -> Response:
    return _json(status, model.model_dump(), headers)


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")
