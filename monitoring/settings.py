"""Settings of the drift job. Each is overridden by the environment variable of its name in capitals, after `DRIFT_`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from monitoring.calibration import MATERIAL


class DriftSettings(BaseSettings):
    """What makes an alarm, beside the calibration in the model's package; `monitoring.drift` lists the rules."""

    model_config = SettingsConfigDict(env_prefix="DRIFT_", frozen=True)

    min_rows: int = Field(500, ge=1, description="A window of fewer rows is not judged: `not_enough_data`.")
    psi_floor: float = Field(
        MATERIAL, gt=0, description="An index below this is no drift, however certain: it is too small to matter."
    )
    missing_rise: float = Field(
        0.1, gt=0, le=1, description="A column breaks when its missing share is this much above what is usual."
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
    min_outcomes: int = Field(200, ge=1, description="Fewer outcomes are reported, and not judged.")
    max_error_ratio: float = Field(
        0.95,
        gt=0,
        description="Drift when the RMSE over that of zero gain is above this by all of its 95 % interval.",
    )
    max_bad_share: float = Field(
        0.01, ge=0, le=1, description="`invalid_data` when more than this share of the log's lines cannot be read."
    )
    out_of_range_share: float = Field(
        0.01, ge=0, le=1, description="A finding when more than this share of a column is out of the reference's range."
    )
    sample: int = Field(5_000, ge=100, description="Rows that the page's plots are drawn from.")
    seed: int = Field(20130101, ge=0, description="Of that sample, and of the bootstrap.")
    resamples: int = Field(1_000, ge=100, description="Bootstrap resamples behind each interval.")
