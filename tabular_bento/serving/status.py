"""How a request may end: in the metrics, over HTTP, over gRPC, and in one message for its caller."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from tabular_bento.errors import LogError, OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from tabular_bento.protocol.requests import explain

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
"""The status over HTTP and the code over gRPC, by the outcome of a request."""

FAULTS = ("failed", "timeout", "unlogged")
"""The outcomes that are the server's fault: what ErrorRate of deploy/observability/rules.yaml counts."""


def outcome_of(error: BaseException) -> str:
    """The outcome of a request that raised `error`: a key of `STATUS`."""
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
    """The text for the caller; of an error that nobody foresaw, where its cause is reported."""
    match error:
        case ValidationError():
            return explain(error).error
        case LogError():
            return f"It could not be logged, so it is not answered: {error}"
        case ScoringError():
            return str(error)
        case TimeoutError():
            return f"Not answered in {timeout_seconds:g} seconds."
        case _:
            return "The request failed; the log of the server tells why."
