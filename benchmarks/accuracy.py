"""Whether servers predict equally well, so that their speeds can be compared."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.flights import Sample
from features.problem import PROBLEM

CHUNK = 1_000
ROWS = 5_000


def measure_rmse(name: str, url: str, sample: Sample) -> float:
    """RMSE in minutes of a server's predictions for `ROWS` of the flights, evenly over the test months.

    Raises
    ------
    BenchmarkError
        For a server that fails, or that predicts no better than the offset alone.
    """
    chosen = np.linspace(0, len(sample.rows) - 1, min(ROWS, len(sample.rows))).astype(np.int64)
    rows = [sample.rows[index] for index in chosen.tolist()]
    predicted = [_predict(name, url, rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
    labels = sample.labels[chosen]
    rmse = _rmse(np.concatenate(predicted), labels)
    if rmse >= (baseline := _rmse(sample.offsets[chosen], labels)):
        raise BenchmarkError(
            f"The {name} predicts no better than dep_delay alone: RMSE {rmse:.2f} minutes, where dep_delay has "
            f"{baseline:.2f}. Its speed is not comparable."
        )
    return rmse


def _predict(name: str, url: str, rows: list[bytes]) -> NDArray[np.float64]:
    body = b'{"%s":[%s]}' % (PROBLEM.rows.encode(), b",".join(rows))
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            predictions = json.load(response)
    except urllib.error.HTTPError as error:
        raise BenchmarkError(f"The {name} returned {error.code}: {error.read(500).decode(errors='replace')}") from error
    except OSError as error:
        raise BenchmarkError(f"The {name} cannot be reached: {error}") from error
    return np.array([prediction[PROBLEM.target.name] for prediction in predictions], dtype=np.float64)


def _rmse(predicted: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((predicted - labels) ** 2)))
