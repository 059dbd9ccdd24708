"""The verdict as metrics in a file, for the textfile collector of Prometheus' node_exporter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tabular_bento.monitoring.drift.result import DriftResult, Verdict
from tabular_bento.monitoring.files import write_whole

PREFIX = "tabular_bento_drift_"
EXIT_CODE, LAST_RUN = "exit_code", "last_run_timestamp_seconds"

METRICS = {
    EXIT_CODE: ("Exit code of the drift job; 3 is a job that failed", ""),
    LAST_RUN: ("When the drift job ran", ""),
    "verdict": ("1 for the verdict on the window, else 0", ""),
    "alert": ("1 where enough of the last windows have the verdict drift", "alert.alert"),
    "rows": ("Rows of the window that were judged", "rows.scored"),
    "rejected_lines": ("Lines of the window that cannot be read", "rows.bad"),
    "features": ("Features that drifted", "decision.features_drifted"),
    "features_importance_ratio": ("Share of the features that drifted, by importance", "decision.drifted_share"),
    "prediction_limit_ratio": ("Score of the prediction over its limit; drift above 1", "prediction_excess"),
    "label_coverage_ratio": ("Share of the predictions that have a label", "labels.coverage"),
    "mature_ratio": ("Share of the predictions whose label is due", "labels.maturity.share"),
    "rmse": ("RMSE of mature predictions with a label", "labels.model.rmse"),
    "mae": ("MAE of mature predictions with a label", "labels.model.mae"),
    "log_loss": ("Log loss of mature predictions with a label", "labels.model.log_loss"),
    "brier": ("Brier score of mature predictions with a label", "labels.model.brier"),
    "bias": ("Mean of prediction, or of its probability, less label", "labels.model.bias"),
    "naive_baseline_ratio": ("RMSE, or log loss, over that of the naive baseline", "labels.ratio_to_naive_baseline"),
    "interval_coverage_ratio": (
        "Share of the labels that are inside of the predictions' intervals",
        "labels.interval.coverage",
    ),
    "estimated_rmse": ("RMSE to expect, estimated without labels", "estimate.rmse"),
    "estimated_log_loss": ("Log loss to expect, estimated without labels", "estimate.log_loss"),
    "window_end_timestamp_seconds": ("End of the window", "window.end"),
}
"""What the file may hold, by name without `PREFIX`, and where it is in the result. What could not be measured has no
sample.

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
    values: dict[str, float | datetime | None] = {EXIT_CODE: exit_code, LAST_RUN: datetime.now(UTC)}
    write_whole(path, _text(CollectorRegistry(), values, ""))


def metrics(result: DriftResult, exit_code: int) -> str:
    """The metrics in Prometheus' text format."""
    registry, tag = CollectorRegistry(), result.model or ""
    verdict = Gauge(f"{PREFIX}verdict", METRICS["verdict"][0], ["model", "version", "verdict"], registry=registry)
    for word in get_args(Verdict):
        verdict.labels(*_model_and_version(tag), word).set(word == result.verdict)
    values = {name: result.at(path) for name, (_, path) in METRICS.items() if path}
    return _text(registry, {EXIT_CODE: exit_code, LAST_RUN: result.made_at, **values}, tag)


def _text(registry: CollectorRegistry, values: Mapping[str, float | datetime | None], tag: str) -> str:
    for name, value in values.items():
        if value is not None:
            gauge = Gauge(f"{PREFIX}{name}", METRICS[name][0], ["model", "version"], registry=registry)
            gauge.labels(*_model_and_version(tag)).set(_seconds(value) if isinstance(value, datetime) else value)
    return generate_latest(registry).decode()


def _model_and_version(tag: str) -> tuple[str, str]:
    name, _, version = tag.partition(":")
    return name, version


def _seconds(moment: datetime) -> float:
    """Seconds since 1970; a time without an offset is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
