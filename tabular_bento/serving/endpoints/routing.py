"""The endpoints over HTTP as one router."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Router

from tabular_bento.serving.endpoints.bodies import error_response
from tabular_bento.serving.endpoints.handler import RequestHandler
from tabular_bento.serving.endpoints.http import JSONEndpoints
from tabular_bento.serving.endpoints.rest import RESTEndpoints

DRAINING = "The server is draining."


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
