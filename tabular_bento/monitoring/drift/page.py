"""The page for people: verdict, findings and numbers first, Evidently's plots below. Self-contained HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tabular_bento.monitoring.drift.checks import LONGEST
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import DriftResult, Finding, Verdict
from tabular_bento.monitoring.drift.sections import error_section, table
from tabular_bento.monitoring.drift.trend import trend
from tabular_bento.monitoring.drift.verdict import SMALL_KINDS

_HEADLINES: dict[Verdict, tuple[str, str]] = {
    "no_drift": ("No drift", "#1b7f4b"),
    "drift": ("Drift", "#b3261e"),
    "warning": ("Warning", "#8a5a00"),
    "not_enough_data": ("Not enough data", "#8a5a00"),
    "invalid_data": ("Invalid data", "#8a5a00"),
}

_STYLE = """
#verdict { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff; max-width: 1160px; margin: 0 auto;
  padding: 24px; box-sizing: border-box; overflow-wrap: break-word; }
#verdict h1 { color: #fff; font-size: 26px; margin: 0; padding: 14px 20px; border-radius: 8px; }
#verdict h1 small { display: block; font-size: 15px; font-weight: 400; }
#verdict h2 { font-size: 18px; margin: 28px 0 8px; }
#verdict ol { list-style: none; margin: 0; padding: 0; }
#verdict li { padding: 5px 0; border-bottom: 1px solid #eee; display: flex; gap: 12px; }
#verdict li b { flex: 0 0 70px; font-weight: 600; }
#verdict li span { overflow-wrap: anywhere; }
#verdict li em { display: block; font-style: normal; color: #59636e; }
#verdict .alarm b { color: #b3261e; } #verdict .warning b { color: #8a5a00; }
#verdict .notice b, #verdict .note b { color: #59636e; }
#verdict .alarm em { color: #1f2328; font-weight: 600; }
#verdict details { margin-top: 8px; } #verdict summary { cursor: pointer; color: #59636e; }
#verdict table { border-collapse: collapse; width: 100%; font-size: 14px; }
#verdict td, #verdict th { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #eee;
  vertical-align: top; }
#verdict td:last-child { overflow-wrap: anywhere; }
#verdict .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
#verdict tr.drifted td:first-child { color: #b3261e; font-weight: 600; }
#verdict tr.guess td { color: #8a5a00; font-style: italic; }
#verdict p { margin: 6px 0; } #verdict .muted { color: #59636e; }
#verdict .charts { display: grid; grid-template-columns: 1fr 1fr; gap: 12px 24px; }
#verdict figure { margin: 8px 0 0; } #verdict figcaption { font-size: 14px; font-weight: 600; }
#verdict figcaption span { font-weight: 400; margin-left: 8px; }
#verdict svg text { font: 11px system-ui, sans-serif; fill: #59636e; } #verdict svg { max-width: 100%; }
"""


def page(result: DriftResult, plots: str | None, history: Sequence[Entry]) -> str:
    """The whole page, from Evidently's HTML or without it; `history` are the last windows, this one the last."""
    section = _section(result, history, has_plots=plots is not None)
    if plots is None:
        title = escape(f"{_HEADLINES[result.verdict][0]}: {result.model or 'no model'}")
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1.0">'
            f"<title>{title}</title></head>\n<body>{section}</body>\n</html>\n"
        )
    head, body, rest = plots.partition("<body>")
    if not body:
        raise ValueError("Evidently's page has no <body>")
    return head + body + section + rest


def _section(result: DriftResult, history: Sequence[Entry], has_plots: bool) -> str:
    word, colour = _HEADLINES[result.verdict]
    window = result.window
    where = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} by {window.on}"
    below = (
        "Evidently's plots, of a sample, are below the tables." if has_plots else "There are no plots of this window."
    )
    return f"""<section id="verdict"><style>{_STYLE}</style>
<h1 style="background:{colour}">{word}{_alert(result)}<small>{escape(result.model or "no model")}, {where}</small></h1>
<p>{_lead(result)} <span class="muted">{below}</span></p>
<h2>Findings</h2>
{_findings(result.findings)}
{error_section(result)}
<h2>Trend</h2>
{trend(history, result.decision.max_drifted_share, result.settings["max_error_ratio"] or 1.0)}
{_columns(result)}
{_segments(result)}
<h2>Rows</h2>
{_rows(result)}
</section>
"""


def _alert(result: DriftResult) -> str:
    alert = result.alert
    if result.verdict != "drift" or alert.of == 1:
        return ""
    counted = f"{alert.drifted} of the last {alert.windows} windows drifted, {alert.after} of {alert.of} alert"
    return f": alert ({counted})" if alert.alert else f", no alert yet ({counted})"


def _lead(result: DriftResult) -> str:
    decision = result.decision
    parts = [f"{_size(result)}."]
    if small := next((SMALL_KINDS[one.kind] for one in result.findings if one.kind in SMALL_KINDS), None):
        parts.append(f"{small.capitalize()} any column.")
    if decision.features_scored:
        parts.append(
            f"{decision.features_drifted} of {decision.features_scored} {_weighed(result)} drifted "
            f"({decision.drifted_share or 0:.0%} by importance; the limit is {decision.max_drifted_share:.0%})."
        )
        parts.append("The prediction drifted." if decision.prediction_drifted else "The prediction did not drift.")
    return escape(" ".join(parts))


def _size(result: DriftResult) -> str:
    days = result.decision.days
    over = "" if days is None else f" over {days:,.0f} day{'s' if round(days) != 1 else ''}"
    return f"{result.rows.scored:,} rows{over}"


def _weighed(result: DriftResult) -> str:
    return "inputs" if any(column.role == "input" for column in result.columns) else "features"


def _findings(findings: list[Finding]) -> str:
    """Alarms and warnings in order; notes, which ask for nothing, folded up."""
    shown, notes = ([one for one in findings if (one.severity == "note") is noted] for noted in (False, True))
    folded = (
        f"<details><summary>{len(notes)} more that ask for nothing</summary>{_list(notes)}</details>" if notes else ""
    )
    return (_list(shown) if shown else "<p>Nothing that asks for anything.</p>") + folded


def _list(findings: list[Finding]) -> str:
    lines = (
        f'<li class="{finding.severity}"><b>{finding.severity}</b><span>{escape(finding.text)}'
        f"{f'<em>Look first at {escape(finding.look_at)}.</em>' if finding.look_at else ''}</span></li>"
        for finding in findings
    )
    return f"<ol>{''.join(lines)}</ol>"


def _columns(result: DriftResult) -> str:
    if not result.columns:
        return ""
    rows = (
        [
            column.name,
            column.role,
            _number(column.score, ".3f"),
            _number(column.threshold, ".3f"),
            f"{column.n:,}",
            _number(column.missing_reference, ".1%"),
            _number(column.missing, ".1%"),
            column.reason,
        ]
        for column in result.columns
    )
    head = ("column", "role", "PSI", "limit", "rows", "missing then", "now", "what moved")
    marks = ["drifted" if column.drifted else "" for column in result.columns]
    limits = f"The limits are those of windows of the training rows with {_size(result)}."
    if result.decision.days is None:
        limits = f"The limits are those of {_size(result)} drawn at random from the training rows."
    if all(column.threshold is None for column in result.columns):
        limits = "No limit applies to this window."
    what = f"Population stability index on fixed bins, of all rows; higher is further from the reference. {limits}"
    note = f'<p class="muted">{what}</p>'
    return f"<h2>Columns</h2>{note}{table(head, rows, numbers_from=2, numbers_to=7, marks=marks)}"


def _segments(result: DriftResult) -> str:
    if not result.segments:
        return ""
    lines = (
        [
            segment.value[:LONGEST],
            f"{segment.rows:,}",
            f"{segment.share:.1%}",
            f"{segment.labels:,}",
            _number(segment.rmse, ".2f"),
            _number(segment.ratio_to_naive_baseline, ".3f"),
            _number(segment.drifted_share, ".0%"),
            ", ".join(segment.drifted) or ("none" if segment.compared else "too few rows to compare"),
        ]
        for segment in result.segments
    )
    ratio, share = "of the naive baseline's", "drifted, by importance"
    head = (result.by or "", "rows", "share", "labels", "RMSE", ratio, share, "columns")
    note = (
        "Each is compared with the reference's rows of the same value, which are few: this points at where to look, "
        "and the verdict does not rest on it."
    )
    return f'<h2>By {escape(result.by or "")}</h2><p class="muted">{note}</p>{table(head, lines, 1, 7)}'


def _rows(result: DriftResult) -> str:
    rows, labels = result.rows, result.labels
    predictions = (
        f"Predictions: {rows.scored:,} judged; left out {rows.duplicates:,} repeated, {rows.other_models:,} of other "
        f"models, {rows.without_id:,} without an id; {rows.truncated:,} truncated and {rows.bad:,} bad lines in the "
        "window."
    )
    joined = (
        f"Labels: {labels.matched:,} matched, {labels.repeated:,} repeated, "
        f"{labels.contradictory:,} contradictory; {labels.elsewhere:,} of predictions elsewhere in the log, "
        f"{labels.unknown:,} of unknown ones; {labels.truncated:,} truncated and {labels.bad:,} bad lines."
    )
    if labels.before_prediction or rows.future:
        joined += (
            f" Clocks: {rows.future:,} predictions are dated in the future, {labels.before_prediction:,} labels "
            "came before their prediction."
        )
    made = f"Made {result.made_at:%Y-%m-%d %H:%M} UTC from {result.window.log}."
    return "".join(f"<p>{escape(text)}</p>" for text in (predictions, joined, made))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
