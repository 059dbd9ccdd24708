"""Bodies in, responses out, and every error as a status and one message: for the endpoints over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from tabular_bento.errors import OverloadError, TooLargeError
from tabular_bento.protocol.requests import ErrorResponse, explain
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.status import CODES, status_of

logger = logging.getLogger("bentoml.endpoints")

_RETRY_LATER = {"Retry-After": str(OverloadError.retry_after)}

DRAINING = "The server is draining."

Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(endpoint: Endpoint, message: Callable[[Exception], str]) -> Endpoint:
    """The endpoint, with each error that it raises turned into a response; `message` gives its text."""

    @wraps(endpoint)
    async def respond(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ValidationError as error:
            return json_response(400, explain(error).model_dump())
        except Exception as error:
            status = status_of(error)
            if status == "failed":
                logger.exception("%s %s failed", request.method, request.url.path)
            code, _ = CODES[status]
            return error_response(code, message(error), _RETRY_LATER if code == 503 else None)

    return respond


async def read_body(request: Request, settings: ServingSettings) -> bytes:
    """The body of a request.

    Raises TooLargeError past `settings.max_body_mb`, and TimeoutError where it takes longer than
    `settings.timeout_seconds` to come.
    """
    limit = settings.max_body_mb << 20
    chunks = bytearray()
    async with asyncio.timeout(settings.timeout_seconds):
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > limit:
                raise TooLargeError(f"The body is larger than {settings.max_body_mb} MiB: send it in parts.")
    return bytes(chunks)


def json_response(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """A response in strict JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """A response that says what was wrong."""
    return json_response(status, ErrorResponse(error=message).model_dump(), headers)
