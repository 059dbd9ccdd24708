"""A traffic log of any size: real flights, predicted by the stored model, again and again under new ids and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.errors import BenchmarkError
from features.problem import PROBLEM
from tabular_bento.errors import DataError, ScoringError
from tabular_bento.features import ColumnRows
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import LocatedModel
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import (
    LABEL,
    LABELS,
    PREDICTION_ID,
    PREDICTIONS,
    TIME,
    input_column,
    label_columns,
    prediction_columns,
)
from tabular_bento.traffic.writer import FINGERPRINT_CHARS, encode_schema, schema_fingerprint
from training.source import SOURCE

EVENT_TIME = input_column(str(PROBLEM.event_time))
FIRST, DAYS = date(2013, 7, 1), 31
"""The days that predictions are dated."""

START, END = (datetime.combine(day, datetime.min.time()) for day in (FIRST, FIRST + timedelta(DAYS)))

BASE_ROWS = 20_000
FILE_ROWS = 250_000
HAVE_LABELS = 0.9
JITTER_SECONDS = 1_800

_ROW_GROUP_ROWS = 128 * 1024
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = (8, 13, 18, 23)


def real_rows(folder: Path, model: LocatedModel) -> pa.Table:
    """Some of July's flights as the server logs them, with their labels as `label`, null where they never arrived.

    Raises
    ------
    BenchmarkError
        Where the model cannot be loaded or there are no flights.
    """
    try:
        package = ModelPackage.load(model.directory, model.tag, PROBLEM)
        july = SOURCE.load().between(FIRST, FIRST + timedelta(DAYS))
    except (ScoringError, DataError) as error:
        raise BenchmarkError(str(error)) from error
    chosen = np.linspace(0, len(july) - 1, min(BASE_ROWS, len(july))).astype(np.int64)
    drawn = july.where(chosen)
    rows = ColumnRows(drawn.columns, PROBLEM.field_names)
    log = TrafficLog(folder, PROBLEM.declaration, 1 << 30, 3_600.0)
    predicted = package.predict(rows)
    batch = log.record(rows, package, predicted.features, predicted.outputs)
    log.close()
    labels = pa.array(drawn.target, from_pandas=True)
    ids = pa.table({PREDICTION_ID: list(batch.column(PREDICTION_ID)), LABEL: labels})
    return EventLog(folder / PREDICTIONS).read().join(ids, PREDICTION_ID)


def write_log(folder: Path, base: pa.Table, rows: int, seed: int = 20130101) -> None:
    """A sealed log of `rows` predictions drawn from `base`, and labels of most, in files of a day; it streams."""
    rng = np.random.default_rng(seed)
    schemas = {PREDICTIONS: prediction_columns(PROBLEM.declaration), LABELS: label_columns(PROBLEM.declaration)}
    for stream, schema in schemas.items():
        (folder / stream / "schemas").mkdir(parents=True)
        name = f"{schema_fingerprint(schema)[:FINGERPRINT_CHARS]}.json"
        (folder / stream / "schemas" / name).write_bytes(encode_schema(schema))
    for number, (day, count) in enumerate(_files(rows)):
        drawn = base.take(pa.array(rng.integers(base.num_rows, size=count)))
        ids = _ids(rng, count)
        begin = int(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1e6)
        time = np.sort(rng.integers(begin, begin + 86_400_000_000, count))
        shift = rng.integers(-JITTER_SECONDS, JITTER_SECONDS, count)
        event = drawn[EVENT_TIME].cast(pa.int64()).to_numpy() + shift
        changed = {
            PREDICTION_ID: ids,
            TIME.name: pa.array(time).cast(pa.timestamp("us", "UTC")),
            EVENT_TIME: pa.array(event).cast(pa.timestamp("s")),
        }
        names = [column.name for column in schemas[PREDICTIONS]]
        _write(folder / PREDICTIONS, day, number, pa.table({name: changed.get(name, drawn[name]) for name in names}))
        known = (rng.random(count) < HAVE_LABELS) & drawn[LABEL].is_valid().to_numpy()
        received = pa.array(time + rng.integers(3_600, 6 * 3_600, count) * 1_000_000).cast(pa.timestamp("us", "UTC"))
        labels = pa.table({PREDICTION_ID: ids, TIME.name: received, LABEL: drawn[LABEL]})
        _write(folder / LABELS, day, number, labels.filter(pa.array(known)))


def _files(rows: int) -> Iterator[tuple[date, int]]:
    """The day and the rows of each file: all days alike, in files of at most FILE_ROWS."""
    for place in range(DAYS):
        left = rows * (place + 1) // DAYS - rows * place // DAYS
        while left:
            yield FIRST + timedelta(place), min(left, FILE_ROWS)
            left -= min(left, FILE_ROWS)


def _ids(rng: np.random.Generator, count: int) -> pa.Array:
    """`count` UUIDs of version 7, but for their times."""
    digits = _HEX[rng.integers(16, size=(count, 36), dtype=np.uint8)]
    digits[:, _DASHES] = ord("-")
    digits[:, 14] = ord("7")
    offsets = np.arange(0, 36 * (count + 1), 36, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


def _write(stream: Path, day: date, number: int, table: pa.Table) -> None:
    (schema,) = (stream / "schemas").iterdir()
    path = stream / f"date={day.isoformat()}" / f"bench-{number:06d}.{schema.stem}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
