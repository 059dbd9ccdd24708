"""The endpoints over HTTP: POST /predict, POST /feedback, GET /model and GET /docs.json, and the router of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from tabular_bento.errors import TooLargeError
from tabular_bento.protocol.openapi import openapi
from tabular_bento.serving.endpoints.bodies import error_response, guarded, json_response, read_body
from tabular_bento.serving.endpoints.handler import RequestHandler
from tabular_bento.serving.endpoints.rest import RESTEndpoints


class JSONEndpoints:
    """The endpoints of JSON over HTTP.

    Parameters
    ----------
    handler : RequestHandler
        The way to the predictions.
    document : callable
        Gives the server's own OpenAPI description, which is completed.
    """

    def __init__(self, handler: RequestHandler, document: Callable[[], dict[str, Any]]) -> None:
        self._handler = handler
        self._settings = handler.settings
        self._parse = handler.requests.parse_request
        self._document = document
        self.routes = [
            Route(path, guarded(endpoint, handler.message), methods=[method])
            for method, path, endpoint in (
                ("POST", "/predict", self.predict),
                ("POST", "/feedback", self.feedback),
                ("GET", "/model", self.model),
                ("GET", "/docs.json", self.docs),
            )
        ]

    async def predict(self, request: Request) -> Response:
        """Validate, wait for the batch, respond."""
        with self._handler.request("http", lambda: request.headers) as counted:
            rows, explained = self._parse(await read_body(request, self._settings))
            predict = self._handler.explain if explained else self._handler.predict
            batch = await predict(rows, counted)
            return Response(batch.json(), 200, None, "application/json")

    async def feedback(self, request: Request) -> Response:
        """Validate labels and log them."""
        with self._handler.feedback(lambda: request.headers) as counted:
            labels = self._handler.requests.parse_feedback(await read_body(request, self._settings))
            counted.rows, limit = len(labels), self._settings.max_rows
            if len(labels) > limit:
                raise TooLargeError(f"{len(labels)} labels in one request, of at most {limit}: send it in parts.")
            return json_response(200, {"accepted": self._handler.service.log.record_labels(labels)})

    async def model(self, _: Request) -> Response:
        """What is served: declaration, tag, fingerprints, metrics, when it was trained."""
        return json_response(200, self._handler.service.model.describe())

    async def docs(self, _: Request) -> Response:
        """The OpenAPI description."""
        return json_response(200, openapi(self._document(), self._handler.requests, self._handler.problem))


def router_of(handler: RequestHandler, document: Callable[[], dict[str, Any]], other: Any) -> Router:
    """The endpoints over HTTP; what is none of them goes on to `other`."""

    async def default(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        app = error_response(404, f"{path[:200]} is not served here.") if path.startswith("/v2/") else other
        await app(scope, receive, send)

    routes = [*JSONEndpoints(handler, document).routes, *RESTEndpoints(handler).routes]
    return Router(routes, redirect_slashes=False, default=default)


async def route(router: Router, scope: Any, receive: Any, send: Any) -> None:
    """Have the router respond; a wrong method has the shape of every error."""
    try:
        await router(scope, receive, send)
    except HTTPException as error:
        await error_response(error.status_code, f"{error.detail}.")(scope, receive, send)
