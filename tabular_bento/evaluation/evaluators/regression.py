"""Predictions of a number against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators.base import Array, Evaluator, Integers, Matrix, Outputs
from tabular_bento.evaluation.metrics import NOT_NEGATIVE, block_bootstrap

if TYPE_CHECKING:
    from tabular_bento.evaluation.reference.thresholds import Spread

RIDGE = "ridge"


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

    def to_dict(self) -> dict[str, Any]:
        """The metrics as plain JSON values."""
        return asdict(self)


class RegressionEvaluator(Evaluator):
    """The evaluator of regressions."""

    losses = ("rmse", "mae")
    in_target_unit = True
    has_bounded_residuals = False
    linear = RIDGE
    metrics = ("n", "rmse", "mae", "r2", "bias", "within")

    @property
    def measured(self) -> tuple[str, ...]:
        """The prediction and its bounds."""
        return (self._target, *self._task.bound_names)

    def _outputs(self, raw: Array, offset: Array | None) -> Outputs:
        """The prediction alone, whatever else the task predicts."""
        return {self._target: raw[:, 0] if offset is None else offset + raw[:, 0]}

    def row_losses(self, outputs: Outputs, codes: Array) -> Array:
        """Squared and absolute errors, shape [n, 2]."""
        error = self.residual(outputs, codes)
        return np.stack([error**2, np.abs(error)], axis=1)

    def residual(self, outputs: Outputs, codes: Array) -> Array:
        """Predictions less labels, shape [n]."""
        return np.asarray(outputs[self._target] - codes)

    def interval_values(self, outputs: Outputs, codes: Array) -> Array | None:
        """See `Evaluator.interval_values`."""
        found = [outputs[name] for name in self._task.bound_names if name in outputs]
        if len(found) < 2:
            return None
        lower, upper = found
        known = ~(np.isnan(codes) | np.isnan(lower) | np.isnan(upper))
        inside = (lower <= codes) & (codes <= upper)
        return np.where(known[:, None], np.stack([inside, upper - lower], axis=1), np.nan)

    def level(self, means: Array) -> Array:
        """RMSE and MAE of mean squared and absolute errors, shape [..., 2]."""
        return np.stack([np.sqrt(means[..., 0]), means[..., 1]], axis=-1)

    def bias_scale(self, bias: Spread, first: Spread) -> float:  # noqa: ARG002
        """The RMSE."""
        return float(np.sqrt(first.mean))

    def measure(
        self, outputs: Outputs, codes: Array, blocks: Integers, resamples: int, seed: int, within: float | None = None
    ) -> RegressionMetrics:
        """See `Evaluator.measure`."""
        known = ~np.isnan(codes)
        if not known.any():
            raise ValueError("no row has a label")
        labels, error = codes[known], self.residual(outputs, codes)[known]
        squares = error**2
        spread = float(((labels - labels.mean()) ** 2).sum())
        return RegressionMetrics(
            n=len(error),
            rmse=float(np.sqrt(squares.mean())),
            mae=float(np.abs(error).mean()),
            r2=1 - float(squares.sum()) / spread if spread else float("nan"),
            bias=float(error.mean()),
            rmse_interval=block_bootstrap(squares, blocks[known], np.sqrt, resamples, seed, NOT_NEGATIVE),
            within=None if within is None else float((np.abs(error) <= within).mean()),
        )

    def naive(self, codes: Array) -> float | None:
        """The mean of the labels; None where there is none."""
        return None if np.isnan(codes).all() else float(np.nanmean(codes))

    def naive_raw(self, naive: float | Sequence[float], n: int) -> Array:
        """The mean of what is learnt, shape [n, 1]."""
        return np.full((n, 1), naive)

    def historical_raw(self, values: NDArray[Any], naive: float | Sequence[float]) -> Array:
        """The feature by itself, shape [n, 1]."""
        return np.asarray(np.nan_to_num(values.astype(np.float64), nan=float(np.asarray(naive))))

    def _linear(self, X: Matrix, y: Array, parts: Mapping[str, Matrix]) -> dict[str, Array]:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        ridge = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge())
        ridge.fit(X.astype(np.float64), y)
        return {name: ridge.predict(part.astype(np.float64))[:, None] for name, part in parts.items()}
