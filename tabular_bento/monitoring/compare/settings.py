"""Settings of a comparison. Each is overridden by the variable of its name in capitals, after `COMPARE_`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, NaiveDatetime, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.errors import CompareError
from tabular_bento.evaluation.noninferiority import LEAST_DAYS
from tabular_bento.monitoring.arguments import first_error
from tabular_bento.monitoring.replay.config import DoorName

_OPTIONS = {"start": "--from", "end": "--to", "on": "--window-on"}
"""Of the command, where they are not named as the setting."""


class CompareSettings(BaseSettings):
    """What makes a verdict, where logged rows are, and how servers are asked."""

    model_config = SettingsConfigDict(env_prefix="COMPARE_", frozen=True, extra="forbid")

    absolute_tolerance: float = Field(
        1e-4, ge=0, description="Equivalent: predictions may differ by this, in the target's unit, plus the relative."
    )
    relative_tolerance: float = Field(1e-6, ge=0, description="Equivalent: and by this share of the baseline's.")
    min_rows: int = Field(100, ge=1, description="Equivalent: fewer rows that agree prove nothing.")
    worst_rows: int = Field(10, ge=0, description="Rows shown that differ most, with their features.")

    margin: float = Field(
        0.01, gt=0, description="Not worse: RMSE and MAE may be higher by this share of the baseline's."
    )
    segment_margin: float = Field(
        0.03, gt=0, description="Not worse: a segment that is shown to lose more than this share is a refusal."
    )
    confidence: float = Field(0.99, ge=0.8, lt=1, description="Not worse: of the intervals of RMSE and MAE, two-sided.")
    min_outcomes: int = Field(1_000, ge=1, description="Not worse: with fewer outcomes there is no verdict.")
    min_days: int = Field(
        35,
        ge=LEAST_DAYS,
        description="Not worse: nor with fewer days; what goes wrong on a few days needs days to be seen on.",
    )
    min_segment_outcomes: int = Field(
        50,
        ge=2,
        description=f"Segments of fewer outcomes, or on fewer than {LEAST_DAYS} days, are shown, not judged.",
    )
    resamples: int = Field(2_000, ge=200, description="Bootstrap resamples behind each interval.")
    seed: int = Field(20130101, ge=0, description="Of the bootstrap.")

    moved_minutes: float = Field(
        5.0, gt=0, description="A prediction has moved when the two differ by more than this, in the target's unit."
    )
    max_moved_share: float | None = Field(None, ge=0, le=1, description="Refuse when a larger share has moved.")
    max_latency_ratio: float | None = Field(
        3.0,
        gt=0,
        description="Not worse: refuse when one row, or a thousand, takes more than this times as long; not where "
        "one is a package and the other a server.",
    )
    max_size_ratio: float | None = Field(
        3.0, gt=0, description="Not worse: refuse when the package is larger than this times the baseline's."
    )

    start: NaiveDatetime | None = Field(None, description="Of a window of logged traffic.")
    end: NaiveDatetime | None = Field(None, description="Its end, not included.")
    on: str = Field("time", description="`time` of the prediction in UTC, or a local time of the row.")
    traffic_dir: Path | str = Field(Path("var/traffic"), description="The traffic log: a folder, or a URI of one.")

    sample: int | None = Field(None, ge=1, description="Rows drawn evenly of the examples; all without it.")
    door: DoorName = Field("http", description="Way into servers that are compared by their URL.")
    baseline_grpc: str | None = Field(None, pattern=r"^\S+:\d+$", description="HOST:PORT of the baseline's gRPC door.")
    candidate_grpc: str | None = Field(None, pattern=r"^\S+:\d+$", description="HOST:PORT of the candidate's.")
    rows_per_request: int = Field(500, ge=1, description="Rows in one request to a server.")
    concurrency: int = Field(2, ge=1, description="Requests at a time to a server.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one answer of a server.")

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("--from must be before --to")
        return self


def read_settings(**given: Any) -> CompareSettings:
    """The settings of the environment, but for those that are `given`.

    Raises CompareError for the first that is wrong, named as the option or the variable that it came from.
    """
    try:
        return CompareSettings(**given)
    except ValidationError as error:
        raise CompareError(first_error(error, given, "COMPARE_", _OPTIONS)) from error
