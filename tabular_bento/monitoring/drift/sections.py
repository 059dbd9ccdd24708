"""Sections of the page: tables, and the errors of predictions that have a label, with what to expect of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tabular_bento.evaluation.reference.estimate import Estimate, Interval
from tabular_bento.monitoring.drift.performance import duration
from tabular_bento.monitoring.drift.result import DriftResult, Errors, Labels

_BIAS = (
    "Labels that come early are not a random part of all, so errors are measured on predictions alone that are old "
    "enough for nearly all labels to have come."
)
_GUESS = (
    "The estimate is a guess from the rows alone, by a model of this model's errors; it does not see what is in no "
    "feature, decides nothing, and is for the time until labels are due."
)


def error_section(result: DriftResult) -> str:
    """The section of HTML: how many labels there are, a table of errors, and what to make of it."""
    labels, estimate = result.labels, result.estimate
    measured = (
        ("model", labels.model, ""),
        ("historical baseline, a look-up table", labels.historical_baseline, ""),
        ("naive baseline", labels.naive_baseline, ""),
    )
    lines = [(_error_cells(name, errors), mark) for name, errors, mark in measured if errors]
    if estimate:
        lines.append((_estimate_cells(estimate), "guess"))
    if not lines:
        return f"<h2>Labels</h2><p>{escape(_came(labels))}</p>"
    lines_table = table(
        ("", "RMSE", "95 %", "MAE", "95 %", "bias", "95 %", "of"),
        (cells for cells, _ in lines),
        numbers_from=1,
        marks=[mark for _, mark in lines],
    )
    words = [_came(labels), _ratios(labels)]
    notes = [_BIAS if labels.matched else "", _GUESS if estimate else ""]
    return (
        f"<h2>Labels</h2><p>{escape(' '.join(filter(None, words)))}</p>{lines_table}"
        f'<p class="muted">{escape(" ".join(filter(None, notes)))}</p>'
    )


def _came(labels: Labels) -> str:
    maturity = labels.maturity
    if not labels.matched and maturity is None:
        return "No label has come yet, so how old a prediction must be to have one is not known either."
    delay = labels.median_delay_hours
    late = f", {duration(max(delay, 0))} after it (median)" if delay is not None else ""
    parts = [f"{labels.matched:,} predictions have a label, {labels.coverage or 0:.1%} of all{late}."]
    if maturity:
        parts.append(
            f"{maturity.predictions:,} ({maturity.share:.1%}) are due, being older than {duration(maturity.hours)} "
            f"({'as set' if maturity.source == 'setting' else 'within which 95 % of the labels came'}); "
            f"{maturity.coverage or 0:.1%} of those have one."
        )
    return " ".join(parts)


def _ratios(labels: Labels) -> str:
    pairs = (
        ("the naive baseline", labels.ratio_to_naive_baseline, labels.ratio_interval),
        ("the historical baseline", labels.ratio_to_historical_baseline, labels.historical_ratio_interval),
    )
    found = [f"{ratio:.3f} {interval_text(interval, 3)} of that of {name}" for name, ratio, interval in pairs if ratio]
    judged = labels.maturity is None or labels.maturity.judged
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
    return ["model, estimated without labels", *cells, "", "", f"{estimate.n:,}"]


def interval_text(interval: Interval | None, digits: int) -> str:
    """An interval in words; nothing where there is none."""
    return f"({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else ""


def table(
    head: Iterable[str],
    rows: Iterable[list[str]],
    numbers_from: int,
    numbers_to: int | None = None,
    marks: list[str] | None = None,
) -> str:
    """A table whose columns from `numbers_from` up to `numbers_to` are aligned as numbers."""

    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if index >= numbers_from and (numbers_to is None or index < numbers_to) else ''}>"
            f"{escape(value)}</{tag}>"
            for index, value in enumerate(values)
        )

    lines = [f'<tr class="{marks[i] if marks else ""}">{cells("td", row)}</tr>' for i, row in enumerate(rows)]
    return f"<table><tr>{cells('th', head)}</tr>{''.join(lines)}</table>"
