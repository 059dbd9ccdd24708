"""The decision: from scores, outcomes and counts to one verdict with findings in order of importance.

The rules, first that holds:

1. `invalid_data` where lines that cannot be read are more than `max_bad_share` of the log, or the log lacks a column
   of the model's package or declares it as another kind: what is left would be judged wrongly.
2. `not_enough_data` below `min_rows` rows or those that the calibration is for, or for a part of a day: such windows
   differ from the reference by chance, or by the hour. They never are drift.
3. `drift` where
   - the prediction drifts,
   - the drifted features, weighted by importance, are more than `max_drifted_share` of all,
   - one feature is so far beyond its limit that the others need not agree: by `strong_drift` times the limit for a
     feature of at least the mean importance, and by the more times the less it weighs,
   - a column is constant for twice as long as ever in training, or wholly missing, or the share that it misses rises by
     more than `missing_rise` and more than is usual,
   - the realised error is too large: RMSE over that of zero gain above `max_error_ratio`, and above what is usual for
     the span, by all of its 95 % interval, with at least `min_outcomes` outcomes. The ratio, not the RMSE: storms make
     every forecast worse.
4. `no_drift` otherwise; single drifted columns are findings still.

A column drifts above its own limit, calibrated at training for windows of as many days and rows
(`monitoring.calibration`), all columns together being right but for one window in 26 that is like those of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from monitoring.reference import Reference
from monitoring.result import (
    EXIT_CODES,
    Column,
    Decision,
    DriftResult,
    Finding,
    Outcomes,
    Rows,
    Severity,
    Verdict,
    Window,
)
from monitoring.scores import column_findings, excess
from monitoring.settings import DriftSettings
from monitoring.window import Query, RowCounts, WindowData

DRIFT_KINDS = (
    "column_all_missing",
    "column_constant",
    "missing_rise",
    "prediction_drift",
    "strong_drift",
    "share_of_features",
    "realised_error",
)
"""Findings that make the verdict `drift`, given enough rows; the plainest first."""

INVALID_KINDS = ("bad_lines", "column_unreadable")
"""Findings that make the verdict `invalid_data`."""

SMALL_KINDS = ("few_rows", "few_hours")
"""Findings that make the verdict `not_enough_data`."""

_ONE_DAY, _MOST = 1.5, 0.8
"""Windows of fewer days must be spread over this part of the hours that a day of training is spread over."""

_SEVERITIES: tuple[Severity, ...] = ("alarm", "warning", "note")


def decide(
    query: Query,
    reference: Reference,
    data: WindowData,
    columns: list[Column],
    outcomes: Outcomes,
    settings: DriftSettings,
) -> DriftResult:
    """The verdict on the window, `columns` being from the most to the least drifted."""
    features = [column for column in columns if column.role == "feature" and column.score is not None]
    weight = sum(column.importance for column in features)
    drifted_weight = sum(column.importance for column in features if column.drifted)
    share = drifted_weight / weight if weight else None
    days = data.blocks.days
    references = {column.name: column for column in reference.columns}
    findings = [
        *_line_findings(data.rows, settings),
        *_row_findings(data, reference, days, query, settings),
        *_share_findings(features, share, settings),
        *_strong_findings(features, settings),
        *_outcome_findings(outcomes, reference, days, settings),
        *(
            finding
            for column in columns
            if column.name in references
            for finding in column_findings(
                column, references[column.name], data.tallies.get(column.name), days, settings
            )
        ),
        *(_outcome_drift(column) for column in columns if column.role == "outcome" and column.drifted),
    ]
    verdict, reasons = _verdict(findings)
    decision = Decision(
        days=days,
        features_scored=len(features),
        features_drifted=sum(column.drifted for column in features),
        drifted_share=share,
        max_drifted_share=settings.max_drifted_share,
        prediction_drifted=any(column.role == "prediction" and column.drifted for column in columns),
        reasons=reasons,
    )
    order = {kind: place for place, kind in enumerate(reasons)}
    findings.sort(key=lambda finding: (order.get(finding.kind, len(order)), _SEVERITIES.index(finding.severity)))
    return DriftResult(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        made_at=datetime.now(UTC),
        model=reference.model,
        window=Window(start=query.start, end=query.end, on=query.on, log=str(query.directory)),
        rows=Rows(**vars(data.rows)),
        decision=decision,
        findings=findings,
        columns=columns,
        outcomes=outcomes,
        settings=settings.model_dump(),
    )


def _verdict(findings: list[Finding]) -> tuple[Verdict, list[str]]:
    kinds = {finding.kind for finding in findings}
    verdicts: tuple[tuple[Verdict, tuple[str, ...]], ...] = (
        ("invalid_data", INVALID_KINDS),
        ("not_enough_data", SMALL_KINDS),
        ("drift", DRIFT_KINDS),
    )
    for verdict, decisive in verdicts:
        if reasons := [kind for kind in decisive if kind in kinds]:
            return verdict, reasons
    return "no_drift", []


def _line_findings(rows: RowCounts, settings: DriftSettings) -> Iterator[Finding]:
    """Lines of the log that cannot be read."""
    example = f", such as {rows.examples[0]}" if rows.examples else ""
    lines = rows.scored + rows.duplicates + rows.other_models + rows.without_id + rows.bad
    if rows.bad > settings.max_bad_share * lines:
        text = f"{rows.bad:,} of {lines:,} lines cannot be read{example}; mend what writes them, then run this again"
        yield Finding(severity="alarm", kind="bad_lines", column=None, text=text)
    elif rows.bad:
        yield _note("some_bad_lines", f"{rows.bad:,} of {lines:,} lines cannot be read and are left out{example}")
    if rows.torn:
        yield _note("torn_lines", f"{rows.torn:,} last line(s) were never ended, as when a process is killed{example}")


def _row_findings(
    data: WindowData, reference: Reference, days: float, query: Query, settings: DriftSettings
) -> Iterator[Finding]:
    rows, needed = data.rows, max(settings.min_rows, reference.min_rows)
    hours = data.blocks.hours
    if rows.scored < needed:
        text = f"the window has {rows.scored:,} rows; {needed:,} are needed to tell drift from chance"
        if not rows.scored:
            text = f"no row under {query.directory} is in the window on {query.on!r}: check the folder and the times"
        yield Finding(severity="alarm", kind="few_rows", column=None, text=text)
    elif days < _ONE_DAY and hours < _MOST * reference.day_hours:
        text = (
            f"the rows are of {hours:.0f} hours of a day, and a day of training is spread over "
            f"{reference.day_hours:.0f}; the limits are for whole days: take a longer window"
        )
        yield Finding(severity="alarm", kind="few_hours", column=None, text=text)
    if rows.other_models:
        text = f"{rows.other_models:,} rows of the window are of other models and were left out"
        yield Finding(severity="warning", kind="other_models", column=None, text=text)
    if rows.duplicates:
        yield _note("duplicates", f"{rows.duplicates:,} rows repeat a prediction_id and were left out")
    if rows.without_id:
        text = f"{rows.without_id:,} rows have no prediction_id and were left out"
        yield Finding(severity="warning", kind="without_id", column=None, text=text)


def _share_findings(features: list[Column], share: float | None, settings: DriftSettings) -> Iterator[Finding]:
    drifted = [column.name for column in features if column.drifted]
    if share is not None and share > settings.max_drifted_share:
        names = ", ".join(drifted[:8]) + (", ..." if len(drifted) > 8 else "")
        text = (
            f"{len(drifted)} of {len(features)} features drifted ({names}): {share:.0%} by importance, "
            f"of at most {settings.max_drifted_share:.0%}"
        )
        yield Finding(severity="alarm", kind="share_of_features", column=None, text=text)


def _strong_findings(features: list[Column], settings: DriftSettings) -> Iterator[Finding]:
    """One finding that names the features whose shift is enough by itself."""
    mean = sum(column.importance for column in features) / max(len(features), 1)
    strong = [
        column
        for column in features
        if mean and (excess(column) - 1) * min(column.importance / mean, 1) >= settings.strong_drift
    ]
    if strong:
        names = ", ".join(f"{column.name} is at {excess(column):.1f} times its limit" for column in strong[:4])
        text = f"{names}{', ...' if len(strong) > 4 else ''}: enough, given its importance, whatever the others do"
        yield Finding(severity="alarm", kind="strong_drift", column=None, text=text)


def _outcome_findings(
    outcomes: Outcomes, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    ratio, interval, model = outcomes.ratio_to_zero_gain, outcomes.ratio_interval, outcomes.model
    if not outcomes.matched or model is None:
        yield _note("no_outcomes", "no prediction of the window has an outcome yet, so its error is not known")
    elif ratio is not None:
        ranged = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        text = f"RMSE {model.rmse:.2f} of {model.n:,} outcomes, {ratio:.3f}{ranged} of zero gain's"
        if trained := reference.error.get("ratio_to_zero_gain"):
            text += f" ({trained:.3f} in the months it was tested on)"
        if outcomes.matched < settings.min_outcomes:
            yield _note("few_outcomes", f"{text}; {settings.min_outcomes:,} outcomes are needed to judge it")
        elif interval and interval[0] > (limit := max(settings.max_error_ratio, reference.usual_ratio(days))):
            text = f"{text}, of at most {limit:.3g}"
            yield Finding(severity="alarm", kind="realised_error", column=None, text=text)
        else:
            yield _note("realised_error_allowed", f"{text}, as is allowed")
    if outcomes.contradictory:
        text = f"{outcomes.contradictory:,} predictions have outcomes that differ; the latest of each counts"
        yield Finding(severity="warning", kind="contradictory_outcomes", column=None, text=text)
    if outcomes.unknown:
        text = f"{outcomes.unknown:,} outcomes are of predictions that the log does not hold"
        yield Finding(severity="warning", kind="unknown_outcomes", column=None, text=text)
    if outcomes.bad:
        text = f"{outcomes.bad:,} outcomes cannot be read and were left out"
        yield Finding(severity="warning", kind="bad_outcomes", column=None, text=text)


def _outcome_drift(column: Column) -> Finding:
    return Finding(
        severity="warning", kind="outcome_drift", column=column.name, text=f"what came true: {column.reason}"
    )


def _note(kind: str, text: str) -> Finding:
    return Finding(severity="note", kind=kind, column=None, text=text)
