"""Traffic logs of real flights, as the server would have written them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from features.columns import rows_of
from features.definition import FIELDS, TARGET
from tabular_bento.data.columns import columns_of_table
from tabular_bento.monitoring.window.data import Query
from tabular_bento.schema import Field
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import PREDICTION_SCHEMA, PREDICTIONS, TrafficLog
from tabular_bento.traffic.writer import SegmentWriter
from tests.lines import Line, fold, unfold
from training.source import Flights

JANUARY, JULY, AUGUST = date(2013, 1, 1), date(2013, 7, 1), date(2013, 8, 1)


def drawn(flights: Flights, start: date, end: date, count: int, seed: int = 0) -> pa.Table:
    """`count` flights of the window, in order of time."""
    table = flights.between(start, end)
    return table.take(np.sort(np.random.default_rng(seed).choice(table.num_rows, count, replace=False)))


def record(
    directory: Path, package: ModelPackage, table: pa.Table, tag: str | None = None, **altered: Any
) -> list[dict[str, Any]]:
    """Predict and log flights as one process does, and give the answers; `altered` columns take other values."""
    columns = columns_of_table(table, [field for field in FIELDS if field.name in table.column_names])
    columns |= {"id": np.full(table.num_rows, None), **altered}
    rows = rows_of(columns)
    log = TrafficLog(directory, 1 << 30, 3600.0)
    answers = log.record(rows, package.predictor.predict(rows), tag or package.tag)
    log.close()
    return answers


def post(directory: Path, outcomes: Sequence[tuple[str, float]]) -> None:
    """Log outcomes as one process does."""
    log = TrafficLog(directory, 1 << 30, 3600.0)
    log.record_outcomes(outcomes)
    log.close()


def outcomes_of(table: pa.Table, answers: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """What came true of the flights that arrived."""
    pairs = zip(answers, table[TARGET.name].to_pylist(), strict=True)
    return [(answer["prediction_id"], outcome) for answer, outcome in pairs if outcome is not None]


def rewrite(directory: Path, alter: Callable[[Line], Line], schema: Sequence[Field] = PREDICTION_SCHEMA) -> None:
    """Write the log of predictions again with every line altered, under `schema` alone."""
    folder = directory / PREDICTIONS
    lines = [unfold(orjson.loads(line)) for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    for path in folder.rglob("*.json*"):
        path.unlink()
    with SegmentWriter(folder, schema) as writer:
        altered = (fold(alter(line), schema) for line in lines)
        writer.append(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in altered))


def append(directory: Path, content: bytes) -> None:
    """Write bytes at the end of a segment of predictions, past its writer."""
    with next((directory / PREDICTIONS).glob("*.jsonl")).open("ab") as file:
        file.write(content)


def year(directory: Path) -> Query:
    """All the flights of 2013."""
    return Query(directory, datetime(2013, 1, 1), datetime(2014, 1, 1), "sched_dep")
