"""The log on standard output: as BentoML writes it, or a line of JSON each, with the ids of requests."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

import orjson

from tabular_bento.serving.metrics import CountedRequest
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.status import CODES, FAULTS
from tabular_bento.serving.tracing import described, trace_id

REQUESTS = logging.getLogger("bentoml.requests")

_LOGGERS = ("", "bentoml", "uvicorn.error", "circus")
_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_OF_BENTOML = {"levelname_bracketed", "component", "trace_msg", "request_id", "service_name"}
"""What BentoML's filter puts into each record; its ids are wrong inside a batch."""


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, process, what `extra` gave, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= record.__dict__.get("fields", {})
        line |= {
            name: value
            for name, value in record.__dict__.items()
            if name not in _STANDARD and name not in _OF_BENTOML and name != "fields"
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logs(log_format: str) -> None:
    """Give every handler that BentoML has set up the format of the settings."""
    if log_format != "json":
        return
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JSONFormatter())


class RequestLog:
    """The lines of requests that have ended.

    Parameters
    ----------
    settings : ServingSettings
        `log_requests` says which requests have a line, `log_format` how it looks.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self.all = settings.log_requests == "all"
        self._faults = settings.log_requests == "failed"
        self._plain = settings.log_format != "json"

    def wants(self, status: str) -> bool:
        """Whether a request of that status has a line."""
        return self.all or (self._faults and status in FAULTS)

    def write(self, endpoint: str, counted: CountedRequest) -> None:
        """The line of a request."""
        fields: dict[str, Any] = {
            "endpoint": endpoint,
            "code": CODES[counted.status][endpoint == "grpc"],
            "ms": round((time.perf_counter() - counted.start) * 1e3, 3),
            "trace_id": trace_id(counted),
        } | described(counted)
        fields = {name: value for name, value in fields.items() if value is not None}
        level = logging.WARNING if counted.status in FAULTS else logging.INFO
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        REQUESTS.log(level, words if self._plain else "request", extra={"fields": fields})


def new_request_id() -> str:
    """An id for a request whose caller gave none."""
    return os.urandom(8).hex()
