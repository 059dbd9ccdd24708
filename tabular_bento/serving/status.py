"""The status of a request: in metrics, logs and traces, over HTTP, over gRPC, and in one message for its caller."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from tabular_bento.errors import LogError, OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from tabular_bento.protocol.requests import explain

CODES = {
    "ok": (200, "OK"),
    "invalid": (400, "INVALID_ARGUMENT"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "unknown_model": (404, "NOT_FOUND"),
    "overload": (503, "RESOURCE_EXHAUSTED"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "cancelled": (499, "CANCELLED"),
    "unlogged": (503, "UNAVAILABLE"),
    "failed": (500, "INTERNAL"),
}
"""The codes of HTTP and of gRPC, by the status of a request. RESOURCE_EXHAUSTED asks a caller to try again, which is
no use to a request that is too large."""

FAULTS = ("failed", "timeout", "unlogged")
"""Statuses that are the server's fault: what ErrorRate of deploy/observability/rules.yaml counts."""


def status_of(error: BaseException) -> str:
    """The status of a request that raised `error`: a key of `CODES`."""
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


def message_of(error: Exception, timeout_seconds: float) -> str:
    """The text for the caller; of an unforeseen error, where its reason is logged."""
    match error:
        case ValidationError():
            return explain(error).error
        case LogError():
            return f"The request could not be logged, so nothing is returned: {error}"
        case ScoringError():
            return str(error)
        case TimeoutError():
            return f"No response within {timeout_seconds:g} seconds."
        case _:
            return "The request failed; the server's log has the reason."
