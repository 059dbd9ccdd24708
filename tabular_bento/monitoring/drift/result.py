"""The verdict on a window and all that it rests on: the schema of `result.json`.

Strict JSON: no NaN, no Infinity; what does not apply or could not be measured is null. Times are ISO 8601, shares are
0 to 1, and intervals are [low, high] at 95 %. Errors of numbers are prediction less label in the target's unit. Of
classes there are log loss, in nats, and Brier score; the bias is the mean probability of the positive class, of more
than two classes of the predicted one, less the share of rows where it is the label. `metric` names the metric that
ratios, segments and performance over time are of; metrics that the task does not have are null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from tabular_bento.evaluation.reference.estimate import Estimate, Interval
from tabular_bento.evaluation.reference.package import Role
from tabular_bento.monitoring.files import Part

FORMAT = 6

Verdict = Literal["no_drift", "warning", "drift", "not_enough_data", "invalid_data"]
Severity = Literal["alarm", "warning", "notice", "note"]

EXIT_CODES: dict[Verdict, int] = {"no_drift": 0, "warning": 0, "drift": 1, "not_enough_data": 2, "invalid_data": 2}
"""What the command ends with. A drift that `--alert-after` holds back ends with 0, a warning with 1 where it is asked
to.
"""

SMALL_KINDS = {"few_rows": "too few rows to judge", "few_hours": "too few hours of the day to judge"}
"""Findings that make the verdict `not_enough_data`, and what is then said of each column."""

FAILED = 3
"""What it ends with where there is no verdict, no `result.json` holds it, or a file of the log cannot be read."""


class Window(Part):
    """Which rows were judged: `start <= on < end`."""

    start: datetime
    end: datetime
    on: Annotated[str, Field(description="`time` of the prediction in UTC, or a time of the row")]
    log: Annotated[str, Field(description="Folder of the traffic log")]


class Rows(Part):
    """Lines of the log."""

    scored: Annotated[int, Field(description="Rows of the model in the window, each prediction_id once")]
    duplicates: Annotated[int, Field(description="Further rows of the same prediction_id, left out")]
    other_models: Annotated[int, Field(description="Rows of the window that another model predicted, left out")]
    without_id: Annotated[int, Field(description="Rows of the window without a prediction_id, left out")]
    truncated: Annotated[int, Field(description="Last lines of log files that were never ended, of the window")]
    bad: Annotated[
        int, Field(description="Lines of the window that could not be read, in log files and as sealing rejected them")
    ]
    future: Annotated[int, Field(description="Rows judged that are dated after the job ran")] = 0
    unusable: Annotated[
        dict[str, int],
        Field(description="Rows judged whose error cannot be measured, by the column at fault: as without a label"),
    ] = {}  # noqa: RUF012  # pydantic copies it
    examples: Annotated[list[str], Field(description="Where some truncated and bad lines are, and why")]


class Histogram(Part):
    """Rows of one column by the reference's bins."""

    bins: Annotated[list[str], Field(description="What each bin holds; the first two are missing and out of range")]
    edges: Annotated[
        list[float] | None, Field(description="Of the bins from the third on, where they are intervals of numbers")
    ]
    dates: Annotated[bool, Field(description="Whether the edges are days since 1970")] = False
    reference: list[int]
    window: list[int]


class Column(Part):
    """One column of the window against the reference."""

    name: str
    role: Role
    method: Annotated[str, Field(description="How the score is computed; `psi` is on the profile's fixed bins")]
    direction: Annotated[Literal["above"], Field(description="The column drifts when the score is above the threshold")]
    score: float | None
    threshold: Annotated[float | None, Field(description="Null where the window is too small for any")]
    usual: Annotated[
        float | None, Field(description="The largest score of training windows of as many days, less what was noise")
    ]
    noise: Annotated[float | None, Field(description="The score to expect of unchanged data of this size")]
    n: Annotated[int, Field(description="Rows of the window that were scored, missing values among them")]
    n_reference: int
    missing: Annotated[float | None, Field(description="Share missing in the window")]
    missing_reference: float
    missing_limit: Annotated[float | None, Field(description="The share missing that is too much")]
    out_of_range: Annotated[float | None, Field(description="Share that the reference had no bin for")]
    importance: Annotated[float, Field(description="Weight among the features")]
    healthy: Annotated[bool, Field(description="Whether it is plain, varying numbers or text, and goes to Evidently")]
    drifted: bool
    reason: Annotated[str, Field(description="In plain words")]
    histogram: Annotated[Histogram | None, Field(description="Null without rows")] = None

    @property
    def weighs(self) -> bool:
        """Whether it is a feature, an input of a problem without features, or the offset."""
        return self.role in ("feature", "input")

    @property
    def excess(self) -> float | None:
        """The score in terms of its threshold, above 1 where it drifted; None where one of them is not there."""
        return self.score / self.threshold if self.score is not None and self.threshold else None


class _Measured(Part):
    """A part that holds metrics by their names."""

    def metric(self, name: str | None) -> float | None:
        """The metric of that name; None where it is not there or was not measured."""
        found: float | None = getattr(self, name or "", None)
        return found

    def metric_interval(self, name: str | None) -> Interval | None:
        """Its interval."""
        found: Interval | None = getattr(self, f"{name}_interval", None)
        return found


METRICS = ("rmse", "mae", "log_loss", "brier")
"""The metrics that errors may have."""


class Errors(_Measured):
    """Errors of n predictions. Intervals are null for too few blocks of time."""

    n: int
    rmse: float | None = None
    rmse_interval: Interval | None = None
    mae: float | None = None
    mae_interval: Interval | None = None
    log_loss: float | None = None
    log_loss_interval: Interval | None = None
    brier: float | None = None
    brier_interval: Interval | None = None
    bias: float
    bias_interval: Interval | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the task has."""
        return tuple(name for name in METRICS if self.metric(name) is not None)


class Maturity(Part):
    """Which predictions are old enough that their label should have come; errors are measured on those alone."""

    hours: Annotated[float, Field(description="The age from which a prediction is mature")]
    source: Annotated[
        Literal["setting", "observed"],
        Field(
            description="Where the hours come from: the setting `maturity_hours`, or the delays of the labels so far"
        ),
    ]
    predictions: Annotated[int, Field(description="Mature predictions of the window")]
    share: Annotated[float, Field(description="Of the window's predictions")]
    matched: Annotated[int, Field(description="Mature predictions with a label")]
    coverage: Annotated[float | None, Field(description="Share of the mature predictions with a label")]
    judged: Annotated[bool, Field(description="Whether there are enough of them to judge the error")]


class IntervalCoverage(Part):
    """How often the labels of n mature predictions are inside of their intervals."""

    level: Annotated[float, Field(description="The share that the intervals are to hold")]
    n: int
    coverage: Annotated[float, Field(description="The share that they hold")]
    coverage_interval: Annotated[Interval | None, Field(description="Null for too few blocks of time")]


CLASS_METRICS = ("roc_auc", "average_precision", "calibration_error", "accuracy", "precision", "recall", "f1")
"""The metrics of classes beyond the losses; the last three are of two classes."""


class ClassMetrics(_Measured):
    """Metrics of predicted classes on n mature predictions of the window's sample, with 95 % intervals.

    A metric is null where the labels do not say it, an interval for too few blocks of time.
    """

    n: int
    roc_auc: float | None
    roc_auc_interval: Interval | None
    average_precision: float | None
    average_precision_interval: Interval | None
    calibration_error: float | None
    calibration_error_interval: Interval | None
    accuracy: float | None
    accuracy_interval: Interval | None
    precision: float | None = None
    precision_interval: Interval | None = None
    recall: float | None = None
    recall_interval: Interval | None = None
    f1: float | None = None
    f1_interval: Interval | None = None
    classes: list[str]
    confusion_matrix: Annotated[
        list[list[int]], Field(description="Rows by label, then by predicted class, in the order of `classes`")
    ]
    confusion_matrix_interval: Annotated[
        list[list[Interval | None]], Field(description="Of each cell as a share of the rows with that label")
    ]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured."""
        return tuple(name for name in CLASS_METRICS if self.metric(name) is not None)


class Labels(Part):
    """The labels of the window's predictions, and the observed performance."""

    matched: Annotated[int, Field(description="Predictions with a label; of several, the latest counts")]
    coverage: Annotated[float | None, Field(description="Share of the window's predictions with a label")]
    repeated: Annotated[int, Field(description="Further labels that said the same again")]
    contradictory: Annotated[int, Field(description="Predictions whose labels differ")]
    elsewhere: Annotated[int, Field(description="Labels of other predictions of the log")]
    unknown: Annotated[int, Field(description="Labels of predictions that the log does not hold")]
    truncated: int
    bad: Annotated[int, Field(description="Lines that could not be read, or hold no id or value")]
    before_prediction: Annotated[int, Field(description="Labels received before their prediction was made")] = 0
    median_delay_hours: Annotated[float | None, Field(description="From prediction to latest label, within 2.5 %")]
    maturity: Maturity | None
    model: Annotated[Errors | None, Field(description="Of the mature predictions, where there are any")]
    classes: Annotated[
        ClassMetrics | None, Field(description="Of the mature predictions of the window's sample; null without classes")
    ] = None
    naive_baseline: Annotated[
        Errors | None,
        Field(description="Of the offset, or of the mean of the training labels; of classes, of their shares"),
    ]
    historical_baseline: Annotated[
        Errors | None, Field(description="Of the feature that is a baseline, with the offset where there is one")
    ]
    ratio_to_naive_baseline: Annotated[
        float | None, Field(description="`metric` of the model over that of the naive baseline")
    ]
    ratio_interval: Interval | None
    ratio_to_historical_baseline: Annotated[
        float | None, Field(description="`metric` of the model over the historical baseline's")
    ]
    historical_ratio_interval: Interval | None
    blocks: Annotated[Literal["day", "hour", "row"] | None, Field(description="What the bootstrap draws")]
    interval: Annotated[
        IntervalCoverage | None, Field(description="Of the mature predictions; null of a problem without intervals")
    ] = None


class PerformancePoint(_Measured):
    """The error of the mature predictions of one day, or hour. Intervals are by the hours of a day."""

    start: datetime
    n: int
    rmse: float | None = None
    rmse_interval: Annotated[Interval | None, Field(description="Null for an hour")] = None
    log_loss: float | None = None
    log_loss_interval: Annotated[Interval | None, Field(description="Null for an hour")] = None


class Finding(Part):
    """Something to look at, in plain words."""

    severity: Severity
    kind: Annotated[str, Field(description="A stable word for programs, such as `column_drift`")]
    column: str | None
    text: str
    look_at: Annotated[str | None, Field(description="Where to look first")] = None

    @property
    def label(self) -> str:
        """The word that people read before the text: a window that is too small has no verdict, and no alarm."""
        return "too few" if self.kind in SMALL_KINDS else self.severity

    @classmethod
    def of(cls, severity: Severity, kind: str, text: str, column: str | None = None) -> Self:
        """A finding, of no column unless one is named."""
        return cls(severity=severity, kind=kind, column=column, text=text)


class Alert(Part):
    """Whether to wake somebody: when enough of the last windows drifted, this one among them."""

    alert: bool
    after: Annotated[int, Field(description="Windows that must have drifted (--alert-after)")]
    of: Annotated[int, Field(description="Of so many windows in a row (--of)")]
    drifted: Annotated[int, Field(description="Windows that did, this one included")]
    windows: Annotated[int, Field(description="Windows in a row that are known, this one included")]


class Decision(Part):
    """How the verdict came about."""

    days: Annotated[
        float | None,
        Field(
            description="Over how many days the rows are spread; the limits are for so many. Null without event time"
        ),
    ]
    features_scored: int
    features_drifted: int
    drifted_share: Annotated[float | None, Field(description="Of the features, weighted by importance")]
    max_drifted_share: float
    prediction_drifted: Annotated[bool, Field(description="Whether any output drifted")]
    reasons: Annotated[list[str], Field(description="Kinds of the findings that made the verdict")]


class Segment(_Measured):
    """The rows of the window with one value of the field that it is broken down by. It points, and decides nothing."""

    value: Annotated[str, Field(description="`(others)` are all beyond the most frequent values, `(empty)` have none")]
    rows: int
    share: Annotated[float, Field(description="Of the window's rows")]
    compared: Annotated[bool, Field(description="Whether it and the reference have enough rows of this value")]
    drifted: Annotated[list[str], Field(description="Columns that drifted against the reference's rows of this value")]
    drifted_share: Annotated[float | None, Field(description="Of the features, weighted by importance")]
    labels: Annotated[int, Field(description="Mature predictions with a label")]
    rmse: float | None = None
    log_loss: float | None = None
    ratio_to_naive_baseline: float | None


class DriftResult(Part):
    """All of `result.json`. Findings are in order of importance, columns from the most to the least drifted."""

    format: int = FORMAT
    verdict: Verdict
    alert: Annotated[Alert, Field(description="Decides between exit codes 0 and 1 where the verdict is drift")]
    exit_code: int
    made_at: datetime
    model: Annotated[str | None, Field(description="Tag of the model; null where no row names one")]
    metric: Annotated[str | None, Field(description="`rmse`, of classes `log_loss`; null without a model")] = None
    window: Window
    rows: Rows
    decision: Decision
    findings: list[Finding]
    columns: list[Column]
    labels: Labels
    performance: Annotated[
        list[PerformancePoint],
        Field(description="By the day, or hour of less than three days; empty without event time or labels"),
    ] = []  # noqa: RUF012
    performance_band: Annotated[
        Interval | None,
        Field(description="`metric` of windows that the model had not seen; null if unknown"),
    ] = None
    estimate: Annotated[Estimate | None, Field(description="Null without rows or an error model")]
    by: Annotated[str | None, Field(description="The field that `segments` are the values of (--by)")] = None
    segments: Annotated[list[Segment], Field(description="From the most rows to the fewest")] = []  # noqa: RUF012
    settings: Annotated[dict[str, float | None], Field(description="What made an alarm")]
    column_settings: Annotated[
        dict[str, dict[str, float | bool]], Field(description="Settings of single columns, where they differ")
    ] = {}  # noqa: RUF012

    def at(self, path: str) -> Any:
        """What is at a path such as `labels.model.rmse`; None where a part of it is null."""
        found: Any = self
        for name in path.split("."):
            found = None if found is None else getattr(found, name)
        return found

    @property
    def prediction_excess(self) -> float | None:
        """The score of the prediction in terms of its limit; of several outputs, the largest."""
        known = (column.excess for column in self.columns if column.role == "prediction")
        return max((excess for excess in known if excess is not None), default=None)

    def with_alert(self, alert: Alert) -> Self:
        """The same with another decision on the alert, and the exit code that follows from it."""
        code = self.exit_code
        if self.verdict == "drift":
            code = EXIT_CODES[self.verdict] if alert.alert else 0
        return self.model_copy(update={"alert": alert, "exit_code": code})

    def with_finding(self, finding: Finding) -> Self:
        """The same with one more finding, the last."""
        return self.model_copy(update={"findings": [*self.findings, finding]})
