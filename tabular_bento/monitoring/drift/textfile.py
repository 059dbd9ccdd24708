"""The verdict as metrics in a file, for the textfile collector of Prometheus' node_exporter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import DriftResult, Verdict
from tabular_bento.monitoring.files import write_whole

PREFIX = "tabular_bento_drift_"
EXIT_CODE, LAST_RUN = "exit_code", "last_run_timestamp_seconds"

METRICS = {
    EXIT_CODE: "Exit code of the drift job; 3 is a job that failed",
    LAST_RUN: "When the drift job ran",
    "verdict": "1 for the verdict on the window, else 0",
    "alert": "1 where enough of the last windows have the verdict drift",
    "rows": "Rows of the window that were judged",
    "rejected_lines": "Lines of the window that cannot be read",
    "features": "Features that drifted",
    "features_importance_ratio": "Share of the features that drifted, by importance",
    "prediction_limit_ratio": "Score of the prediction over its limit; drift above 1",
    "label_coverage_ratio": "Share of the predictions that have a label",
    "mature_ratio": "Share of the predictions whose label is due",
    "rmse": "RMSE of mature predictions with a label",
    "mae": "MAE of mature predictions with a label",
    "log_loss": "Log loss of mature predictions with a label",
    "brier": "Brier score of mature predictions with a label",
    "bias": "Mean of prediction, or of its probability, less label",
    "naive_baseline_ratio": "RMSE, or log loss, over that of the naive baseline",
    "interval_coverage_ratio": "Share of the labels that are inside of the predictions' intervals",
    "estimated_rmse": "RMSE to expect, estimated without labels",
    "estimated_log_loss": "Log loss to expect, estimated without labels",
    "window_end_timestamp_seconds": "End of the window",
}
"""What the file may hold, by name without `PREFIX`. What could not be measured has no sample.

The labels are `model` and `version`, the parts of the package's tag, and `verdict` of the metric of that name;
`namespace` and `service` are labels of the target that Prometheus scrapes.
"""


def write_metrics(path: Path, result: DriftResult, exit_code: int) -> None:
    """Write the metrics of a run that ends with `exit_code` into the file at `path`, whole or not at all.

    Raises OSError.
    """
    write_whole(path, metrics(result, exit_code))


def write_failure(path: Path, exit_code: int) -> None:
    """Write that the last run failed. Raises OSError."""
    values = {EXIT_CODE: exit_code, LAST_RUN: datetime.now(UTC).timestamp()}
    write_whole(path, _text(CollectorRegistry(), values, ""))


def metrics(result: DriftResult, exit_code: int) -> str:
    """The metrics in Prometheus' text format."""
    registry, tag = CollectorRegistry(), result.model or ""
    verdict = Gauge(f"{PREFIX}verdict", METRICS["verdict"], ["model", "version", "verdict"], registry=registry)
    for word in get_args(Verdict):
        verdict.labels(*_model_and_version(tag), word).set(word == result.verdict)
    return _text(registry, _values(result, exit_code), tag)


def _text(registry: CollectorRegistry, values: Mapping[str, float | None], tag: str) -> str:
    for name, value in values.items():
        if value is not None:
            gauge = Gauge(f"{PREFIX}{name}", METRICS[name], ["model", "version"], registry=registry)
            gauge.labels(*_model_and_version(tag)).set(value)
    return generate_latest(registry).decode()


def _model_and_version(tag: str) -> tuple[str, str]:
    name, _, version = tag.partition(":")
    return name, version


def _values(result: DriftResult, exit_code: int) -> dict[str, float | None]:
    labels, errors, estimate = result.labels, result.labels.model, result.estimate
    maturity = labels.maturity
    return {
        EXIT_CODE: exit_code,
        LAST_RUN: _seconds(result.made_at),
        "alert": result.alert.alert,
        "rows": result.rows.scored,
        "rejected_lines": result.rows.bad,
        "features": result.decision.features_drifted,
        "features_importance_ratio": result.decision.drifted_share,
        "prediction_limit_ratio": Entry.of(result).prediction,
        "label_coverage_ratio": labels.coverage,
        "mature_ratio": maturity.share if maturity else None,
        "rmse": errors.rmse if errors else None,
        "mae": errors.mae if errors else None,
        "log_loss": errors.log_loss if errors else None,
        "brier": errors.brier if errors else None,
        "bias": errors.bias if errors else None,
        "naive_baseline_ratio": labels.ratio_to_naive_baseline,
        "interval_coverage_ratio": labels.interval.coverage if labels.interval else None,
        "estimated_rmse": estimate.rmse if estimate else None,
        "estimated_log_loss": Entry.of(result).estimated_log_loss,
        "window_end_timestamp_seconds": _seconds(result.window.end),
    }


def _seconds(moment: datetime) -> float:
    """Seconds since 1970; a time without an offset is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
