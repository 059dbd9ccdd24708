"""The flights that both models were trained on, and those that both servers are asked about."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from features.definition import FIELD_NAMES, TARGET
from tabular_bento.errors import DataError
from tabular_bento.training.config import Months, TrainingConfig, load_config
from training.source import load_flights, month_range

ASKED = 20_000
"""Flights in the file of rows: enough that no cache along the way sees the same one often."""


@dataclass(frozen=True)
class Asked:
    """n different flights of the test months: rows as JSON, and their outcomes in minutes, float64 of shape [n]."""

    rows: list[bytes]
    outcomes: NDArray[np.float64]
    known: NDArray[np.float64]

    def write(self, path: Path) -> None:
        """Write a row a line, for the load generator."""
        path.write_bytes(b"\n".join(self.rows) + b"\n")


def prepare(folder: Path, classic_python: Path) -> tuple[Asked, Path]:
    """The flights to ask about, and the file of the classic Pipeline, trained now in the environment of its own.

    It is trained on the months and with the parameters of `training/config.toml`. Raises BenchmarkError where the
    source cannot be read or training fails.
    """
    config = load_config()
    train = _finished(config, config.split.train)
    return load_asked(), _train_classic(folder, classic_python, config, train)


def load_asked() -> Asked:
    """The flights to ask about. Raises BenchmarkError where the source cannot be read."""
    config = load_config()
    return asked_flights(_finished(config, config.split.test))


def asked_flights(table: pa.Table, count: int = ASKED) -> Asked:
    """At most `count` flights, evenly over the table of finished flights, as rows with the position for an id."""
    chosen = np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64)
    table = table.take(pa.array(chosen))
    names = [name for name in FIELD_NAMES if name != "id"]
    rows = [_row(values, str(index)) for index, values in enumerate(table.select(names).to_pylist())]
    return Asked(rows, table[TARGET.name].to_numpy(), table["dep_delay"].to_numpy())


def _row(values: dict[str, Any], name: str) -> bytes:
    return orjson.dumps({**values, "id": name})


def _finished(config: TrainingConfig, months: Months) -> pa.Table:
    try:
        flights = load_flights(config.source)
    except DataError as error:
        raise BenchmarkError(str(error)) from error
    table = flights.between(*month_range(*months))
    return table.filter(pc.is_valid(table[TARGET.name]))


def _train_classic(folder: Path, python: Path, config: TrainingConfig, table: pa.Table) -> Path:
    data, model = folder / "train.parquet", folder / "classic.joblib"
    pq.write_table(table.select([*(name for name in FIELD_NAMES if name != "id"), TARGET.name]), data)
    parameters = config.xgboost.model_dump()
    parameters |= {"n_estimators": parameters.pop("rounds"), "random_state": config.seed, "tree_method": "hist"}
    command = [python, "-m", "benchmarks.classic.train", "--flights", data, "--out", model]
    result = subprocess.run(
        [*map(str, command), "--parameters", json.dumps(parameters)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BenchmarkError(f"The classic scaffold could not be trained: {result.stderr.strip()[-500:]}")
    return model
