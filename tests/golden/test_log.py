"""The log spells values as it did before the split, within the lines' new lists, and reads them back the same."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.problem import PROBLEM
from tabular_bento.features.columns import ColumnRows, columns_of
from tabular_bento.protocol.values import held
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABELS, PREDICTIONS, feature_column, input_column, output_column
from tabular_bento.traffic.sealing import seal

GOLDEN = Path(__file__).parent / "log"
TARGET = PROBLEM.target.name


class Package:
    tag = "flights:golden"


def lines(path: Path) -> list[dict[str, Any]]:
    """Decoded lines, in which numbers are as they are spelt."""
    return [json.loads(line, parse_float=str, parse_int=str) for line in path.read_text().strip("\n").split("\n")]


def record(directory: Path, as_columns: bool) -> list[str]:
    """Log the golden rows, in calls of one row, of a few and of many, and the golden labels; gives the rows' ids."""
    golden = [json.loads(line) for line in (GOLDEN / "predictions.jsonl").read_text().strip("\n").split("\n")]
    log = TrafficLog(directory, PROBLEM.declaration, 1 << 30, 3600)
    ids: list[str] = []
    for start, end in ((0, 1), (1, 6), (6, len(golden))):
        part = golden[start:end]
        rows: Any = [tuple(held(field.kind, line[field.name]) for field in PROBLEM.fields) for line in part]
        if as_columns:
            rows = ColumnRows(columns_of(rows, PROBLEM.fields), PROBLEM.field_names)
        features = np.array([line["features"] for line in part], dtype=np.float32)
        batch = log.record(rows, Package(), features, {TARGET: np.array([line[TARGET] for line in part])})
        ids += batch.column("prediction_id")
    labels = [json.loads(line) for line in (GOLDEN / "outcomes.jsonl").read_text().strip("\n").split("\n")]
    log.record_labels([(line["prediction_id"], line[TARGET]) for line in labels])
    log.close()
    return ids


@pytest.mark.parametrize("as_columns", [False, True])
def test_values_are_spelt_as_before(tmp_path: Path, as_columns: bool) -> None:
    record(tmp_path, as_columns)
    (path,) = (tmp_path / PREDICTIONS).glob("*.jsonl")
    for line, golden in zip(lines(path), lines(GOLDEN / "predictions.jsonl"), strict=True):
        assert line["inputs"] == [golden[name] for name in PROBLEM.field_names]
        assert line["features"] == golden["features"]
        assert line["outputs"] == [golden[TARGET]]
        assert line["model"] == golden["model"]
    (path,) = (tmp_path / LABELS).glob("*.jsonl")
    for line, golden in zip(lines(path), lines(GOLDEN / "outcomes.jsonl"), strict=True):
        assert (line["prediction_id"], line["label"]) == (golden["prediction_id"], golden[TARGET])


@pytest.mark.parametrize("sealed", [False, True])
def test_readers_get_the_values_of_before(tmp_path: Path, sealed: bool) -> None:
    ids = record(tmp_path, as_columns=False)
    if sealed:
        seal(tmp_path / PREDICTIONS)
    golden = json.loads(gzip.decompress((GOLDEN / "predictions.columns.json.gz").read_bytes()))
    names = {name: input_column(name) for name in PROBLEM.field_names}
    names |= {f"feature_{name}": feature_column(name) for name in PROBLEM.feature_names}
    names[TARGET] = output_column(TARGET)
    table = EventLog(tmp_path / PREDICTIONS).read()
    read = {one: row for row, one in enumerate(table["prediction_id"].to_pylist())}
    table = table.take([read[one] for one in ids])
    for before, now in names.items():
        column = table[now]
        if before.startswith("sched_"):
            column = column.cast("int64")
        assert column.to_pylist() == golden[before], now
