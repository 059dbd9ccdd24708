"""The page for people: verdict, findings and numbers first, Evidently's plots below. Self-contained HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from monitoring.result import DriftResult, Errors, Finding, Interval, Outcomes, Verdict

_HEADLINES: dict[Verdict, tuple[str, str]] = {
    "no_drift": ("No drift", "#1b7f4b"),
    "drift": ("Drift", "#b3261e"),
    "not_enough_data": ("Not enough data", "#8a5a00"),
    "invalid_data": ("Invalid data", "#8a5a00"),
}

_STYLE = """
#verdict { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff; max-width: 1160px; margin: 0 auto;
  padding: 24px; box-sizing: border-box; }
#verdict h1 { color: #fff; font-size: 26px; margin: 0; padding: 14px 20px; border-radius: 8px; }
#verdict h1 small { display: block; font-size: 15px; font-weight: 400; }
#verdict h2 { font-size: 18px; margin: 28px 0 8px; }
#verdict ol { list-style: none; margin: 0; padding: 0; }
#verdict li { padding: 4px 0; border-bottom: 1px solid #eee; display: flex; gap: 12px; }
#verdict li b { flex: 0 0 70px; font-weight: 600; }
#verdict .alarm b { color: #b3261e; } #verdict .warning b { color: #8a5a00; } #verdict .note b { color: #59636e; }
#verdict table { border-collapse: collapse; width: 100%; font-size: 14px; }
#verdict td, #verdict th { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #eee;
  vertical-align: top; }
#verdict .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
#verdict tr.drifted td:first-child { color: #b3261e; font-weight: 600; }
#verdict p { margin: 6px 0; } #verdict .muted { color: #59636e; }
"""


def page(result: DriftResult, plots: str | None) -> str:
    """The whole page, from Evidently's HTML or without it."""
    section = _section(result, has_plots=plots is not None)
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


def _section(result: DriftResult, has_plots: bool) -> str:
    word, colour = _HEADLINES[result.verdict]
    window = result.window
    where = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} by {window.on}"
    below = (
        "Evidently's plots, of a sample, are below the tables." if has_plots else "There are no plots of this window."
    )
    return f"""<section id="verdict"><style>{_STYLE}</style>
<h1 style="background:{colour}">{word}<small>{escape(result.model or "no model")}, {where}</small></h1>
<p>{_lead(result)} <span class="muted">{below}</span></p>
<h2>Findings</h2>
{_findings(result.findings)}
{_errors(result.outcomes)}
{_columns(result)}
<h2>Rows</h2>
{_rows(result)}
</section>
"""


def _lead(result: DriftResult) -> str:
    decision = result.decision
    parts = [f"{result.rows.scored:,} rows."]
    if decision.features_scored:
        parts.append(
            f"{decision.features_drifted} of {decision.features_scored} features drifted "
            f"({decision.drifted_share or 0:.0%} by importance; the limit is {decision.max_drifted_share:.0%})."
        )
        parts.append("The prediction drifted." if decision.prediction_drifted else "The prediction did not drift.")
    return escape(" ".join(parts))


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return "<p>Nothing to report.</p>"
    lines = (
        f'<li class="{finding.severity}"><b>{finding.severity}</b><span>{escape(finding.text)}</span></li>'
        for finding in findings
    )
    return f"<ol>{''.join(lines)}</ol>"


def _errors(outcomes: Outcomes) -> str:
    if outcomes.model is None or outcomes.zero_gain is None:
        return ""
    delay = f", {outcomes.median_delay_hours:,.1f} h later (median)" if outcomes.median_delay_hours is not None else ""
    rows = _table(
        ("", "RMSE", "95 %", "MAE", "95 %", "bias", "95 %"),
        (_error_cells("model", outcomes.model), _error_cells("zero gain", outcomes.zero_gain)),
        numbers_from=1,
    )
    ratio = f"{outcomes.ratio_to_zero_gain or 0:.3f} {_interval(outcomes.ratio_interval, 3)}"
    return (
        f"<h2>What came true</h2><p>{outcomes.matched:,} outcomes, {outcomes.coverage or 0:.1%} of the predictions"
        f"{delay}. RMSE is {ratio} of that of zero gain, the part known beforehand taken as the prediction."
        f"</p>{rows}"
    )


def _error_cells(name: str, errors: Errors) -> list[str]:
    measured = (
        (errors.rmse, errors.rmse_interval),
        (errors.mae, errors.mae_interval),
        (errors.bias, errors.bias_interval),
    )
    return [name, *(cell for value, interval in measured for cell in (f"{value:.2f}", _interval(interval, 2)))]


def _interval(interval: Interval | None, digits: int) -> str:
    return f"({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else ""


def _columns(result: DriftResult) -> str:
    if not result.columns:
        return ""
    rows = (
        [
            column.name,
            column.role,
            _number(column.score, ".3f"),
            _number(column.threshold, ".3f"),
            _number(column.missing_reference, ".1%"),
            _number(column.missing, ".1%"),
            column.reason,
        ]
        for column in result.columns
    )
    head = ("column", "role", "PSI", "limit", "missing then", "now", "what moved")
    marks = ["drifted" if column.drifted else "" for column in result.columns]
    size = f"{result.rows.scored:,} rows over {result.decision.days:.0f} days"
    what = (
        "Population stability index on fixed bins, of all rows; higher is further from the reference. "
        f"The limits are those of windows of the training months with {size}."
    )
    note = f'<p class="muted">{what}</p>'
    return f"<h2>Columns</h2>{note}{_table(head, rows, numbers_from=2, numbers_to=6, marks=marks)}"


def _rows(result: DriftResult) -> str:
    rows, outcomes = result.rows, result.outcomes
    predictions = (
        f"Predictions: {rows.scored:,} judged; left out {rows.duplicates:,} repeated, {rows.other_models:,} of other "
        f"models, {rows.without_id:,} without an id; {rows.torn:,} torn and {rows.bad:,} bad lines in the log."
    )
    joined = (
        f"Outcomes: {outcomes.matched:,} matched, {outcomes.repeated:,} repeated, "
        f"{outcomes.contradictory:,} contradictory; {outcomes.elsewhere:,} of predictions elsewhere in the log, "
        f"{outcomes.unknown:,} of unknown ones; {outcomes.torn:,} torn and {outcomes.bad:,} bad lines."
    )
    made = f"Made {result.made_at:%Y-%m-%d %H:%M} UTC from {result.window.log}."
    return "".join(f"<p>{escape(text)}</p>" for text in (predictions, joined, made))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(
    head: Iterable[str],
    rows: Iterable[list[str]],
    numbers_from: int,
    numbers_to: int | None = None,
    marks: list[str] | None = None,
) -> str:
    """A table whose columns from `numbers_from` up to `numbers_to` are aligned as numbers."""

    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place >= numbers_from and (numbers_to is None or place < numbers_to) else ''}>"
            f"{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f'<tr class="{marks[i] if marks else ""}">{cells("td", row)}</tr>' for i, row in enumerate(rows)]
    return f"<table><tr>{cells('th', head)}</tr>{''.join(lines)}</table>"
