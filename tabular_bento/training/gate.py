"""The gate: a model that is not good enough is not saved, and one that is too good is looked at."""

from __future__ import annotations

from tabular_bento.errors import GateError
from tabular_bento.evaluation.metrics import RegressionMetrics
from tabular_bento.training.config import GateThresholds


def check_gate(model: RegressionMetrics, zero_gain: RegressionMetrics, thresholds: GateThresholds) -> list[str]:
    """Warnings about a model that passes. Raises GateError that lists every threshold it misses on the test months."""
    ratio = model.rmse / zero_gain.rmse
    checks = [
        (model.rmse <= thresholds.max_rmse, f"RMSE {model.rmse:.2f} is above {thresholds.max_rmse}"),
        (model.mae <= thresholds.max_mae, f"MAE {model.mae:.2f} is above {thresholds.max_mae}"),
        (model.r2 >= thresholds.min_r2, f"R2 {model.r2:.3f} is below {thresholds.min_r2}"),
        (
            ratio <= thresholds.max_ratio_to_zero_gain,
            f"RMSE is {ratio:.3f} of the zero-gain baseline's, above {thresholds.max_ratio_to_zero_gain}",
        ),
    ]
    if missed := [message for passed, message in checks if not passed]:
        raise GateError(f"The model is not saved: on the test months {'; '.join(missed)}. Thresholds are in [gate].")
    if model.r2 > thresholds.leak_r2:
        return [f"R2 {model.r2:.3f} is above {thresholds.leak_r2}: look for a feature that knows the outcome."]
    return []
