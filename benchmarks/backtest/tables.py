"""The tables of a back-test, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.backtest.job import BackTest, Chapter, Rate, why
from tabular_bento.monitoring.drift.verdict import DRIFT_KINDS

BEGIN, END = "<!-- backtest: begin -->", "<!-- backtest: end -->"
"""What of a page the tables replace, so that the words around them stay."""


def tables(test: BackTest) -> str:
    """All tables, each under a heading."""
    months = [chapter for chapter in test.story if chapter.kind == "month"]
    weeks = [chapter for chapter in test.story if chapter.kind == "week"]
    parts = [
        ("False alarms", _false_alarms(test)),
        ("Faults found, in random rows of the training months", _power(test.power)),
        ("Faults found, in whole weeks of the training months", _power(test.power_in_a_week)),
        ("The months after training", _story(months)),
        ("The weeks after training", _story(weeks)),
        ("Errors estimated without labels, and observed: months", _estimates(months)),
        ("Errors estimated without labels, and observed: weeks", _estimates(weeks)),
        ("What the estimate is worth", _worth(months, weeks)),
    ]
    return "\n".join(f"### {title}\n\n{table}\n" for title, table in parts)


def write(path: Path, text: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Put the tables between the marks of the page at `path`, or make a page of them where there is none."""
    page = path.read_text(encoding="utf-8") if path.exists() else f"{marks[0]}\n{marks[1]}\n"
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not (begin and end):
        raise ValueError(f"{path} has no lines {marks[0]} and {marks[1]} to put the tables between.")
    path.write_text(f"{before}{marks[0]}\n\n{text}\n{marks[1]}{after}", encoding="utf-8")


def _false_alarms(test: BackTest) -> str:
    rates = [*test.splits, test.weeks, test.left_out]
    rows = (
        [rate.name, f"{rate.rows:,}", f"{rate.alarms} of {rate.windows}", "; ".join(rate.reasons)] for rate in rates
    )
    return _table(("windows", "rows each", "alarms", "because of"), rows)


def _power(rates: list[Rate]) -> str:
    sizes = sorted({rate.rows for rate in rates})
    names = dict.fromkeys(rate.name for rate in rates)
    rows = []
    for name in names:
        found = [next(rate for rate in rates if rate.name == name and rate.rows == size) for size in sizes]
        kinds = {reason.partition(" (")[0] for rate in found for reason in rate.reasons}
        by = ", ".join(kind for kind in DRIFT_KINDS if kind in kinds)
        rows.append([name, *(f"{rate.alarms} of {rate.windows}" for rate in found), by])
    return _table(("fault", *(f"{size:,} rows" for size in sizes), "found by"), rows)


def _story(chapters: list[Chapter]) -> str:
    return _table(
        ("from", "rows", "verdict", "because of", "share drifted", "prediction", "RMSE / naive baseline", "bias"),
        (_line(chapter) for chapter in chapters),
    )


def _line(chapter: Chapter) -> list[str]:
    result = chapter.result
    labels, prediction = result.labels, next(column for column in result.columns if column.role == "prediction")
    interval = labels.ratio_interval
    ratio = "" if labels.ratio_to_naive_baseline is None else f"{labels.ratio_to_naive_baseline:.3f}"
    return [
        chapter.name,
        f"{result.rows.scored:,}",
        result.verdict.replace("_", " "),
        "; ".join(sorted(why(result))),
        f"{result.decision.drifted_share or 0:.0%}",
        f"{prediction.excess or 0:.1f} of its limit",
        ratio + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""),
        f"{labels.model.bias:+.1f}" if labels.model else "",
    ]


def _estimates(chapters: list[Chapter]) -> str:
    """RMSE and MAE of each window, guessed and true."""
    rows = []
    for chapter in chapters:
        estimate, model = chapter.result.estimate, chapter.result.labels.model
        if estimate and model:
            low, high = estimate.rmse_interval
            inside = "yes" if low <= model.rmse <= high else "no"
            off = f"{estimate.rmse / model.rmse - 1:+.0%}"
            guessed = f"{estimate.rmse:.2f} ({low:.2f} to {high:.2f})"
            rows.append(
                [chapter.name, guessed, f"{model.rmse:.2f}", inside, off, f"{estimate.mae:.2f}", f"{model.mae:.2f}"]
            )
    head = ("from", "RMSE estimated", "observed", "within", "off by", "MAE estimated", "observed")
    return _table(head, rows)


def _worth(months: list[Chapter], weeks: list[Chapter]) -> str:
    """How often the truth is in the interval, how far off the estimate is, and whether it knows bad windows from good.

    Beside it the constant that needs no error model: the mean of all windows, known only in hindsight.
    """
    rows = []
    groups = (
        ("months that the error model learnt from", [one for one in months if one.learnt]),
        ("months after those", [one for one in months if not one.learnt]),
        ("weeks that it learnt from", [one for one in weeks if one.learnt]),
        ("weeks after those", [one for one in weeks if not one.learnt]),
    )
    for name, chapters in groups:
        pairs = [(c.result.estimate, c.result.labels.model) for c in chapters]
        known = [(guess, true) for guess, true in pairs if guess and true]
        if len(known) < 2:
            continue
        guessed, true = (np.log([errors.rmse for errors in side]) for side in zip(*known, strict=True))
        inside = sum(g.rmse_interval[0] <= t.rmse <= g.rmse_interval[1] for g, t in known)
        rows.append(
            [
                name,
                f"{inside} of {len(known)}",
                f"{np.exp((guessed - true).mean()) - 1:+.0%}",
                f"{np.sqrt(((guessed - true) ** 2).mean()):.0%}",
                f"{true.std():.0%}",
                f"{np.corrcoef(guessed, true)[0, 1]:.2f}",
            ]
        )
    head = ("windows", "truth within", "mean error", "typical error", "of a constant", "correlation")
    return _table(head, rows)


def _table(head: Iterable[str], rows: Iterable[list[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
