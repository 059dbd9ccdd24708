"""The traffic log as the server writes it: every prediction before it is answered, every outcome as it comes."""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from features.columns import plain
from features.definition import FIELD_NAMES, FIELDS, TARGET
from features.fingerprint import declaration_fingerprint
from features.functions import FEATURES
from features.values import Row
from tabular_bento.protocol.predictions import Answers
from tabular_bento.protocol.rows import ColumnRows
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.predictor import Predictions
from tabular_bento.traffic.writer import SegmentWriter

PREDICTIONS = "predictions"
OUTCOMES = "outcomes"
SHADOW = "shadow"
FEATURE_PREFIX = "feature_"
_FEATURES = "features"

PREDICTION_SCHEMA: tuple[Field, ...] = (
    Field("prediction_id", Kind.TEXT, "UUIDv7 made by the server"),
    Field("time", Kind.INSTANT, "When it was predicted"),
    Field("model", Kind.TEXT, "Tag of the model"),
    Field("declaration", Kind.TEXT, "Fingerprint of the declaration"),
    *FIELDS,
    *(
        Field(FEATURE_PREFIX + item.name, Kind.NUMBER, item.description, item.unit, optional=True, within=_FEATURES)
        for item in FEATURES
    ),
    Field(TARGET.name, Kind.NUMBER, "What was predicted", TARGET.unit),
)
"""A line of the predictions' log."""

OUTCOME_SCHEMA: tuple[Field, ...] = (
    Field("prediction_id", Kind.TEXT, "The prediction that this is the outcome of"),
    Field("time", Kind.INSTANT, "When the outcome was received"),
    Field(TARGET.name, Kind.NUMBER, "What came true", TARGET.unit),
)
"""A line of the outcomes' log."""

SHADOW_SCHEMA: tuple[Field, ...] = (
    Field("prediction_id", Kind.TEXT, "The prediction of the model in service for the same row"),
    Field("time", Kind.INSTANT, "When that was predicted"),
    Field("model", Kind.TEXT, "Tag of the candidate"),
    Field(TARGET.name, Kind.NUMBER, "What the candidate predicts", TARGET.unit),
)
"""A line of the shadow's log: what a candidate predicts for a row that another model answered."""

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
FEW_ROWS = 12
"""Times of up to this many rows are written in plain Python, which is faster than NumPy's fixed cost."""

_NAMES = dict.fromkeys(field.within or field.name for field in PREDICTION_SCHEMA)
_Line = msgspec.defstruct("_Line", [(name, Any) for name in _NAMES], gc=False)
_ENCODER = msgspec.json.Encoder()
_TIMES = tuple(index for index, field in enumerate(FIELDS) if field.kind is Kind.LOCAL_TIME)
_NUMBERS = tuple(index for index, field in enumerate(FIELDS) if field.kind is Kind.NUMBER)
_ID = FIELD_NAMES.index("id")


class TrafficLog:
    """The two streams of one process under `directory`. Thread-safe.

    A line is handed to the operating system before the method returns, so that a killed process loses nothing that
    was answered; a power failure may. `on_recorded` is told of predictions that are in the log.
    """

    def __init__(self, directory: Path, roll_bytes: int, roll_seconds: float) -> None:
        self._predictions = SegmentWriter(directory / PREDICTIONS, PREDICTION_SCHEMA, roll_bytes, roll_seconds)
        self._outcomes = SegmentWriter(directory / OUTCOMES, OUTCOME_SCHEMA, roll_bytes, roll_seconds)
        self.streams = {PREDICTIONS: self._predictions, OUTCOMES: self._outcomes}
        self.on_recorded: Callable[[Predictions], None] = lambda _: None
        self._declaration = declaration_fingerprint()

    def record(self, rows: Sequence[Row], predictions: Predictions, model: str) -> Answers:
        """Log n predictions of the model of that tag in one write and give the answers.

        Raises LogError where the log cannot be written.
        """
        count = len(rows)
        ids, targets = prediction_ids(count), predictions.target.tolist()
        fields = _fields_of(rows)
        same = ((value,) * count for value in (_now(), model, self._declaration))
        lines = list(map(_Line, ids, *same, *fields, _lists(predictions.features), targets))
        self._predictions.append(_ENCODER.encode_lines(lines), count)
        self.on_recorded(predictions)
        return Answers(ids, fields[_ID], targets, model)

    def record_outcomes(self, outcomes: Sequence[tuple[str, float]]) -> int:
        """Log what came true of predictions, by their ids, in one write, and give their number."""
        moment = _now()
        lines = [
            orjson.dumps(
                {"prediction_id": prediction_id, "time": moment, TARGET.name: value}, option=orjson.OPT_APPEND_NEWLINE
            )
            for prediction_id, value in outcomes
        ]
        if lines:
            self._outcomes.append(b"".join(lines), len(lines))
        return len(lines)

    def close(self) -> None:
        self._predictions.close()
        self._outcomes.close()


def rows_of_lines(lines: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows that lines of the predictions' log were written for: the inverse of what `record` does to them."""
    rows = []
    for line in lines:
        row = [line[name] for name in FIELD_NAMES]
        for index in _TIMES:
            row[index] = (datetime.fromisoformat(row[index]) - _EPOCH) // _SECOND
        for index in _NUMBERS:
            row[index] = math.nan if row[index] is None else float(row[index])
        rows.append(tuple(row))
    return rows


def prediction_ids(count: int) -> list[str]:
    """`count` new UUIDs of version 7 (RFC 9562): the time in milliseconds, random bits, and a counter within them."""
    stamp, noise = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10).hex()
    variant = "89ab"[int(noise[0], 16) & 3]
    head = f"{stamp[:8]}-{stamp[8:]}-7{noise[1:4]}-{variant}{noise[4:7]}-{noise[7:11]}"
    first = int(noise[11:19], 16) >> 1
    numbers = struct.pack(f">{count}I", *range(first, first + count)).hex(",", 4)
    return (head + numbers.replace(",", "," + head)).split(",") if count else []


def _fields_of(rows: Sequence[Row]) -> list[Sequence[Any]]:
    """The values of each field, in the order of the declaration, times as datetimes."""
    if isinstance(rows, ColumnRows):
        fields = [rows.columns[name] for name in FIELD_NAMES]
    else:
        fields = list(zip(*rows, strict=True)) if rows else [()] * len(FIELD_NAMES)
    for index in _TIMES:
        fields[index] = _local_times(fields[index])
    return [plain(values) for values in fields]


def _lists(features: NDArray[np.float32]) -> Iterator[msgspec.Raw]:
    """Each row of features as a JSON list, to the bit, missing ones null."""
    encoded = orjson.dumps(np.ascontiguousarray(features, np.float64), option=orjson.OPT_SERIALIZE_NUMPY)
    end = 0
    for _ in range(len(features)):
        start = end + 1
        end = encoded.index(b"]", start) + 1
        yield msgspec.Raw(encoded[start:end])


def _local_times(seconds: Sequence[int] | NDArray[np.int64]) -> Sequence[datetime]:
    if len(seconds) <= FEW_ROWS:
        return [_EPOCH + timedelta(seconds=int(value)) for value in seconds]
    times: list[datetime] = np.asarray(seconds, dtype="datetime64[s]").tolist()
    return times


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
