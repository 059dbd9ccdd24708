"""The verdict as metrics in a file, for the textfile collector of Prometheus' node_exporter."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import DriftResult, Verdict
from tabular_bento.monitoring.files import write_whole


def write_metrics(path: Path, result: DriftResult, exit_code: int) -> None:
    """Write the metrics of a run that ends with `exit_code` into the file at `path`, whole or not at all.

    Raises OSError. What could not be measured has no sample. `model` is the only label, beside `verdict` of
    `drift_verdict`.
    """
    write_whole(path, metrics(result, exit_code))


def write_failure(path: Path, exit_code: int) -> None:
    """Write that the last run failed. Raises OSError."""
    registry = CollectorRegistry()
    _gauge(registry, "drift_exit_code", "Exit code of the drift job; 3 is a job that failed", "").set(exit_code)
    _gauge(registry, "drift_last_run_timestamp_seconds", "When the drift job ran", "").set(
        datetime.now(UTC).timestamp()
    )
    write_whole(path, generate_latest(registry).decode())


def metrics(result: DriftResult, exit_code: int) -> str:
    """The metrics in Prometheus' text format."""
    registry, model = CollectorRegistry(), result.model or ""
    verdict = Gauge("drift_verdict", "1 for the verdict on the window, else 0", ["model", "verdict"], registry=registry)
    for word in get_args(Verdict):
        verdict.labels(model, word).set(word == result.verdict)
    for name, (text, value) in _values(result, exit_code).items():
        if value is not None:
            _gauge(registry, name, text, model).set(value)
    return generate_latest(registry).decode()


def _gauge(registry: CollectorRegistry, name: str, text: str, model: str) -> Gauge:
    return Gauge(name, text, ["model"], registry=registry).labels(model)


def _values(result: DriftResult, exit_code: int) -> dict[str, tuple[str, float | None]]:
    labels, errors, estimate = result.labels, result.labels.model, result.estimate
    excess = Entry.of(result).prediction
    maturity = labels.maturity
    return {
        "drift_exit_code": ("Exit code of the drift job; 3 is a job that failed", exit_code),
        "drift_alert": ("1 where enough of the last windows drifted to alert", result.alert.alert),
        "drift_rows": ("Rows of the window that were judged", result.rows.scored),
        "drift_bad_lines": ("Lines of the window that cannot be read", result.rows.bad),
        "drift_share": ("Share of the features that drifted, by importance", result.decision.drifted_share),
        "drift_features": ("Features that drifted", result.decision.features_drifted),
        "drift_prediction_excess": ("Score of the prediction over its limit; drift above 1", excess),
        "drift_label_coverage": ("Share of the predictions that have a label", labels.coverage),
        "drift_mature_share": ("Share of the predictions whose label is due", maturity.share if maturity else None),
        "drift_rmse": ("RMSE of mature predictions with a label", errors.rmse if errors else None),
        "drift_mae": ("MAE of mature predictions with a label", errors.mae if errors else None),
        "drift_bias": ("Mean of prediction less label", errors.bias if errors else None),
        "drift_ratio_to_naive_baseline": ("RMSE over that of the naive baseline", labels.ratio_to_naive_baseline),
        "drift_estimated_rmse": ("RMSE to expect, estimated without labels", estimate.rmse if estimate else None),
        "drift_window_end_timestamp_seconds": ("End of the window", _seconds(result.window.end)),
        "drift_last_run_timestamp_seconds": ("When the drift job ran", _seconds(result.made_at)),
    }


def _seconds(moment: datetime) -> float:
    """Seconds since 1970; a time without an offset is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
