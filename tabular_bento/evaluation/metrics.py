"""Errors of predictions against outcomes, with intervals that respect that flights of a day share their weather."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

WITHIN_MINUTES = 15.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RegressionMetrics:
    """Metrics of n predictions; errors are prediction less outcome, in the target's unit.

    `rmse_interval` is the 95 % interval of the RMSE by bootstrap over blocks of days, None for fewer than two days.
    """

    n: int
    rmse: float
    mae: float
    r2: float
    bias: float
    within_15: float
    rmse_interval: tuple[float, float] | None

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def regression_metrics(
    predicted: Array, outcome: Array, days: NDArray[np.int64], resamples: int, seed: int
) -> RegressionMetrics:
    """Metrics of `predicted` against `outcome`; `days` numbers the day of each row. All of shape [n], n at least 1.

    Rows without an outcome (NaN) are left out. Raises ValueError where none is left.
    """
    known = ~np.isnan(outcome)
    if not known.any():
        raise ValueError("no row has an outcome")
    predicted, outcome, days = predicted[known], outcome[known], days[known]
    error = predicted - outcome
    squares = error**2
    spread = float(((outcome - outcome.mean()) ** 2).sum())
    return RegressionMetrics(
        n=len(error),
        rmse=float(np.sqrt(squares.mean())),
        mae=float(np.abs(error).mean()),
        r2=1 - float(squares.sum()) / spread if spread else float("nan"),
        bias=float(error.mean()),
        within_15=float((np.abs(error) <= WITHIN_MINUTES).mean()),
        rmse_interval=block_bootstrap(squares, days, lambda mean: np.sqrt(mean), resamples, seed),
    )


def block_bootstrap(
    values: Array, days: NDArray[np.int64], statistic: Callable[[Array], Array], resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % percentile interval of `statistic` of the mean of `values`, whole days drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13. None for fewer than two days.
    """
    _, where = np.unique(days, return_inverse=True)
    sums: Array = np.bincount(where, weights=values).astype(np.float64)
    return interval_of_blocks(sums, np.bincount(where), statistic, resamples, seed)


def interval_of_blocks(
    sums: Array, counts: NDArray[np.int64], statistic: Callable[[Array], Array], resamples: int, seed: int
) -> tuple[float, float] | None:
    """As `block_bootstrap`, of blocks that are known by the sums and the counts of their values, shape [b] each."""
    if len(sums) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(statistic(means), [0.025, 0.975])
    return float(low), float(high)
