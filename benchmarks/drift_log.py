"""A traffic log of any size: real flights, predicted by the stored model, again and again under new ids and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from features.columns import rows_of
from features.definition import EVENT_TIME, FIELDS, TARGET

from benchmarks.errors import BenchmarkError
from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import DataError, ScoringError
from tabular_bento.evaluation.reference.package import stored_model
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import OUTCOME_SCHEMA, OUTCOMES, PREDICTION_SCHEMA, PREDICTIONS, TrafficLog
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.writer import FINGERPRINT_CHARS, encode_schema, schema_fingerprint
from training.source import load_flights, month_range

FIRST, DAYS = date(2013, 7, 1), 31
"""The days that predictions are dated."""

START, END = (datetime.combine(day, datetime.min.time()) for day in (FIRST, FIRST + timedelta(DAYS)))

BASE_ROWS = 20_000
FILE_ROWS = 250_000
HAVE_OUTCOMES = 0.9
JITTER_SECONDS = 1_800

_ROW_GROUP_ROWS = 128 * 1024
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = (8, 13, 18, 23)


def real_rows(folder: Path, tag: str) -> pa.Table:
    """Some of July's flights as the server logs them, with what came true as `outcome`, NaN where they never arrived.

    Raises BenchmarkError where there is no such model or no flights.
    """
    try:
        model = stored_model(tag)
        package = ModelPackage.load(Path(model.path), str(model.tag))
        july = load_flights().between(*month_range(f"{FIRST:%Y-%m}", f"{FIRST:%Y-%m}"))
    except (ScoringError, DataError) as error:
        raise BenchmarkError(str(error)) from error
    chosen = np.linspace(0, july.num_rows - 1, min(BASE_ROWS, july.num_rows)).astype(np.int64)
    table = july.take(pa.array(chosen))
    columns = columns_of_table(table, [field for field in FIELDS if field.name in table.column_names])
    rows = rows_of(columns | {"id": np.full(table.num_rows, None)})
    log = TrafficLog(folder, 1 << 30, 3_600.0)
    answers = log.record(rows, package.predictor.predict(rows), package.tag)
    log.close()
    ids = pa.table({"prediction_id": [answer["prediction_id"] for answer in answers], "outcome": table[TARGET.name]})
    return EventLog(folder / PREDICTIONS).read().join(ids, "prediction_id")


def write_log(folder: Path, base: pa.Table, rows: int, seed: int = 20130101) -> None:
    """A sealed log of `rows` predictions drawn from `base`, and outcomes of most, in files of a day; it streams."""
    rng = np.random.default_rng(seed)
    for stream, schema in ((PREDICTIONS, PREDICTION_SCHEMA), (OUTCOMES, OUTCOME_SCHEMA)):
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
            "prediction_id": ids,
            "time": pa.array(time).cast(pa.timestamp("us", "UTC")),
            EVENT_TIME: pa.array(event).cast(pa.timestamp("s")),
        }
        names = [field.name for field in PREDICTION_SCHEMA]
        _write(folder / PREDICTIONS, day, number, pa.table({name: changed.get(name, drawn[name]) for name in names}))
        came = (rng.random(count) < HAVE_OUTCOMES) & drawn["outcome"].is_valid().to_numpy()
        received = pa.array(time + rng.integers(3_600, 6 * 3_600, count) * 1_000_000).cast(pa.timestamp("us", "UTC"))
        outcomes = pa.table({"prediction_id": ids, "time": received, TARGET.name: drawn["outcome"]})
        _write(folder / OUTCOMES, day, number, outcomes.filter(pa.array(came)))


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
