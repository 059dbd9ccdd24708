"""What is wrong with the data, before any column is looked at: lines, rows and clocks.

And where to look first, for each kind of finding that asks for something; docs/alarms.md says more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tabular_bento.evaluation.reference.estimate import Estimate, Withheld
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.result import Column, Finding
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, RowCounts, WindowData, label_columns, needed_columns
from tabular_bento.traffic.schema import feature_column

_ONE_DAY, _MOST = 1.5, 0.8
"""Windows of fewer days must be spread over this part of the hours that a day of training is spread over."""

_FAULTY = re.compile(r": ([\w.]+) is (?:not of kind|-?NaN|-?Infinity)")
"""The column at fault, as `tabular_bento.traffic.lines` tells it."""

ADVICE = {
    "file_damaged": "the disk, or what copied the log, and whether other files of that day are whole",
    "bad_lines": "the lines named: which process wrote them, and what was deployed there since the last good window",
    "column_absent": "which server wrote the rows (their `model` and `declaration`), and what it was built from",
    "column_wrong_type": "the log's schemas/ folder: the newest one shows who changed the declaration",
    "few_rows": "whether traffic arrives at all: the server's request counter; then --traffic-dir and the window",
    "few_hours": "a window of whole days; if it was one, at which hour the traffic stopped",
    "column_all_missing": "the source of {column}: its feed or join has stopped; predictions go on without it",
    "column_empty": "the client that sends {column} empty",
    "column_constant": "the source of {column}: a stuck sensor, or a default that someone fills in",
    "missing_rise": "which source or segment stopped sending {column}, and since when",
    "missing_more": "which source or segment stopped sending {column}, and since when",
    "category_gone": "whether these values are gone from the business, or their source has stopped",
    "unit_changed": "the source of {column}: the unit that it sends, and since when",
    "far_drift": "the source of {column} and its plot; it weighs little in this model, and may weigh more in the next",
    "offset_drift": "the source of {column}; whatever is wrong with it is wrong with the prediction by as much",
    "bias": "whether all segments have it; then the labels' source and clock, then train again",
    "common_shift": "the clock and unit of the labels; then what has changed for all segments, and train again",
    "column_infinite": "the division or the parser that makes {column}",
    "prediction_drift": "the features below that drifted, {worst} first; if none did, the mix of traffic has changed",
    "strong_drift": "{worst}: its units, codes or look-up table, against the source; then its plot below",
    "share_of_features": "{worst}: one source in common is a fault there; none is the season, or the world",
    "observed_performance": "bias and RMSE below, and when they rose; then train again, or serve the baseline",
    "interval_coverage": "bias and RMSE below, and the segments; then train again, with later months to calibrate by",
    "new_category": "whether these values are new business or a typing error; the model knows nothing of them",
    "out_of_range": "the largest and smallest values of {column}: a unit, or a sentinel such as 9999",
    "label_drift": "whether the labels changed, or only how it is reported",
    "other_models": "whether a release is under way; judge each model by itself with --model",
    "without_id": "the process that writes them: their labels can never be joined",
    "unusable_value": "what writes {column}: a null, or a sum that overflowed",
    "clock_ahead": "the clock of the server that wrote them",
    "label_before_prediction": "the clocks of the server and of what posts labels",
    "contradictory_labels": "what posts labels twice; a correction is fine",
    "unknown_labels": "whether the log was cut by retention, or labels of another system are posted here",
    "bad_labels": "what posts labels, and the log under labels/rejected",
    "labels_unreadable": "the schemas/ folder of the log of labels: what posts them has other columns",
    "low_coverage": "what posts labels: it lags, or has stopped",
    "worse_than_history": "whether the model was trained too long ago",
}

LONGEST = 40
"""Characters that are shown of a value of the log, which may be of any length."""

UNREADABLE = {
    "absent": "the log has no such column; the server that wrote it has other features than the model's package",
    "wrong_kind": "the log declares it as something else than {kind}; the declaration has changed under the model",
}
UNREADABLE_KINDS = {"absent": "column_absent", "wrong_kind": "column_wrong_type"}


def line_findings(rows: RowCounts, settings: DriftSettings) -> Iterator[Finding]:
    """Lines of the log that cannot be read, with the column that is at fault where it is one."""
    example = f", such as {rows.examples[0]}" if rows.examples else ""
    lines = rows.scored + rows.duplicates + rows.other_models + rows.without_id + rows.bad
    prefix = feature_column("")
    faulty = {match[1].removeprefix(prefix) for text in rows.examples if (match := _FAULTY.search(text))}
    column = faulty.pop() if len(faulty) == 1 else None
    if rows.bad > settings.max_bad_share * lines:
        text = f"{rows.bad:,} of {lines:,} lines cannot be read{example}; mend what writes them, then run this again"
        yield Finding.of("alarm", "bad_lines", text, column)
    elif rows.bad:
        text = f"{rows.bad:,} of {lines:,} lines cannot be read and are left out{example}"
        yield Finding.of("note", "some_bad_lines", text, column)
    if rows.truncated:
        text = f"{rows.truncated:,} last line(s) were never ended, as when a process is killed{example}"
        yield Finding.of("note", "truncated_lines", text)


def size_finding(data: WindowData, reference: Reference, query: Query, settings: DriftSettings) -> Finding | None:
    """Why the window is too small to be judged; None where it is not."""
    rows, needed = data.rows, max(settings.min_rows, reference.min_rows)
    days, hours = data.days, data.blocks.hours
    if rows.scored < needed:
        text = f"the window has {rows.scored:,} rows; {needed:,} are needed to tell drift from chance"
        if not (rows.scored or rows.bad or rows.other_models or rows.without_id):
            text = f"no row under {query.directory} is in the window on {query.on!r}: check the folder and the times"
            if isinstance(query.directory, Path) and not query.directory.exists():
                text = f"there is no traffic log at {query.directory}: check --traffic-dir, and whether a server ran"
        return Finding.of("alarm", "few_rows", text)
    if days is not None and days < _ONE_DAY and hours < _MOST * reference.day_hours:
        text = (
            f"the rows are of {hours:.0f} hours of a day, and a day of training is spread over "
            f"{reference.day_hours:.0f}; the limits are for whole days: take a longer window"
        )
        return Finding.of("alarm", "few_hours", text)
    return None


def damaged_findings(data: WindowData) -> Iterator[Finding]:
    """Files of the log that cannot be read."""
    for path, why in data.damaged.items():
        text = f"{path} cannot be read: {why}; all else was read: restore this file from a copy of the log"
        yield Finding.of("alarm", "file_damaged", text)


def broken_findings(data: WindowData, reference: Reference) -> Iterator[Finding]:
    """Columns without which no row is read, or no label."""
    declaration = reference.declaration
    kinds = {column.name: column.kind for column in (*needed_columns(declaration), *label_columns(declaration))}
    for name, why in data.broken.items():
        text = f"{name}: {UNREADABLE[why].format(kind=kinds[name])}; no row can be judged without it"
        yield Finding.of("alarm", UNREADABLE_KINDS[why], text, name)
    for name, why in data.labels_broken.items():
        text = f"{name} of the labels: {UNREADABLE[why].format(kind=kinds[name])}; no label is joined"
        yield Finding.of("notice", "labels_unreadable", text, name)


def row_findings(data: WindowData, reference: Reference) -> Iterator[Finding]:
    """Rows of another kind, and what the problem does not let this report show."""
    rows = data.rows
    if reference.declaration is not None and not data.dated:
        text = (
            "the problem declares no event time: the limits allow for chance alone, not for how days differ, "
            "intervals are by rows"
        ) + ("" if reference.error_model else ", and no error is estimated for rows without labels")
        yield Finding.of("note", "no_event_time", text)
    if rows.other_models:
        text = f"{rows.other_models:,} rows of the window are of other models and were left out"
        yield Finding.of("notice", "other_models", text)
    if rows.future:
        text = f"time: {rows.future:,} predictions are dated in the future, so a server's clock is ahead"
        yield Finding.of("notice", "clock_ahead", text, "time")
    for name, count in rows.unusable.items():
        text = f"{name}: {count:,} rows hold no number to measure an error by, and count as without a label"
        yield Finding.of("notice", "unusable_value", text, name)
    if rows.duplicates:
        yield Finding.of("note", "duplicates", f"{rows.duplicates:,} rows repeat a prediction_id and were left out")
    if rows.without_id:
        text = f"prediction_id: {rows.without_id:,} rows have none and were left out"
        yield Finding.of("notice", "without_id", text, "prediction_id")


def unjudged_finding(reference: Reference) -> Iterator[Finding]:
    """What the model's package is too old to say."""
    if reference.declaration is None:
        return
    lacking = []
    if any(column.thresholds.absent_days is None for column in reference.columns):
        lacking += ["categories that are gone", "how far sets of days are apart"]
    if reference.error_spread is None:
        lacking.append("the bias of the error")
    if lacking:
        text = f"the model's package is older than these rules, or had no rows for them: {', '.join(lacking)}"
        yield Finding.of("note", "not_judged", f"{text}; train again to have them judged")


def withheld_finding(estimate: Estimate | Withheld | None) -> Iterator[Finding]:
    """Why no metric is estimated without labels, where one might be."""
    if isinstance(estimate, Withheld):
        yield Finding.of("note", "not_estimated", f"without labels no metric is estimated: {estimate.reason}")


def with_advice(finding: Finding, columns: list[Column]) -> Finding:
    """The finding with where to look; `columns` are from the most to the least drifted."""
    if finding.severity == "note" or finding.kind not in ADVICE:
        return finding
    worst = [column.name for column in columns if column.drifted and column.weighs][:2]
    text = ADVICE[finding.kind].format(column=finding.column, worst=" and ".join(worst) or "the busiest sources")
    return finding.model_copy(update={"look_at": text})
