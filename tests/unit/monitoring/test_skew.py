"""Skew of problems with several outputs, of every kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tabular_bento.monitoring.skew import Tally, check
from tabular_bento.monitoring.window.data import Query
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.scoring.predictor import Predictions
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import ScanCounts
from tabular_bento.traffic.schema import OUTPUTS, PREDICTIONS
from tests.unit.several import EXAMPLE, RENTS, SPARSE, outputs

COUNT = 20


class Tagged:
    tag = "rents:1"


class Recomputed:
    """Predicts what was logged."""

    def predict_columns(self, columns: Any) -> Predictions:
        return Predictions(features(len(columns["area"])), outputs(len(columns["area"])))


def features(count: int) -> Any:
    return np.ones((count, len(RENTS.feature_names)), dtype=np.float32)


def checked(directory: Path, alter: Callable[[list[Any]], None] | None = None) -> Tally:
    log = TrafficLog(directory, RENTS.declaration, 1 << 30, 3600.0)
    rows = [RequestSchema(RENTS.declaration).row_of(EXAMPLE if place % 2 else SPARSE) for place in range(COUNT)]
    log.record(rows, Tagged(), features(COUNT), outputs(COUNT))
    log.close()
    if alter is not None:
        (path,) = (directory / PREDICTIONS).glob("*.jsonl")
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        alter(lines[3][OUTPUTS])
        path.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    tally = Tally(RENTS.declaration)
    query = Query(directory, datetime(1900, 1, 1), datetime(2200, 1, 1), "built")
    recomputed: Any = Recomputed()
    check(query, Tagged.tag, recomputed, tally, ScanCounts())
    return tally


def test_all_outputs_come_out_to_the_bit(tmp_path: Path) -> None:
    tally = checked(tmp_path)
    assert (tally.checked, tally.differing) == (COUNT, 0)


ALTERED: list[tuple[str, Any]] = [
    ("rent", lambda value: float(np.nextafter(value, 9e9))),
    ("rent_upper", lambda value: float(np.nextafter(value, 9e9))),
    ("probability.no", lambda value: float(np.nextafter(value, 9e9))),
    ("probability.yes, at once", lambda value: float(np.nextafter(value, 9e9))),
    ("rooms", lambda value: value + 1),
    ("let", lambda value: not value),
    ("city_name", lambda _: "Bonn"),
    ("until", lambda _: "1971-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("name", "change"), ALTERED, ids=[name for name, _ in ALTERED])
def test_each_column_of_the_outputs_is_compared(tmp_path: Path, name: str, change: Callable[[Any], Any]) -> None:
    place = [column for output in RENTS.outputs for column in output.columns].index(name)

    def alter(values: list[Any]) -> None:
        values[place] = change(values[place])

    tally = checked(tmp_path, alter)
    assert (tally.checked, tally.differing) == (COUNT, 1)
    (example,) = tally.examples
    assert example.column == name
    if name == "city_name":
        assert (example.logged, example.recomputed) == ("Bonn", "Köln")
