"""Traffic logs of real flights, as the server would have written them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from features.problem import PROBLEM
from tabular_bento.data.columns import columns_of_table
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features.columns import rows_of
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, WindowData
from tabular_bento.monitoring.window.scan import ExecutionOptions, read_window
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.schema import PREDICTIONS, LogColumn, prediction_columns
from tabular_bento.traffic.writer import LogWriter
from tests.lines import Line, fold, unfold
from training.source import Flights

JANUARY, JULY, AUGUST = date(2013, 1, 1), date(2013, 7, 1), date(2013, 8, 1)

COLUMNS = prediction_columns(PROBLEM.declaration)
"""What the log of predictions holds."""

SETTINGS = DriftSettings()


class Tagged:
    """The tag of a model."""

    def __init__(self, tag: str) -> None:
        self.tag = tag


def drawn(flights: Flights, start: date, end: date, count: int, seed: int = 0) -> pa.Table:
    """`count` flights of the window, in order of time."""
    table = flights.between(start, end)
    return table.take(np.sort(np.random.default_rng(seed).choice(table.num_rows, count, replace=False)))


def record(
    directory: Path, package: ModelPackage, table: pa.Table, tag: str | None = None, **altered: Any
) -> list[dict[str, Any]]:
    """Predict and log flights as one process does, and give the predictions; `altered` columns take other values."""
    columns = columns_of_table(table, [item for item in PROBLEM.fields if item.name in table.column_names])
    columns |= {"id": np.full(table.num_rows, None), **altered}
    rows = rows_of(columns, PROBLEM.field_names)
    found = package.predict(rows)
    log = TrafficLog(directory, PROBLEM.declaration, 1 << 30, 3600.0)
    batch = list(log.record(rows, Tagged(tag or package.tag), found.features, found.outputs))
    log.close()
    return batch


def post(directory: Path, labels: Sequence[tuple[str, float]]) -> None:
    """Log labels as one process does."""
    log = TrafficLog(directory, PROBLEM.declaration, 1 << 30, 3600.0)
    log.record_labels(labels)
    log.close()


def labels_of(table: pa.Table, predictions: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """The labels of the flights that arrived."""
    pairs = zip(predictions, table[PROBLEM.target.name].to_pylist(), strict=True)
    return [(prediction["prediction_id"], label) for prediction, label in pairs if label is not None]


def rewrite(directory: Path, alter: Callable[[Line], Line], columns: Sequence[LogColumn] = COLUMNS) -> None:
    """Write the log of predictions again with every line altered, under these columns alone."""
    folder = directory / PREDICTIONS
    lines = [
        unfold(orjson.loads(line), COLUMNS)
        for path in folder.glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    for path in folder.rglob("*.json*"):
        path.unlink()
    with LogWriter(folder, columns) as writer:
        altered = (fold(alter(line), columns) for line in lines)
        writer.append(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in altered))


def append(directory: Path, content: bytes) -> None:
    """Write bytes at the end of a log file of predictions, past its writer."""
    with next((directory / PREDICTIONS).glob("*.jsonl")).open("ab") as file:
        file.write(content)


def year(directory: Path) -> Query:
    """All the flights of 2013."""
    return Query(directory, datetime(2013, 1, 1), datetime(2014, 1, 1), "sched_dep")


def read(query: Query, reference: Reference, options: ExecutionOptions | None = None) -> WindowData:
    """What the pass finds with the settings of these tests."""
    return read_window(query, reference, options, sample=SETTINGS.sample, seed=SETTINGS.seed)
