"""Whether both servers answer the same question equally well, so that their speed is that of like and like."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.flights import Asked
from features.definition import ROW, TARGET

CHUNK = 1_000
ROWS = 5_000


def measure_rmse(name: str, url: str, asked: Asked) -> float:
    """RMSE in minutes of a server's answers for `ROWS` of the flights, evenly over the test months.

    Raises BenchmarkError for a server that fails, or predicts no better than "arrives as late as it left".
    """
    chosen = np.linspace(0, len(asked.rows) - 1, min(ROWS, len(asked.rows))).astype(np.int64)
    rows = [asked.rows[index] for index in chosen.tolist()]
    answers = [_predict(name, url, rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
    outcomes = asked.outcomes[chosen]
    rmse = _rmse(np.concatenate(answers), outcomes)
    if rmse >= (baseline := _rmse(asked.known[chosen], outcomes)):
        raise BenchmarkError(
            f"The predictions of the {name} are no use: RMSE {rmse:.2f} minutes, where arr_delay = dep_delay has "
            f"{baseline:.2f}. Its speed would mean nothing."
        )
    return rmse


def _predict(name: str, url: str, rows: list[bytes]) -> NDArray[np.float64]:
    body = b'{"%ss":[%s]}' % (ROW.encode(), b",".join(rows))
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            predictions = json.load(answer)
    except urllib.error.HTTPError as error:
        raise BenchmarkError(f"The {name} answered {error.code}: {error.read(500).decode(errors='replace')}") from error
    except OSError as error:
        raise BenchmarkError(f"The {name} does not answer: {error}") from error
    return np.array([prediction[TARGET.name] for prediction in predictions], dtype=np.float64)


def _rmse(predicted: NDArray[np.float64], outcomes: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((predicted - outcomes) ** 2)))
