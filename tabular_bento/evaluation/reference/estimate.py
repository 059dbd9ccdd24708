"""The metrics to expect of predictions whose labels are not there yet: an estimate, and never a reason to alarm.

The package's error model has learnt from rows that the model had not seen how wrong it is on such rows
(`tabular_bento.evaluation.error_model`). It knows the rows, not the world: what is in no feature, it cannot expect. Its
interval says how far off it was on stretches of days that it had not seen itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tabular_bento.evaluation.error_model import load_error_model, mean_losses
from tabular_bento.evaluation.metrics import GROUPS, draws_of_blocks
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.features.clock import DAY
from tabular_bento.scoring.package import ERROR_MODEL_FILE
from tabular_bento.traffic.schema import feature_column

if TYPE_CHECKING:
    import xgboost

Interval = tuple[float, float]

_Z = 1.959964
"""Of a 95 % interval."""


class Estimate(BaseModel):
    """The metrics to expect of the window's predictions, estimated without labels. Never a reason for the verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: Annotated[int, Field(description="Rows of the window's sample that it is the mean of")]
    rmse: Annotated[float | None, Field(description="Of a regression, as the MAE")] = None
    rmse_interval: Annotated[Interval | None, Field(description="95 %; without an event time 90 %")] = None
    mae: float | None = None
    mae_interval: Interval | None = None
    log_loss: Annotated[float | None, Field(description="Of a classification, as what follows")] = None
    log_loss_interval: Annotated[Interval | None, Field(description="90 %, of what labels would show")] = None
    brier: float | None = None
    brier_interval: Interval | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None

    def metric(self, name: str) -> float | None:
        """A metric by its name; None of one that was not estimated."""
        value: float | None = getattr(self, name, None)
        return value

    def metric_interval(self, name: str) -> Interval | None:
        """The interval of a metric."""
        interval: Interval | None = getattr(self, f"{name}_interval", None)
        return interval


@dataclass(frozen=True)
class Withheld:
    """No estimate, and why."""

    reason: str


def feature_matrix(sample: pa.Table, features: tuple[str, ...]) -> NDArray[np.float32] | None:
    """The features of n rows as they were logged, shape [n, features]; None where they lack one."""
    names = [feature_column(name) for name in features]
    if any(name not in sample.column_names for name in names):
        return None
    with np.errstate(over="ignore"):  # what no float32 can hold is infinite
        return np.column_stack([numbers_of(sample[name]).astype(np.float32) for name in names])


class ErrorModel:
    """A package's error model with its spread, which the profile holds under `error: estimate`."""

    def __init__(self, booster: xgboost.Booster, spread: dict[str, list[float]], features: tuple[str, ...]) -> None:
        self._booster = booster
        self._spread = spread
        self._features = features

    @classmethod
    def read(cls, directory: Path, error: dict[str, Any], features: tuple[str, ...]) -> ErrorModel | None:
        """That of the package in `directory`, whose problem has these features; None where it has none, or none that
        was measured.
        """
        path, spread = directory / ERROR_MODEL_FILE, error.get("estimate", {})
        if not features or not path.exists() or not spread.get("days"):
            return None
        return cls(load_error_model(path), spread, features)

    def estimate(
        self,
        features: NDArray[np.float32],
        event: NDArray[np.int64] | None,
        days: float,
        resamples: int,
        seed: int,
    ) -> Estimate | None:
        """The error to expect of n rows, spread over `days` days; None for no rows.

        `features` is of shape [n, features], `event` the rows' times in seconds, shape [n], where they have any.
        `resamples` and `seed` are of the bootstrap.
        """
        if not len(features):
            return None
        squared, absolute = mean_losses(self._booster, features).T
        rmse, mae = float(np.sqrt(squared.mean())), float(absolute.mean())
        blocks = np.arange(len(features)) % GROUPS if event is None else event // DAY
        where = np.unique(blocks, return_inverse=True)[1]

        def interval(value: float, values: NDArray[np.float64], statistic: Any, name: str) -> Interval:
            sums: NDArray[np.float64] = np.bincount(where, values).astype(np.float64)
            draws = draws_of_blocks(sums, np.bincount(where), statistic, resamples, seed)
            low, high = (0.0, 0.0) if draws is None else np.quantile(draws, [0.025, 0.975])
            chance = np.log(high / low) / (2 * _Z) if low > 0 else 0.0
            factor = float(np.exp(_Z * np.hypot(self._spread_over(days, name), chance)))
            return value / factor, value * factor

        return Estimate(
            n=len(features),
            rmse=rmse,
            rmse_interval=interval(rmse, squared, np.sqrt, "rmse"),
            mae=mae,
            mae_interval=interval(mae, absolute, np.asarray, "mae"),
        )

    def estimate_sample(
        self,
        sample: pa.Table,
        event: str | None,
        days: float,
        resamples: int,
        seed: int,
        rows: int | None = None,  # noqa: ARG002
    ) -> Estimate | None:
        """The same of rows as they were logged, their times in column `event`; None where they lack a feature."""
        features = feature_matrix(sample, self._features)
        if features is None:
            return None
        return self.estimate(features, None if event is None else seconds_of(sample[event]), days, resamples, seed)

    def _spread_over(self, days: float, name: str) -> float:
        """Beyond the longest span that was measured, that of it: what a month tells of the next is not known."""
        return float(np.interp(np.log(max(days, 1.0)), np.log(self._spread["days"]), self._spread[name]))
