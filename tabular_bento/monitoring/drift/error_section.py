"""What came true, and what to expect of the rest: the errors on the page."""

from __future__ import annotations

from html import escape

from tabular_bento.monitoring.drift.markup import interval_text, table
from tabular_bento.monitoring.drift.outcome_checks import duration
from tabular_bento.monitoring.drift.result import DriftResult, Errors, Estimate, Outcomes

_BIAS = (
    "Outcomes that come early are not a random part of all, so errors are measured on predictions alone that are old "
    "enough for nearly all outcomes to have come."
)
_GUESS = (
    "The estimate is a guess from the rows alone, by a model of this model's errors; it does not see what is in no "
    "feature, decides nothing, and is for the time until outcomes are due."
)


def error_section(result: DriftResult) -> str:
    """The section of HTML: how much has come true, a table of errors, and what to make of it."""
    outcomes, estimate = result.outcomes, result.estimate
    measured = (
        ("model", outcomes.model, ""),
        ("historical gain, a look-up table", outcomes.historical_gain, ""),
        ("zero gain, the part known beforehand", outcomes.zero_gain, ""),
    )
    lines = [(_error_cells(name, errors), mark) for name, errors, mark in measured if errors]
    if estimate:
        lines.append((_estimate_cells(estimate), "guess"))
    if not lines:
        return f"<h2>What came true</h2><p>{escape(_came(outcomes))}</p>"
    lines_table = table(
        ("", "RMSE", "95 %", "MAE", "95 %", "bias", "95 %", "of"),
        (cells for cells, _ in lines),
        numbers_from=1,
        marks=[mark for _, mark in lines],
    )
    words = [_came(outcomes), _ratios(outcomes)]
    notes = [_BIAS if outcomes.matched else "", _GUESS if estimate else ""]
    return (
        f"<h2>What came true</h2><p>{escape(' '.join(filter(None, words)))}</p>{lines_table}"
        f'<p class="muted">{escape(" ".join(filter(None, notes)))}</p>'
    )


def _came(outcomes: Outcomes) -> str:
    maturity = outcomes.maturity
    if not outcomes.matched and maturity is None:
        return "No outcome has come yet, so how old a prediction must be to have one is not known either."
    delay = outcomes.median_delay_hours
    late = f", {duration(max(delay, 0))} after it (median)" if delay is not None else ""
    parts = [f"{outcomes.matched:,} predictions have an outcome, {outcomes.coverage or 0:.1%} of all{late}."]
    if maturity:
        parts.append(
            f"{maturity.predictions:,} ({maturity.share:.1%}) are due, being older than {duration(maturity.hours)} "
            f"({'as set' if maturity.source == 'setting' else 'within which 95 % of the outcomes came'}); "
            f"{maturity.coverage or 0:.1%} of those have one."
        )
    return " ".join(parts)


def _ratios(outcomes: Outcomes) -> str:
    pairs = (
        ("zero gain", outcomes.ratio_to_zero_gain, outcomes.ratio_interval),
        ("historical gain", outcomes.ratio_to_historical_gain, outcomes.historical_ratio_interval),
    )
    found = [f"{ratio:.3f} {interval_text(interval, 3)} of that of {name}" for name, ratio, interval in pairs if ratio]
    judged = outcomes.maturity is None or outcomes.maturity.judged
    return f"RMSE is {' and '.join(found)}{'' if judged else ': too little to judge'}." if found else ""


def _error_cells(name: str, errors: Errors) -> list[str]:
    measured = (
        (errors.rmse, errors.rmse_interval),
        (errors.mae, errors.mae_interval),
        (errors.bias, errors.bias_interval),
    )
    cells = [cell for value, interval in measured for cell in (f"{value:.2f}", interval_text(interval, 2))]
    return [name, *cells, f"{errors.n:,}"]


def _estimate_cells(estimate: Estimate) -> list[str]:
    pairs = ((estimate.rmse, estimate.rmse_interval), (estimate.mae, estimate.mae_interval))
    cells = [cell for value, interval in pairs for cell in (f"{value:.2f}", interval_text(interval, 2))]
    return ["model, estimated without outcomes", *cells, "", "", f"{estimate.n:,}"]
