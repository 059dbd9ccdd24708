"""A small stream to write, read and seal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tabular_bento.schema import Kind
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.writer import LogWriter

SCHEMA = (
    LogColumn("prediction_id", Kind.TEXT, "Id"),
    LogColumn("time", Kind.INSTANT, "When"),
    LogColumn("opened", Kind.LOCAL_TIME, "When it was opened", optional=True),
    LogColumn("number", Kind.INTEGER, "Number", optional=True),
    LogColumn("amount", Kind.NUMBER, "Amount", "EUR", optional=True),
)

START = datetime(2013, 7, 1, 22, tzinfo=UTC)


def row(index: int, **values: Any) -> dict[str, Any]:
    """One row a minute from 22:00 UTC on 1 July 2013, four hours ahead of the clock of its place."""
    moment = START + timedelta(minutes=index)
    local = (moment - timedelta(hours=4)).replace(tzinfo=None)
    return {
        "prediction_id": f"id-{index}",
        "time": moment.isoformat().replace("+00:00", "Z"),
        "opened": local.isoformat(),
        "number": index,
        "amount": index / 2,
        **values,
    }


def encode(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in rows)


def write(directory: Path, indices: Iterable[int], schema: tuple[LogColumn, ...] = SCHEMA) -> None:
    """One ended log file with these rows."""
    with LogWriter(directory, schema) as writer:
        writer.append(encode(row(index) for index in indices))


def write_raw(directory: Path, content: bytes) -> Path:
    """One ended log file with exactly these bytes."""
    with LogWriter(directory, SCHEMA) as writer:
        writer.append(b"\n")
        path = log_files(directory)[-1]
    path.write_bytes(content)
    return path


def log_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"), key=lambda path: path.name)


def ids(directory: Path, counts: ScanCounts | None = None) -> list[str]:
    """The ids of all rows, sorted; a doubled row shows twice."""
    found: list[str] = EventLog(directory).read(columns=["prediction_id"], counts=counts)["prediction_id"].to_pylist()
    return sorted(found)


def expected(indices: Iterable[int]) -> list[str]:
    return sorted(f"id-{index}" for index in indices)


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Another Python that runs `code`, with its standard output piped."""
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE)
