"""What is wrong with the data, before any distance is looked at: lines, rows, clocks, and each column by itself.

And where to look first, for each kind of finding that asks for something; docs/drift.md says more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tabular_bento.evaluation.reference.bins import OTHER
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.evaluation.reference.vocabulary import NewValues, Vocabulary
from tabular_bento.monitoring.drift.result import Column, Finding, Severity
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, RowCounts, WindowData
from tabular_bento.monitoring.window.records import LABEL_COLUMNS, needed_columns
from tabular_bento.monitoring.window.tally import Tally
from tabular_bento.traffic.schema import feature_column, input_column

_ONE_DAY, _MOST = 1.5, 0.8
"""Windows of fewer days must be spread over this part of the hours that a day of training is spread over."""

_ROUGHLY_CONSTANT = 0.9
"""A reference of which this share is in one bin may well be constant for a while."""

_NAMED = 5
"""How many new values a finding names."""

LONGEST = 40
"""Characters that are shown of a value of the log, which may be of any length."""

_FAULTY = re.compile(r": ([\w.]+) is (?:not of kind|-?NaN|-?Infinity)")
"""The column at fault, as `tabular_bento.traffic.lines` tells it."""

_ADVICE = {
    "bad_lines": "the lines named: which process wrote them, and what was deployed there since the last good window",
    "column_absent": "which server wrote the rows (their `model` and `declaration`), and what it was built from",
    "column_wrong_type": "the log's schemas/ folder: the newest one shows who changed the declaration",
    "few_rows": "whether traffic arrives at all: the server's request counter; then --traffic-dir, --from, --to, --on",
    "few_hours": "a window of whole days; if it was one, at which hour the traffic stopped",
    "column_all_missing": "the source of {column}: its feed or join has stopped; predictions go on without it",
    "column_empty": "the client that sends {column} empty",
    "column_constant": "the source of {column}: a stuck sensor, or a default that someone fills in",
    "missing_rise": "which source or segment stopped sending {column}, and since when",
    "column_infinite": "the division or the parser that makes {column}",
    "prediction_drift": "the features below that drifted, {worst} first; if none did, the mix of traffic has changed",
    "strong_drift": "{worst}: its units, codes or look-up table, against the source; then its plot below",
    "share_of_features": "{worst}: one source in common is a fault there; none is the season, or the world",
    "observed_performance": "bias and RMSE below, and when they rose; then train again, or serve the baseline",
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

UNREADABLE = {
    "absent": "the log has no such column; the server that wrote it has other features than the model's package",
    "wrong_kind": "the log declares it as something else than {kind}; the declaration has changed under the model",
}
_UNREADABLE_KINDS = {"absent": "column_absent", "wrong_kind": "column_wrong_type"}


def line_findings(rows: RowCounts, settings: DriftSettings) -> Iterator[Finding]:
    """Lines of the log that cannot be read, with the column that is at fault where it is one."""
    example = f", such as {rows.examples[0]}" if rows.examples else ""
    lines = rows.scored + rows.duplicates + rows.other_models + rows.without_id + rows.bad
    prefix = feature_column("")
    faulty = {match[1].removeprefix(prefix) for text in rows.examples if (match := _FAULTY.search(text))}
    column = faulty.pop() if len(faulty) == 1 else None
    if rows.bad > settings.max_bad_share * lines:
        text = f"{rows.bad:,} of {lines:,} lines cannot be read{example}; mend what writes them, then run this again"
        yield Finding(severity="alarm", kind="bad_lines", column=column, text=text)
    elif rows.bad:
        text = f"{rows.bad:,} of {lines:,} lines cannot be read and are left out{example}"
        yield Finding(severity="note", kind="some_bad_lines", column=column, text=text)
    if rows.truncated:
        text = f"{rows.truncated:,} last line(s) were never ended, as when a process is killed{example}"
        yield note("truncated_lines", text)


def size_finding(data: WindowData, reference: Reference, query: Query, settings: DriftSettings) -> Finding | None:
    """Why the window is too small to be judged; None where it is not."""
    rows, needed = data.rows, max(settings.min_rows, reference.min_rows)
    days, hours = data.days, data.blocks.hours
    if rows.scored < needed:
        text = f"the window has {rows.scored:,} rows; {needed:,} are needed to tell drift from chance"
        if not (rows.scored or rows.bad or rows.other_models or rows.without_id):
            text = f"no row under {query.directory} is in the window on {query.on!r}: check the folder and the times"
        return Finding(severity="alarm", kind="few_rows", column=None, text=text)
    if days is not None and days < _ONE_DAY and hours < _MOST * reference.day_hours:
        text = (
            f"the rows are of {hours:.0f} hours of a day, and a day of training is spread over "
            f"{reference.day_hours:.0f}; the limits are for whole days: take a longer window"
        )
        return Finding(severity="alarm", kind="few_hours", column=None, text=text)
    return None


def broken_findings(data: WindowData, reference: Reference) -> Iterator[Finding]:
    """Columns without which no row is read, or no label."""
    kinds = {column.name: column.kind for column in (*needed_columns(reference.declaration), *LABEL_COLUMNS)}
    for name, why in data.broken.items():
        text = f"{name}: {UNREADABLE[why].format(kind=kinds[name])}; no row can be judged without it"
        yield Finding(severity="alarm", kind=_UNREADABLE_KINDS[why], column=name, text=text)
    for name, why in data.labels_broken.items():
        text = f"{name} of the labels: {UNREADABLE[why].format(kind=kinds[name])}; no label is joined"
        yield Finding(severity="notice", kind="labels_unreadable", column=name, text=text)


def row_findings(data: WindowData, reference: Reference) -> Iterator[Finding]:
    """Rows of another kind, and what the problem does not let this report show."""
    rows = data.rows
    if reference.declaration is not None and not data.dated:
        text = (
            "the problem declares no event time: the limits allow for chance alone, not for how days differ, "
            "intervals are by rows, and no error is estimated for rows without labels"
        )
        yield note("no_event_time", text)
    if rows.other_models:
        text = f"{rows.other_models:,} rows of the window are of other models and were left out"
        yield Finding(severity="notice", kind="other_models", column=None, text=text)
    if rows.future:
        text = f"time: {rows.future:,} predictions are dated in the future, so a server's clock is ahead"
        yield Finding(severity="notice", kind="clock_ahead", column="time", text=text)
    for name, count in rows.unusable.items():
        text = f"{name}: {count:,} rows hold no number to measure an error by, and count as without a label"
        yield Finding(severity="notice", kind="unusable_value", column=name, text=text)
    if rows.duplicates:
        yield note("duplicates", f"{rows.duplicates:,} rows repeat a prediction_id and were left out")
    if rows.without_id:
        text = f"prediction_id: {rows.without_id:,} rows have none and were left out"
        yield Finding(severity="notice", kind="without_id", column="prediction_id", text=text)


def column_findings(
    column: Column,
    reference: ReferenceColumn,
    data: WindowData,
    days: float,
    settings: DriftSettings,
) -> Iterator[Finding]:
    """What there is to say of a column, its faults before its drift; at most one finding of each kind."""

    def finding(severity: Severity, kind: str, text: str) -> Finding:
        return Finding(severity=severity, kind=kind, column=column.name, text=f"{column.name}: {text}")

    if (tally := data.tallies.get(column.name)) is None and reference.log_name in data.broken:
        return
    if tally is None:
        yield finding("alarm", _UNREADABLE_KINDS[data.unreadable[column.name]], column.reason)
        return
    if not tally.n:
        return
    if tally.missing == 1 and column.missing_reference < 1:
        yield finding("alarm", "column_all_missing", f"all of its {tally.n:,} values are missing; {_before(column)}")
    elif column.missing_limit is not None and tally.missing > column.missing_limit:
        yield finding("alarm", "missing_rise", f"{tally.missing:.1%} of its values are missing; {_before(column)}")
    if tally.infinite:
        yield finding("notice", "column_infinite", f"{tally.infinite:,} of its values are infinite")
    if tally.constant and tally.missing < 1 and not _may_be_constant(reference, days):
        yield finding("alarm", "column_constant", "all of its values are the same; a sensor or a join may be stuck")
    named = any(
        values.unknown and reference.log_name in (input_column(name), feature_column(name))
        for name, values in data.texts.items()
    )
    if tally.other > settings.out_of_range_share and not named:
        yield finding("notice", "out_of_range", _outside(reference, tally))
    if column.drifted and tally.missing < 1:
        severity: Severity = "alarm" if column.role == "prediction" else "notice"
        yield finding(severity, f"{column.role}_drift", column.reason)


def text_findings(data: WindowData, reference: Reference, settings: DriftSettings) -> Iterator[Finding]:
    """Fields of categories: those that are empty more often than in training, and values that training never held."""
    for name, why in data.texts_unreadable.items():
        text = f"{name}: {UNREADABLE[why].format(kind='text')}"
        yield Finding(severity="alarm", kind=_UNREADABLE_KINDS[why], column=name, text=text)
    for name, values in data.texts.items():
        if not values.rows:
            continue
        before = reference.vocabularies.get(name, Vocabulary()).empty
        broken = values.empty > (before + settings.missing_rise) * values.rows
        if broken or (values.empty and not before):
            text = f"{name}: {values.empty:,} of {values.rows:,} values are empty"
            text += f"; of the reference, {before:.1%} are" if before else ""
            yield Finding(severity="alarm" if broken else "notice", kind="column_empty", column=name, text=text)
        if values.unknown:
            severity: Severity = "notice" if values.unknown > settings.out_of_range_share * values.rows else "note"
            yield Finding(severity=severity, kind="new_category", column=name, text=f"{name}: {_new(values)}")


def _new(values: NewValues) -> str:
    named = values.most_common(_NAMED)
    listed = ", ".join(f"{value[:LONGEST]!r} ({count:,})" for value, count in named)
    more = ", ..." if len(values.counts) > len(named) else ""
    share = values.unknown / values.rows
    return f"{values.unknown:,} of {values.rows:,} values ({share:.2%}) were never seen in training: {listed}{more}"


def note(kind: str, text: str) -> Finding:
    """A finding that asks for nothing."""
    return Finding(severity="note", kind=kind, column=None, text=text)


def _may_be_constant(reference: ReferenceColumn, days: float) -> bool:
    roughly = reference.counts.max() >= _ROUGHLY_CONSTANT * reference.counts.sum()
    return bool(roughly) or reference.thresholds.may_be_constant(days)


def _before(column: Column) -> str:
    return f"of the reference, {column.missing_reference:.1%} are"


def _outside(reference: ReferenceColumn, tally: Tally) -> str:
    what = tally.bins.label(OTHER)
    seen = f" (from {tally.minimum:.6g} to {tally.maximum:.6g})" if np.isfinite(tally.minimum) else ""
    known = int(reference.counts[OTHER]) / max(reference.rows, 1)
    return f"{tally.other:.1%} of its values are {what}{seen}; {known:.1%} were"


def with_advice(finding: Finding, columns: list[Column]) -> Finding:
    """The finding with where to look; `columns` are from the most to the least drifted."""
    if finding.severity == "note" or finding.kind not in _ADVICE:
        return finding
    worst = [column.name for column in columns if column.drifted and column.weighs][:2]
    text = _ADVICE[finding.kind].format(column=finding.column, worst=" and ".join(worst) or "the busiest sources")
    return finding.model_copy(update={"look_at": text})
