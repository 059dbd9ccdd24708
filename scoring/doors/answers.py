"""Bodies in, answers out, and every error as a status and one sentence: for the doors that speak HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from data.errors import LogError
from scoring.errors import OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from scoring.schema import ErrorAnswer, explain
from scoring.settings import settings

logger = logging.getLogger("bentoml.doors")

Endpoint = Callable[[Request], Awaitable[Response]]


def answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with each error that it raises turned into an answer."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ValidationError as error:
            return json_answer(400, explain(error).model_dump())
        except Exception as error:
            status, headers = _status(error)
            if status == 500:
                logger.exception("%s %s failed", request.method, request.url.path)
            return error_answer(status, _sentence(error), headers)

    return answer


async def read_body(request: Request) -> bytes:
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


def json_answer(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """An answer in strict JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that says what was wrong."""
    return json_answer(status, ErrorAnswer(error=sentence).model_dump(), headers)


def _status(error: Exception) -> tuple[int, dict[str, str] | None]:
    match error:
        case TooLargeError():
            return 413, None
        case UnknownModelError():
            return 404, None
        case RequestError() | ClientDisconnect():
            return 400, None
        case OverloadError():
            return 503, {"Retry-After": str(error.retry_after)}
        case TimeoutError():
            return 504, None
        case LogError():
            return 503, {"Retry-After": str(OverloadError.retry_after)}
        case _:
            return 500, None


def _sentence(error: Exception) -> str:
    match error:
        case LogError():
            return f"It could not be logged, so it is not answered: {error}"
        case ScoringError():
            return str(error)
        case TimeoutError():
            return f"Not answered in {settings.timeout_seconds:g} seconds."
        case _:
            return "The request failed; the log of the server tells why."
