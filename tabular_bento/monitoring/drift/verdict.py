"""The decision: from scores, labels and counts to one verdict with findings in order of importance.

The rules, first that holds:

1. `invalid_data` where lines that cannot be read are more than `max_bad_share` of the window's lines, or the log lacks
   a column of the model's package or declares it as another kind: what is left would be judged wrongly.
2. `not_enough_data` below `min_rows` rows or those that the calibration is for, or for a part of a day: such windows
   differ from the reference by chance, or by the hour. They never are drift.
3. `drift` where
   - the prediction drifts,
   - the drifted features, weighted by importance, are more than `max_drifted_share` of all,
   - one feature is so far beyond its limit that the others need not agree: by `strong_drift` times the limit for a
     feature of at least the mean importance or the offset, and by the more times the less it weighs,
   - a column is constant for twice as long as ever in training, or wholly missing or empty, or the share that it misses
     rises by more than `missing_rise` and more than is usual,
   - of a column, whatever it weighs, more than `alarm_share` is new, out of range, or of a category that is gone; or
     its unit has changed (`drift.quality`),
   - predictions are off to one side by twice what chance and days explain,
   - the observed performance is too bad: RMSE, of classes log loss, over that of the naive baseline above
     `max_error_ratio`, and above what is usual for the span, by all of its 95 % interval, of at least `min_labels`
     mature predictions of which at least `min_coverage` have a label. The ratio, not the metric: there are days that
     are hard for every model. An estimate of the error decides nothing,
   - fewer labels are inside of the predictions' intervals than these promise, by all of the 95 % interval of as many.
4. `warning` where a finding of `WARNING_KINDS` is a warning: the same rules with lower limits, the offset or the labels
   beyond their limits, single columns far beyond theirs, and predictions that are off by the same in all segments.
5. `no_drift` otherwise; single drifted columns are findings still.

A column drifts above its own limit, calibrated at training for windows of as many days and rows
(`reference.calibration`), all columns together being right but for one window in 26 that is like those of training.
What holds for features holds for the inputs of a problem that has no features.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tabular_bento.evaluation.reference.estimate import Estimate, Withheld
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.checks import (
    broken_findings,
    damaged_findings,
    line_findings,
    row_findings,
    size_finding,
    unjudged_finding,
    with_advice,
    withheld_finding,
)
from tabular_bento.monitoring.drift.observed import band, label_findings, shift_findings
from tabular_bento.monitoring.drift.performance import measuring, series
from tabular_bento.monitoring.drift.quality import column_findings, text_findings, unit_findings
from tabular_bento.monitoring.drift.result import (
    EXIT_CODES,
    FAILED,
    SMALL_KINDS,
    Alert,
    Column,
    Decision,
    DriftResult,
    Finding,
    Labels,
    Rows,
    Severity,
    Verdict,
    Window,
)
from tabular_bento.monitoring.drift.segments import segment_results
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, WindowData

DRIFT_KINDS = (
    "column_all_missing",
    "column_empty",
    "column_constant",
    "missing_rise",
    "prediction_drift",
    "strong_drift",
    "share_of_features",
    "category_gone",
    "new_category",
    "unit_changed",
    "out_of_range",
    "observed_performance",
    "interval_coverage",
    "bias",
)
"""Findings that make the verdict `drift` as alarms, given enough rows; the plainest first."""

WARNING_KINDS = (
    "column_infinite",
    "missing_more",
    "category_gone",
    "new_category",
    "out_of_range",
    "offset_drift",
    "far_drift",
    "bias",
    "interval_coverage",
    "common_shift",
    "label_drift",
)
"""Findings that make the verdict `warning` as warnings, where nothing makes another."""

INVALID_KINDS = ("file_damaged", "bad_lines", "column_absent", "column_wrong_type")
"""Findings that make the verdict `invalid_data`."""

FACTS = ("column_all_missing", "column_empty", "observed_performance")
"""Those of DRIFT_KINDS that are worth a word where the window is too small for the limits that the others rest on."""

UNDATED = 1.0
"""Days that a window is taken to span where its rows have no event time: their limits do not depend on it."""

_SEVERITIES: tuple[Severity, ...] = ("alarm", "warning", "notice", "note")


def decide(
    query: Query,
    reference: Reference,
    data: WindowData,
    columns: list[Column],
    labels: Labels,
    estimate: Estimate | Withheld | None,
    settings: DriftSettings,
) -> DriftResult:
    """The verdict on the window, `columns` being from the most to the least drifted.

    It alerts wherever it is drift; what came before may calm it (`drift.history`). In a window that is too small
    no column is judged.
    """
    days = data.days or UNDATED
    small = None if data.broken else size_finding(data, reference, query, settings)
    if small:
        columns = [_unjudged(column, SMALL_KINDS[small.kind]) for column in columns]
    features = [column for column in columns if column.weighs and column.excess is not None]
    weight = sum(column.importance for column in features)
    drifted_weight = sum(column.importance for column in features if column.drifted)
    share = drifted_weight / weight if weight else None
    offset = reference.declaration.offset if reference.declaration else None
    references = {column.name: column for column in reference.columns}
    findings = [
        *damaged_findings(data),
        *line_findings(data.rows, settings),
        *broken_findings(data, reference),
        *row_findings(data, reference),
        *unjudged_finding(reference),
        *withheld_finding(estimate),
        *text_findings(data, reference, settings),
        *_share_findings(features, share, settings),
        *_strong_findings(features, offset, settings),
        *_offset_findings(columns, offset),
        *unit_findings(columns, reference, data, settings),
        *label_findings(labels, reference, days, settings),
        *shift_findings(labels, data, reference, days, settings),
        *(
            finding
            for column in columns
            if column.name in references and not settings.ignores(column.name)
            for finding in column_findings(column, references[column.name], data, days, settings.column(column.name))
        ),
        *(_label_drift(column) for column in columns if column.role == "label" and column.drifted),
    ]
    if small:
        findings = [small, *_of_small(findings, small)]
    verdict, reasons = _verdict(findings)
    decision = Decision(
        days=data.days,
        features_scored=len(features),
        features_drifted=sum(column.drifted for column in features),
        drifted_share=share,
        max_drifted_share=settings.max_drifted_share,
        prediction_drifted=any(column.role == "prediction" and column.drifted for column in columns),
        reasons=reasons,
    )
    order = {kind: index for index, kind in enumerate(reasons)}
    findings.sort(key=lambda finding: (order.get(finding.kind, len(order)), _SEVERITIES.index(finding.severity)))
    drifted, evaluator = verdict == "drift", measuring(reference)
    return DriftResult(
        verdict=verdict,
        alert=Alert(alert=drifted, after=1, of=1, drifted=int(drifted), windows=1),
        exit_code=FAILED if data.damaged else EXIT_CODES[verdict],
        made_at=datetime.now(UTC),
        model=reference.model,
        metric=evaluator.losses[0] if evaluator else None,
        window=Window(start=query.start, end=query.end, on=query.on, log=str(query.directory)),
        rows=Rows(**vars(data.rows)),
        decision=decision,
        findings=[with_advice(finding, columns) for finding in findings],
        columns=columns,
        labels=labels,
        performance=series(data, evaluator, settings),
        performance_band=band(labels, reference, days),
        estimate=None if isinstance(estimate, Withheld) else estimate,
        by=query.by,
        segments=segment_results(query, reference, data, settings, judged=small is None),
        settings=settings.limits(),
        column_settings={name: own.model_dump(exclude_none=True) for name, own in settings.columns.items()},
    )


def _unjudged(column: Column, why: str) -> Column:
    """A column that was read, without its limits, which are not for windows so small."""
    if column.score is None:
        return column
    limits = dict.fromkeys(("threshold", "usual", "missing_limit"))
    return column.model_copy(update={**limits, "drifted": False, "reason": why})


def _of_small(findings: list[Finding], small: Finding) -> Iterator[Finding]:
    """What is left to say of a small window: nothing that rests on a limit."""
    for finding in findings:
        if finding.kind in FACTS:
            yield finding.model_copy(update={"severity": "note" if small.kind == "few_rows" else "notice"})
        elif finding.kind not in (*DRIFT_KINDS, *WARNING_KINDS):
            yield finding


def _verdict(findings: list[Finding]) -> tuple[Verdict, list[str]]:
    kinds = {finding.kind for finding in findings if finding.severity == "alarm"}
    verdicts: tuple[tuple[Verdict, tuple[str, ...]], ...] = (
        ("invalid_data", INVALID_KINDS),
        ("not_enough_data", tuple(SMALL_KINDS)),
        ("drift", DRIFT_KINDS),
    )
    for verdict, decisive in verdicts:
        if reasons := [kind for kind in decisive if kind in kinds]:
            return verdict, reasons
    warned = {finding.kind for finding in findings if finding.severity == "warning"}
    reasons = [kind for kind in WARNING_KINDS if kind in warned]
    return ("warning", reasons) if reasons else ("no_drift", [])


def _share_findings(features: list[Column], share: float | None, settings: DriftSettings) -> Iterator[Finding]:
    drifted = [column.name for column in features if column.drifted]
    if share is not None and share > settings.max_drifted_share:
        names = ", ".join(drifted[:8]) + (", ..." if len(drifted) > 8 else "")
        text = (
            f"{len(drifted)} of {len(features)} {_what(features)} drifted ({names}): {share:.0%} by importance, "
            f"of at most {settings.max_drifted_share:.0%}"
        )
        yield Finding.of("alarm", "share_of_features", text)


def _what(features: list[Column]) -> str:
    return "inputs" if all(column.role == "input" for column in features) else "features"


def _strong_findings(features: list[Column], offset: str | None, settings: DriftSettings) -> Iterator[Finding]:
    """One finding that names the features whose shift is enough by itself.

    The offset weighs all that a feature can: it is added whole to the prediction.
    """

    def weight(column: Column) -> float:
        return 1.0 if column.name == offset else min(column.importance / mean, 1)

    mean = sum(column.importance for column in features) / max(len(features), 1)
    strong = [
        (column.name, column.excess)
        for column in features
        if mean and column.excess and (column.excess - 1) * weight(column) >= settings.strong_drift
    ]
    if strong:
        names = ", ".join(f"{name} is at {excess:.1f} times its limit" for name, excess in strong[:4])
        text = f"{names}{', ...' if len(strong) > 4 else ''}: enough, given its importance, whatever the others do"
        yield Finding.of("alarm", "strong_drift", text)


def _offset_findings(columns: list[Column], offset: str | None) -> Iterator[Finding]:
    for column in columns:
        if column.name == offset and column.drifted:
            text = f"{column.name}, which is added whole to the prediction, drifted: {column.reason}"
            yield Finding.of("warning", "offset_drift", text, column.name)


def _label_drift(column: Column) -> Finding:
    return Finding.of("warning", "label_drift", f"{column.name}: {column.reason}", column.name)
