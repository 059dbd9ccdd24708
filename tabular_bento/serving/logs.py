"""What a server says on standard output: as BentoML does, or a line of JSON each, with the ids of requests."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

import orjson

from tabular_bento.serving.metrics import CountedRequest
from tabular_bento.serving.settings import settings
from tabular_bento.serving.status import FAULTS, STATUS
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


def configure_logs() -> None:
    """Give every handler that BentoML has set up the format of the settings."""
    if settings.log_format != "json":
        return
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JSONFormatter())


def tells(outcome: str) -> bool:
    """Whether a request that ended so has a line."""
    return settings.log_requests == "all" or (settings.log_requests == "failed" and outcome in FAULTS)


def tell(door: str, counted: CountedRequest) -> None:
    """The line of a request that has ended."""
    fields: dict[str, Any] = {
        "door": door,
        "status": STATUS[counted.outcome][door == "grpc"],
        "ms": round((time.perf_counter() - counted.start) * 1e3, 3),
        "trace_id": trace_id(counted),
    } | described(counted)
    fields = {name: value for name, value in fields.items() if value is not None}
    level = logging.WARNING if counted.outcome in FAULTS else logging.INFO
    words = " ".join(f"{name}={value}" for name, value in fields.items())
    REQUESTS.log(level, "request" if settings.log_format == "json" else words, extra={"fields": fields})


def new_request_id() -> str:
    """An id for a request whose caller gave none."""
    return os.urandom(8).hex()
