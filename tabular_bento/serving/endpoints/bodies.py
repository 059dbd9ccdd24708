"""Bodies in, answers out, and every error as a status and one sentence: for the doors that speak HTTP."""

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
from tabular_bento.protocol.requests import ErrorAnswer, explain
from tabular_bento.serving.settings import settings
from tabular_bento.serving.status import STATUS, ending, sentence

logger = logging.getLogger("bentoml.doors")

_RETRY_LATER = {"Retry-After": str(OverloadError.retry_after)}

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
            end = ending(error)
            if end == "failed":
                logger.exception("%s %s failed", request.method, request.url.path)
            status, _ = STATUS[end]
            return error_answer(status, sentence(error), _RETRY_LATER if status == 503 else None)

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


def error_answer(status: int, told: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that says what was wrong."""
    return json_answer(status, ErrorAnswer(error=told).model_dump(), headers)
