"""Settings of a comparison.

A setting comes from an option of the command, else from the environment variable of its name in capitals, after
`TABULAR_BENTO_COMPARE_`, else from the table `[compare]` of the project's settings of monitoring.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import Field, NaiveDatetime, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.client import Protocol
from tabular_bento.errors import CompareError, ConfigError
from tabular_bento.evaluation.noninferiority import LEAST_DAYS
from tabular_bento.monitoring.files import check_variables, settings_of

PREFIX = "TABULAR_BENTO_COMPARE_"

_NARROW_MARGIN, _NARROW, _WIDE = 0.02, (100, 35), (1_500, 56)
"""The fewest labels and days that are judged, by the margin. An interval lies within a wide margin before the days on
which a candidate fails were seen; a narrow margin asks for more data by itself. Measured: docs/compare.md.
"""


class CompareSettings(BaseSettings):
    """What makes a verdict, where logged rows are, and how servers are asked.

    Days are those of the event time; where there is none, blocks of rows stand for them.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    absolute_tolerance: float = Field(
        1e-4, ge=0, description="Equivalent: predictions may differ by this, in the target's unit, plus the relative."
    )
    relative_tolerance: float = Field(1e-6, ge=0, description="Equivalent: and by this share of the baseline's.")
    min_rows: int = Field(100, ge=1, description="Equivalent: fewer rows that agree prove nothing.")
    worst_rows: int = Field(10, ge=0, description="Rows shown that differ most, with their features.")

    metric: str | None = Field(
        None,
        description="Not worse: the metric that decides, `rmse` or `mae`, of classes `log_loss` or `brier`; by default "
        "both of the task.",
    )
    margin: float = Field(0.01, gt=0, description="Not worse: metrics may be higher by this share of the baseline's.")
    segment_margin: float = Field(
        0.03, gt=0, description="Not worse: a segment that is shown to lose more than this share is a refusal."
    )
    confidence: float = Field(0.99, ge=0.8, lt=1, description="Not worse: of the metrics' intervals, two-sided.")
    power: float = Field(
        0.8,
        gt=0.5,
        lt=1,
        description="Not worse: where the data does not decide, the message says how much accepts a candidate that is "
        "as good with this probability.",
    )
    min_labels: int | None = Field(
        None,
        ge=2,
        description=f"Not worse: fewer labels are not judged; by default {_NARROW[0]}, and {_WIDE[0]:,} for a margin "
        f"above {_NARROW_MARGIN:.0%}.",
    )
    min_days: int | None = Field(
        None,
        ge=LEAST_DAYS,
        description=f"Not worse: nor fewer days, what goes wrong on a few days needs days to be seen on; by default "
        f"{_NARROW[1]}, and {_WIDE[1]} for a margin above {_NARROW_MARGIN:.0%}.",
    )
    min_segment_labels: int = Field(
        50,
        ge=2,
        description=f"Segments of fewer labels, or on fewer than {LEAST_DAYS} days, are shown, not judged.",
    )
    resamples: int = Field(2_000, ge=200, description="Bootstrap resamples behind each interval.")
    seed: int = Field(20130101, ge=0, description="Of the bootstrap.")

    moved_by: float = Field(
        5.0,
        gt=0,
        description="A prediction has moved when the two differ by more than this, in the target's unit; a class, when "
        "it is another.",
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
    on: str = Field("time", description="`time` of the prediction in UTC, or a date or time of the row.")
    traffic_dir: Path | str | None = Field(
        None, description="The traffic log: a folder, or a URI of one; by default where a server writes it."
    )

    sample: int | None = Field(None, ge=1, description="Rows drawn evenly of the examples; all without it.")
    protocol: Protocol = Field("json", description="How servers are asked that are compared by their URL.")
    baseline_grpc: str | None = Field(None, pattern=r"^\S+:\d+$", description="HOST:PORT of the baseline's gRPC.")
    candidate_grpc: str | None = Field(None, pattern=r"^\S+:\d+$", description="HOST:PORT of the candidate's.")
    rows_per_request: int = Field(500, ge=1, description="Rows in one request to a server.")
    concurrency: int = Field(2, ge=1, description="Requests at a time to a server.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one response of a server.")

    @property
    def minima(self) -> tuple[int, int]:
        """The fewest labels and the fewest days that are judged."""
        labels, days = _NARROW if self.margin <= _NARROW_MARGIN else _WIDE
        return self.min_labels or labels, self.min_days or days

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("--from must be before --to")
        return self


def read_settings(table: Mapping[str, Any] = MappingProxyType({}), **given: Any) -> CompareSettings:
    """The settings: those that are `given`, else those of the environment, else those of a table.

    Parameters
    ----------
    table : mapping, optional
        The table `[compare]` of the project's settings of monitoring.
    **given
        Settings by name.

    Raises
    ------
    CompareError
        For the first that is wrong, named as the option, the variable or the key that it came from.
    """
    own, logged = dict(table), os.environ.get("TABULAR_BENTO_TRAFFIC_DIR")
    if logged is not None:
        own["traffic_dir"] = logged
    try:
        check_variables(PREFIX, CompareSettings.model_fields)
        return settings_of(CompareSettings, given, own, "[compare] ", whole=True)
    except ConfigError as error:
        raise CompareError(str(error)) from error
