"""The error to expect of predictions whose outcomes are not there yet: an estimate, and never a reason to alarm.

The package's error model has learnt from months that the model had not seen how wrong it is on such rows
(`training/error_model.py`). It knows the rows, not the world: a storm on the way or a change in what airlines make up
is in no feature. Its interval says how far off it was on stretches of days that it had not seen itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.definition import EVENT_TIME
from features.functions import FEATURE_NAMES
from tabular_bento.evaluation.metrics import block_bootstrap
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.result import Estimate, Interval
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.scoring.package import ERROR_MODEL_FILE
from tabular_bento.traffic.log import FEATURE_PREFIX

if TYPE_CHECKING:
    import xgboost

_Z = 1.959964
"""Of a 95 % interval."""


class ErrorModel:
    """A package's error model with its spread, as `tabular_bento.evaluation.reference.profile` keeps it under `error: estimate`."""

    def __init__(self, booster: xgboost.Booster, spread: dict[str, list[float]]) -> None:
        booster.set_param({"nthread": 1})
        self._booster = booster
        self._means = np.array([float(booster.attr(name)) for name in ("mean_squared", "mean_absolute")])
        self._spread = spread

    @classmethod
    def read(cls, directory: Path, error: dict[str, Any]) -> ErrorModel | None:
        """That of the package in `directory`; None where it has none, or none that was measured."""
        path, spread = directory / ERROR_MODEL_FILE, error.get("estimate", {})
        if not path.exists() or not spread.get("days"):
            return None
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(path)
        return cls(booster, spread)

    def estimate(
        self, features: NDArray[np.float32], event: NDArray[np.int64], days: float, settings: DriftSettings
    ) -> Estimate | None:
        """The error to expect of n rows, spread over `days` days; None for no rows.

        `features` is of shape [n, features], `event` the rows' local times in seconds, shape [n].
        """
        if not len(features):
            return None
        squared, absolute = np.maximum(
            self._booster.inplace_predict(features, validate_features=False) * self._means, 0.0
        ).T.astype(np.float64)
        rmse, mae = float(np.sqrt(squared.mean())), float(absolute.mean())
        blocks = event // DAY

        def interval(value: float, values: NDArray[np.float64], statistic: Any, name: str) -> Interval:
            drawn = block_bootstrap(values, blocks, statistic, settings.resamples, settings.seed)
            chance = np.log(drawn[1] / drawn[0]) / (2 * _Z) if drawn and drawn[0] > 0 else 0.0
            factor = float(np.exp(_Z * np.hypot(self._spread_over(days, name), chance)))
            return value / factor, value * factor

        return Estimate(
            n=len(features),
            rmse=rmse,
            rmse_interval=interval(rmse, squared, np.sqrt, "rmse"),
            mae=mae,
            mae_interval=interval(mae, absolute, np.asarray, "mae"),
        )

    def estimate_sample(self, sample: pa.Table, days: float, settings: DriftSettings) -> Estimate | None:
        """The same of rows as they were logged; None where they lack a feature."""
        names = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
        if any(name not in sample.column_names for name in names):
            return None
        with np.errstate(over="ignore"):  # what no float32 can hold is infinite
            arrays = [sample[name].cast(pa.float64()).to_numpy().astype(np.float32) for name in names]
        event = sample[EVENT_TIME].cast(pa.int64()).fill_null(0).to_numpy()
        return self.estimate(np.column_stack(arrays), event, days, settings)

    def _spread_over(self, days: float, name: str) -> float:
        """Beyond the longest span that was measured, that of it: what a month tells of the next is not known."""
        return float(np.interp(np.log(max(days, 1.0)), np.log(self._spread["days"]), self._spread[name]))
