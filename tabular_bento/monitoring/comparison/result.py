"""The verdict on a candidate and all that it rests on: the schema of `compare.json`.

Strict JSON: no NaN, no Infinity; what does not apply or could not be measured is null. A delta is the candidate's less
the baseline's: above zero the candidate is worse. RMSE and MAE are in the target's unit, log loss is in nats. Intervals
are [low, high].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from tabular_bento.evaluation.noninferiority import Status
from tabular_bento.monitoring.files import Part

FORMAT = 4

Mode = Literal["equivalent", "not_worse"]
Verdict = Literal["accepted", "refused", "cannot_tell"]
Interval = tuple[float, float]

EXIT_CODES: dict[Verdict, int] = {"accepted": 0, "refused": 1, "cannot_tell": 2}
"""What the command ends with; 3 is a comparison that failed."""


@dataclass
class Decision:
    """What was found against a candidate, what could not be decided, and what was found for it; in plain words.

    What refuses wins over what cannot be decided.
    """

    refusals: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        if self.refusals:
            return "refused"
        return "cannot_tell" if self.unclear else "accepted"

    @property
    def reasons(self) -> list[str]:
        """Why."""
        return [*self.refusals, *self.unclear] or self.confirmed


class ComparedModel(Part):
    """One of the two models."""

    name: Annotated[str, Field(description="As it was given: a tag, a folder or a URL")]
    kind: Annotated[Literal["package", "server", "log"], Field(description="Where its predictions come from")]
    model: Annotated[str | None, Field(description="Tag of the model that predicts")]
    fingerprint: Annotated[str | None, Field(description="Of its package")]
    trained_at: str | None
    size_bytes: Annotated[int | None, Field(description="Of all files of its package")]


class Source(Part):
    """Where the rows came from."""

    kind: Literal["test", "parquet", "traffic", "shadow"]
    where: str
    first: Annotated[datetime | None, Field(description="Event time of the earliest row; null without event times")]
    last: datetime | None


class Rows(Part):
    """What was compared."""

    compared: int
    labels: Annotated[int, Field(description="Of those, with a label")]
    days: Annotated[
        int, Field(description="Days of the event time that have labels; blocks of rows where there is no event time")
    ]
    left_out: Annotated[dict[str, int], Field(description="Rows that could not be compared, by why")]


class WorstRow(Part):
    """A row on which the two differ much."""

    row: Annotated[str, Field(description="Its prediction_id, or its place in the source")]
    output: Annotated[str, Field(description="The number of the prediction by which the two differ most")]
    baseline: float
    candidate: float
    delta: float
    fields: dict[str, Any]
    features: Annotated[dict[str, float | None] | None, Field(description="Of the baseline, where it is a package")]
    features_differ: Annotated[
        dict[str, tuple[float | None, float | None]], Field(description="Those that the two have unlike: both values")
    ]


class Agreement(Part):
    """How far the two agree, row by row. Of several numbers, the one by which a row differs most counts."""

    rows_differing: Annotated[int, Field(description="Rows of which any bit differs")]
    rows_beyond: Annotated[int, Field(description="Rows beyond absolute plus relative tolerance, or of another class")]
    classes_differing: Annotated[
        int | None, Field(description="Rows of which the predicted class differs; null where no class is predicted")
    ] = None
    largest: Annotated[float, Field(description="Largest difference, absolute")]
    largest_ulps: Annotated[int, Field(description="The same in units of the last place of float64")]
    mean: Annotated[float, Field(description="Mean difference, candidate less baseline")]
    moved: Annotated[int, Field(description="Rows that moved by more than `moved_by`, or to another class")]
    moved_share: float
    worst: list[WorstRow]


class Metric(Part):
    """One metric of both."""

    name: Annotated[str, Field(description="Of the task's two losses: `rmse`, `mae`, `log_loss` or `brier`")]
    baseline: float
    candidate: float
    delta: float
    interval: Interval | None
    margin: Annotated[float, Field(description="The delta that is allowed")]
    status: Status
    decides: Annotated[bool, Field(description="Whether the verdict rests on it")] = True


class Needed(Part):
    """How much data would decide, in all."""

    labels: int
    days: Annotated[int | None, Field(description="Days with labels; null where there is no event time")]
    power: Annotated[float, Field(description="With this probability a candidate that is as good is accepted then")]


class SegmentMetric(Part):
    """One metric of both on one segment; intervals of all segments hold together."""

    baseline: float
    delta: float
    interval: Interval | None
    margin: float


class Segment(Part):
    """The rows of one value of a field; metrics that the task does not have are null."""

    field: str
    value: str
    labels: int
    days: int
    rmse: SegmentMetric | None = None
    mae: SegmentMetric | None = None
    log_loss: SegmentMetric | None = None
    brier: SegmentMetric | None = None
    status: Annotated[
        Literal["harmed", "held", "unclear", "too_few"],
        Field(description="`harmed` is a refusal; `held` is within its margin by all of its interval"),
    ]

    def metric(self, name: str) -> SegmentMetric:
        """The metric of that name. Raises ValueError where the task does not have it."""
        found = getattr(self, name, None)
        if not isinstance(found, SegmentMetric):
            raise ValueError(f"the segment has no {name!r}")
        return found


class Day(Part):
    """The metric of both on one day; those that the task does not have are null."""

    day: date
    labels: int
    baseline_rmse: float | None = None
    candidate_rmse: float | None = None
    baseline_log_loss: float | None = None
    candidate_log_loss: float | None = None

    def values(self, metric: str) -> tuple[float, float]:
        """The metric of that name of the baseline, and of the candidate."""
        return getattr(self, f"baseline_{metric}"), getattr(self, f"candidate_{metric}")


class Cost(Part):
    """One measure of both that is not about errors."""

    name: Literal["one_row_microseconds", "thousand_rows_microseconds", "package_bytes"]
    baseline: float
    candidate: float
    ratio: float
    limit: Annotated[float | None, Field(description="The ratio that is a refusal; null where none is set")]


class CompareResult(Part):
    """All of `compare.json`."""

    format: int = FORMAT
    verdict: Verdict
    exit_code: int
    made_at: datetime
    mode: Mode
    target: Annotated[str, Field(description="The output that is compared")]
    metric: Annotated[str, Field(description="The first metric of the task, which segments and days are shown by")]
    unit: Annotated[str | None, Field(description="Of its values")]
    baseline: ComparedModel
    candidate: ComparedModel
    source: Source
    reasons: Annotated[list[str], Field(description="Why, in plain words; never empty")]
    notes: Annotated[list[str], Field(description="What to know beside")]
    rows: Rows
    agreement: Agreement | None
    metrics: list[Metric]
    needed: Annotated[Needed | None, Field(description="Null where the data decides, or no amount of it would")]
    segments: list[Segment]
    days: Annotated[list[Day], Field(description="Empty without event times")]
    costs: list[Cost]
    settings: dict[str, Any]
