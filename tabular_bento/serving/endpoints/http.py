"""The JSON door: POST /predict, POST /feedback, GET /model and GET /docs.json."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tabular_bento.errors import TooLargeError
from tabular_bento.protocol.openapi import complete
from tabular_bento.protocol.requests import ROWS, FeedbackRequest, PredictRequest, rows_of_models
from tabular_bento.serving.endpoints.bodies import answering, json_answer, read_body
from tabular_bento.serving.endpoints.handler import Entrance
from tabular_bento.serving.settings import settings


class HTTPDoor:
    """The endpoints of the JSON door."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.routes = [
            Route("/predict", answering(self.predict), methods=["POST"]),
            Route("/feedback", answering(self.feedback), methods=["POST"]),
            Route("/model", answering(self.model), methods=["GET"]),
            Route("/docs.json", answering(self.docs), methods=["GET"]),
        ]

    async def predict(self, request: Request) -> Response:
        """Validate, wait for the batch, answer."""
        with self._entrance.request("http", lambda: request.headers) as counted:
            body = await read_body(request)
            models: list[Any] = getattr(PredictRequest.__pydantic_validator__.validate_json(body), ROWS)
            return json_answer(200, list(await self._entrance.predict(rows_of_models(models), counted)))

    async def feedback(self, request: Request) -> Response:
        """Validate outcomes and log them."""
        with self._entrance.feedback(lambda: request.headers) as counted:
            outcomes = FeedbackRequest.__pydantic_validator__.validate_json(await read_body(request)).outcomes
            counted.rows = len(outcomes)
            if len(outcomes) > settings.max_rows:
                raise TooLargeError(
                    f"{len(outcomes)} outcomes in one request, of at most {settings.max_rows}: send it in parts."
                )
            return json_answer(200, await self._entrance.application.instance.feedback.local(outcomes))

    async def model(self, _: Request) -> Response:
        """What is served: tag, fingerprints, metrics, when it was trained."""
        return json_answer(200, self._entrance.application.instance.describe())

    async def docs(self, _: Request) -> Response:
        """The OpenAPI description."""
        return json_answer(200, complete(self._entrance.application.openapi()))
