"""Errors of predictions against labels, with intervals that respect that rows of one day may share their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import MonitoringError
from tabular_bento.features.clock import DAY
from tabular_bento.features.columns import Columns
from tabular_bento.problem import Declaration
from tabular_bento.tasks import Task

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

GROUPS = 1024
"""Blocks of rows that have no event time."""


@dataclass(frozen=True)
class RegressionMetrics:
    """Metrics of n predictions; errors are prediction less label, in the target's unit.

    Parameters
    ----------
    n : int
        Predictions with a label.
    rmse, mae, r2, bias : float
        Of these; `r2` is NaN where all labels are equal.
    rmse_interval : tuple of float, optional
        The 95 % interval of the RMSE by bootstrap over blocks, None for fewer than two blocks.
    within : float, optional
        Share of errors of at most the size that was asked for.
    """

    n: int
    rmse: float
    mae: float
    r2: float
    bias: float
    rmse_interval: tuple[float, float] | None
    within: float | None = None

    def to_dict(self) -> dict[str, object]:
        """The metrics as plain JSON values."""
        return asdict(self)


def regression_metrics(
    predicted: Array, labels: Array, blocks: Integers, resamples: int, seed: int, within: float | None = None
) -> RegressionMetrics:
    """Metrics of predictions of a number.

    Parameters
    ----------
    predicted, labels : ndarray of shape [n]
        Rows without a label (NaN) are left out.
    blocks : ndarray of shape [n]
        The block of each row, see `blocks_of`.
    resamples, seed : int
        Of the bootstrap.
    within : float, optional
        The size of an error that `within` counts.

    Raises
    ------
    ValueError
        Where no row has a label.
    """
    known = ~np.isnan(labels)
    if not known.any():
        raise ValueError("no row has a label")
    predicted, labels, blocks = predicted[known], labels[known], blocks[known]
    error = predicted - labels
    squares = error**2
    spread = float(((labels - labels.mean()) ** 2).sum())
    return RegressionMetrics(
        n=len(error),
        rmse=float(np.sqrt(squares.mean())),
        mae=float(np.abs(error).mean()),
        r2=1 - float(squares.sum()) / spread if spread else float("nan"),
        bias=float(error.mean()),
        rmse_interval=block_bootstrap(squares, blocks, np.sqrt, resamples, seed),
        within=None if within is None else float((np.abs(error) <= within).mean()),
    )


class Evaluator(Protocol):
    """Measures the predictions of one kind of task; the parameters are those of `regression_metrics`."""

    def __call__(
        self, predicted: Array, labels: Array, blocks: Integers, resamples: int, seed: int, within: float | None = None
    ) -> RegressionMetrics: ...


def evaluator_of(task: Task) -> Evaluator:
    """The evaluator that the task names.

    Raises
    ------
    MonitoringError
        For one that this library does not have.
    """
    evaluators: dict[str, Evaluator] = {"regression": regression_metrics}
    if task.evaluator not in evaluators:
        known = ", ".join(evaluators)
        raise MonitoringError(f"The task {task.kind!r} names the evaluator {task.evaluator!r}; there are: {known}.")
    return evaluators[task.evaluator]


def event_seconds(declaration: Declaration, columns: Columns) -> Integers | None:
    """When each of n rows took place, in seconds since 1970, shape [n]; None for a problem without an event time."""
    if declaration.event_time is None:
        return None
    kind = declaration.field(declaration.event_time).kind
    values = np.asarray(columns[declaration.event_time]).astype(np.int64)
    return values * (DAY // kind.per_day) if kind.per_day <= DAY else values // (kind.per_day // DAY)


def blocks_of(declaration: Declaration, columns: Columns) -> Integers:
    """What a bootstrap draws of n rows, shape [n]: the days of the event time; without one the rows themselves, of more
    than `GROUPS` rows groups of them.
    """
    event = event_seconds(declaration, columns)
    if event is None:
        return np.arange(len(next(iter(columns.values()))), dtype=np.int64) % GROUPS
    return np.asarray(event // DAY)


def block_bootstrap(
    values: Array, blocks: Integers, statistic: Callable[[Any], Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % percentile interval of `statistic` of the mean of `values`, whole blocks drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13. None for fewer than two blocks.
    """
    _, where = np.unique(blocks, return_inverse=True)
    sums: Array = np.bincount(where, weights=values).astype(np.float64)
    return interval_of_blocks(sums, np.bincount(where), statistic, resamples, seed)


def interval_of_blocks(
    sums: Array, counts: Integers, statistic: Callable[[Any], Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """As `block_bootstrap`, of blocks that are known by the sums and the counts of their values, shape [b] each."""
    if len(sums) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(statistic(means), [0.025, 0.975])
    return float(low), float(high)
