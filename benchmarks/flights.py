"""The flights that the models are trained on, and those that the servers are sent."""

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
from features.problem import PROBLEM
from tabular_bento.data.splits import PartName, month_range
from tabular_bento.errors import DataError
from tabular_bento.scoring.runners import runner_class
from tabular_bento.training import TrainingConfig, load_config
from training.source import DEFAULT_URI, load_flights

CONFIG = Path(__file__).parent.parent / "training" / "config.toml"

SAMPLE_ROWS = 20_000
"""Flights that are sent: enough that no cache along the way sees the same one often."""

IDENTIFIER = str(PROBLEM.identifier)
OFFSET = str(PROBLEM.declaration.offset)
NAMES = [name for name in PROBLEM.field_names if name != IDENTIFIER]


@dataclass(frozen=True)
class Sample:
    """n different flights of the test months.

    Parameters
    ----------
    rows : list of bytes
        JSON objects with an id each.
    labels : ndarray of shape [n]
        Arrival delays, in minutes.
    offsets : ndarray of shape [n]
        Departure delays, in minutes.
    """

    rows: list[bytes]
    labels: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def write(self, path: Path) -> None:
        """Write a row a line, for the load generator."""
        path.write_bytes(b"\n".join(self.rows) + b"\n")


def prepare(folder: Path, classic_python: Path) -> tuple[Sample, Path]:
    """The flights to send, and the file of the classic Pipeline, trained now in an environment of its own.

    It is trained on the months and with the parameters of `training/config.toml`.

    Raises
    ------
    BenchmarkError
        Where the source cannot be read or training fails.
    """
    config = load_config(CONFIG, problem=PROBLEM)
    return load_sample(), _train_classic(folder, classic_python, config, part(config, "train"))


def load_sample() -> Sample:
    """The flights to send. Raises BenchmarkError where the source cannot be read."""
    return sample_of(part(load_config(CONFIG, problem=PROBLEM), "test"))


def sample_of(table: pa.Table, count: int = SAMPLE_ROWS) -> Sample:
    """At most `count` flights, evenly over a table of labelled flights, with their positions as ids."""
    chosen = np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64)
    table = table.take(pa.array(chosen))
    rows = [_row(values, str(index)) for index, values in enumerate(table.select(NAMES).to_pylist())]
    return Sample(rows, table[PROBLEM.target.name].to_numpy(), table[OFFSET].to_numpy())


def part(config: TrainingConfig, name: PartName) -> pa.Table:
    """The labelled flights of a part of the split. Raises BenchmarkError where the source cannot be read."""
    months = getattr(config.split, name)
    try:
        flights = load_flights(config.source or DEFAULT_URI)
    except DataError as error:
        raise BenchmarkError(str(error)) from error
    table = flights.between(*month_range(*months))
    return table.filter(pc.is_valid(table[PROBLEM.target.name]))


def _row(values: dict[str, Any], name: str) -> bytes:
    return orjson.dumps({**values, IDENTIFIER: name})


def _train_classic(folder: Path, python: Path, config: TrainingConfig, table: pa.Table) -> Path:
    data, model = folder / "train.parquet", folder / "classic.joblib"
    pq.write_table(table.select([*NAMES, PROBLEM.target.name]), data)
    given = config.parameters.get("xgboost", {})
    parameters = runner_class("xgboost").Parameters.model_validate(given).model_dump()
    parameters |= {"n_estimators": parameters.pop("rounds"), "random_state": config.seed, "tree_method": "hist"}
    command = [python, "-m", "benchmarks.classic.train", "--flights", data, "--out", model]
    result = subprocess.run(
        [*map(str, command), "--parameters", json.dumps(parameters)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BenchmarkError(f"The classic scaffold could not be trained: {result.stderr.strip()[-500:]}")
    return model
