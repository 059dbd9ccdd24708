"""The tables of a back-test, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monitoring.backtest import BackTest, Chapter, Rate, why
from monitoring.drift import DRIFT_KINDS

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
        ("from", "rows", "verdict", "because of", "share drifted", "prediction", "RMSE / zero gain", "bias, minutes"),
        (_line(chapter) for chapter in chapters),
    )


def _line(chapter: Chapter) -> list[str]:
    result = chapter.result
    outcomes, prediction = result.outcomes, next(column for column in result.columns if column.role == "prediction")
    times = prediction.score / prediction.threshold if prediction.score and prediction.threshold else 0
    interval = outcomes.ratio_interval
    ratio = "" if outcomes.ratio_to_zero_gain is None else f"{outcomes.ratio_to_zero_gain:.3f}"
    return [
        chapter.name,
        f"{result.rows.scored:,}",
        result.verdict.replace("_", " "),
        "; ".join(sorted(why(result))),
        f"{result.decision.drifted_share or 0:.0%}",
        f"{times:.1f} of its limit",
        ratio + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""),
        f"{outcomes.model.bias:+.1f}" if outcomes.model else "",
    ]


def _table(head: Iterable[str], rows: Iterable[list[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
