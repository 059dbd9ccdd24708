"""How a request may end: in the figures, over HTTP, over gRPC, and in one sentence for its caller."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from tabular_bento.errors import LogError, OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from tabular_bento.protocol.requests import explain
from tabular_bento.serving.settings import settings

STATUS = {
    "answered": (200, "OK"),
    "invalid": (400, "INVALID_ARGUMENT"),
    "too_large": (413, "RESOURCE_EXHAUSTED"),
    "unknown_model": (404, "NOT_FOUND"),
    "overload": (503, "RESOURCE_EXHAUSTED"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "cancelled": (499, "CANCELLED"),
    "unlogged": (503, "UNAVAILABLE"),
    "failed": (500, "INTERNAL"),
}
"""The status over HTTP and the code over gRPC, by how a request ended."""

FAULTS = ("failed", "timeout", "unlogged")
"""The ends that are the server's fault: what ErrorRate of deploy/observability/rules.yaml counts."""


def ending(error: BaseException) -> str:
    """How a request ended that raised `error`: a key of `STATUS`."""
    match error:
        case TooLargeError():
            return "too_large"
        case UnknownModelError():
            return "unknown_model"
        case ValidationError() | RequestError():
            return "invalid"
        case OverloadError():
            return "overload"
        case LogError():
            return "unlogged"
        case TimeoutError():
            return "timeout"
        case ClientDisconnect():
            return "cancelled"
        case Exception():
            return "failed"
        case _:
            return "cancelled"


def sentence(error: Exception) -> str:
    """What the caller is told of `error`; of one that nobody foresaw, where it is told."""
    match error:
        case ValidationError():
            return explain(error).error
        case LogError():
            return f"It could not be logged, so it is not answered: {error}"
        case ScoringError():
            return str(error)
        case TimeoutError():
            return f"Not answered in {settings.timeout_seconds:g} seconds."
        case _:
            return "The request failed; the log of the server tells why."
