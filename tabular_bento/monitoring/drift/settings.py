"""Settings of the drift job.

A setting comes from an option of the command, else from the environment variable of its name in capitals, after
`TABULAR_BENTO_DRIFT_`, else from the table `[drift]` of the project's settings of monitoring.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.errors import ConfigError
from tabular_bento.evaluation.reference.calibration import MATERIAL

PREFIX = "TABULAR_BENTO_DRIFT_"


class ColumnSettings(BaseModel):
    """Limits of one column, `[drift.columns.NAME]`; what is left out is as for all columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ignore: bool = Field(False, description="Whether the column is shown only, and decides nothing.")
    psi_limit: float | None = Field(None, gt=0, description="A fixed limit of its index, in place of the calibrated.")
    psi_floor: float | None = Field(None, gt=0, description="Its own value of the setting of all columns.")
    missing_rise: float | None = Field(None, gt=0, le=1, description="The same.")
    missing_notable: float | None = Field(None, gt=0, le=1, description="The same.")
    out_of_range_share: float | None = Field(None, ge=0, le=1, description="The same.")
    gone_share: float | None = Field(None, ge=0, le=1, description="The same.")
    alarm_share: float | None = Field(None, ge=0, le=1, description="The same.")
    far_drift: float | None = Field(None, ge=1, description="The same.")


class DriftSettings(BaseSettings):
    """What makes an alarm, beside the calibration in the model's package; `drift.verdict` lists the rules."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    min_rows: int = Field(500, ge=1, description="A window of fewer rows is not judged: `not_enough_data`.")
    psi_floor: float = Field(
        MATERIAL, gt=0, description="An index below this is no drift, however certain: it is too small to matter."
    )
    missing_rise: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Drift when a column's missing share is this much above the reference's, and more than is usual.",
    )
    missing_notable: float = Field(
        0.02, gt=0, le=1, description="A warning when it is this much above, and more than is usual."
    )
    max_drifted_share: float = Field(
        0.1, ge=0, le=1, description="Drift when more than this share of the features drifts, weighted by importance."
    )
    strong_drift: float = Field(
        1.0,
        gt=0,
        description="Drift when one feature is beyond its limit by this many times the limit; the less a feature "
        "weighs, the more times.",
    )
    min_labels: int = Field(200, ge=1, description="Fewer labels are reported, and not judged.")
    max_error_ratio: float = Field(
        0.95,
        gt=0,
        description="Drift when the RMSE over that of the naive baseline is above this by all of its 95 % interval.",
    )
    min_coverage: float = Field(
        0.5,
        ge=0,
        le=1,
        description="The error is judged when this share of the mature predictions or more has a label.",
    )
    maturity_hours: float | None = Field(
        None, ge=0, description="Age from which a prediction's label is due; by default that of 95 % of the labels."
    )
    max_bad_share: float = Field(
        0.01, ge=0, le=1, description="`invalid_data` when more than this share of the window's lines cannot be read."
    )
    out_of_range_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="A warning when more than this share of a column is new or out of range.",
    )
    gone_share: float = Field(0.02, ge=0, le=1, description="A warning when a category of this share is gone.")
    alarm_share: float = Field(0.05, ge=0, le=1, description="Drift when it is more than this share.")
    far_drift: float = Field(
        2.0, ge=1, description="A warning when one column, whatever it weighs, is at so many times its limit."
    )
    bias_floor: float = Field(
        0.1,
        ge=0,
        description="A bias that is off by less than this share of the RMSE of unseen rows is too small to matter.",
    )
    columns: dict[str, ColumnSettings] = Field(
        default_factory=dict, description="Limits of single columns, by their names in the report."
    )
    sample: int = Field(5_000, ge=100, description="Rows that the page's plots are drawn from.")
    seed: int = Field(20130101, ge=0, description="Of that sample, and of the bootstrap.")
    resamples: int = Field(1_000, ge=100, description="Bootstrap resamples behind each interval.")

    def column(self, name: str) -> Self:
        """The settings of one column: its own where it has some, else those of all."""
        own = self.columns.get(name)
        if own is None:
            return self
        given = own.model_dump(exclude_none=True, exclude={"ignore", "psi_limit"})
        return self.model_copy(update=given)

    def ignores(self, name: str) -> bool:
        """Whether a column decides nothing."""
        return name in self.columns and self.columns[name].ignore

    def psi_limit(self, name: str) -> float | None:
        """The fixed limit of a column's index, if it has one."""
        return self.columns[name].psi_limit if name in self.columns else None

    def check_columns(self, known: Iterable[str]) -> None:
        """Raise ConfigError, with the names that there are, where `columns` names one that is not known."""
        names = sorted(set(known))
        if unknown := sorted(set(self.columns) - set(names)):
            raise ConfigError(
                f"[drift.columns] names {unknown[0]!r}, which is no column; there are: {', '.join(names)}."
            )

    def limits(self) -> dict[str, float | None]:
        """The settings of all columns as numbers."""
        return self.model_dump(exclude={"columns"})


class OutputSettings(BaseSettings):
    """Where the verdict goes beside `result.json` and `report.html`, and when it is an alert."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    history: Path | None = Field(None, description="File of all verdicts; by default history.jsonl beside the result.")
    exit_on: Literal["drift", "warning"] = Field(
        "drift", description="From which verdict on the command ends with exit code 1."
    )
    alert_after: int = Field(1, ge=1, description="Alert when so many of the last windows are drift, with this one.")
    alert_of: int | None = Field(None, ge=1, description="Of so many windows in a row; by default as many.")
    textfile: Path | None = Field(None, description="File of metrics for Prometheus' node_exporter.")
    workspace: Path | None = Field(None, description="Folder of an Evidently workspace, for `make dashboard`.")
    webhook: str | None = Field(None, description="Address that an alert is posted to as JSON.")
    webhook_attempts: int = Field(3, ge=1, le=10, description="How often to try.")
    webhook_timeout: float = Field(5.0, gt=0, le=60, description="Seconds that each attempt may take.")
    keep_runs: int = Field(
        60, ge=1, description="Windows whose result and report are kept in runs/; the earliest are removed beyond it."
    )
    link_base: str | None = Field(None, description="Address under which --out is served, for the webhook's links.")

    @model_validator(mode="after")
    def _after_is_within_of(self) -> Self:
        if self.alert_after > self.windows:
            raise ValueError(f"alert_after is {self.alert_after}, more than the {self.windows} windows of alert_of")
        return self

    @property
    def windows(self) -> int:
        """How many windows the alert looks at."""
        return self.alert_of or self.alert_after
