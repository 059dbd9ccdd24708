"""What is predicted: the task that a target suggests, and its classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from tabular_bento.errors import ScaffoldError
from tabular_bento.scaffold.columns import FREE_TEXT, Chosen, declared_field, shown
from tabular_bento.scaffold.summary import ColumnSummary
from tabular_bento.schema import Field, Kind

MOST_CLASSES = 250
"""Distinct texts of a target that are classes."""

MOST_WHOLE_CLASSES = 20
"""Distinct whole numbers of a target that are classes; more are a quantity."""

ROWS_OF_A_CLASS = 10
"""Rows a class of whole numbers has on average; of fewer they are a quantity."""

_POSITIVE = frozenset(
    (
        "yes",
        "y",
        "true",
        "t",
        "1",
        "positive",
        "pos",
        "fraud",
        "default",
        "churn",
        "churned",
        "bad",
        "spam",
        "malignant",
        "failure",
        "fail",
        "failed",
        "sick",
        "late",
        "won",
        "bought",
    )
)
_NEGATIVE = frozenset(
    (
        "no",
        "n",
        "false",
        "f",
        "0",
        "negative",
        "neg",
        "ok",
        "good",
        "normal",
        "none",
        "ham",
        "benign",
        "healthy",
        "on time",
    )
)


def choose_target(
    summary: ColumnSummary, name: str, task: str | None
) -> tuple[Chosen, str, str, list[tuple[Any, int]]]:
    """The target, its task with the reason, and classes with their rows."""
    where, kind, distinct = f"The target {summary.name!r}", summary.kind, summary.distinct
    if summary.infinite:
        raise ScaffoldError(
            f"{where} is infinite in {summary.infinite:,} of {summary.rows:,} rows: write them as missing."
        )
    counts = Counter({value: n for value, n in summary.counts.items() if value not in summary.other_missing})
    if not counts:
        raise ScaffoldError(f"{where} has no value in any of {summary.rows:,} rows.")
    if len(counts) == 1:
        raise ScaffoldError(
            f"{where} is {shown(next(iter(counts)))} in every row that has a value: nothing is to be predicted."
        )
    if kind.is_time or summary.type:
        raise ScaffoldError(f"{where} holds values of {summary.type or kind.value}; numbers or classes are predicted.")
    distinct = len(counts)
    whole = kind is Kind.INTEGER or (kind is Kind.NUMBER and summary.whole)
    found, why = _task(kind, distinct, whole, summary)
    if task is not None and task != found:
        found, why = task, f"as --task says; {distinct:,} distinct values"
    if found == "regression":
        if not kind.is_numeric:
            raise ScaffoldError(
                f"{where} holds texts, such as {shown(next(iter(counts)))}: a regression predicts numbers."
            )
        chosen = declared_field(summary, name, "")
        return replace(chosen, field=replace(chosen.field, optional=False)), found, why, []
    if distinct > MOST_CLASSES or (distinct > 20 and distinct >= FREE_TEXT * summary.known):
        raise ScaffoldError(
            f"{where} has {distinct:,} distinct values in {summary.known:,} rows, such as {shown(next(iter(counts)))}: "
            f"classes are at most {MOST_CLASSES}, and have several rows each."
        )
    if (found == "binary") != (distinct == 2):
        raise ScaffoldError(
            f"{where} has {distinct:,} distinct values: --task {'multiclass' if distinct > 2 else 'binary'} fits them."
        )
    if kind is Kind.NUMBER:
        kind = Kind.INTEGER if whole else Kind.TEXT
    alike = [value for value, count in Counter(str(value).lower() for value in counts).items() if count > 1]
    if alike and kind is Kind.TEXT:
        raise ScaffoldError(
            f"{where} has classes that differ only in case, such as {shown(alike[0])}: write each in one way."
        )
    values = {_label(value, kind): count for value, count in counts.items()}
    ordered = sorted(values)
    if found == "binary":
        ordered, because = _negative_first(ordered, values)
        why += f"; {because}"
    declared = Field(name, kind, name.replace("_", " ").capitalize() if name == summary.name else f"`{summary.name}`")
    text = ", ".join(f"{value}: {values[value]:,} rows" for value in ordered[:10])
    return Chosen(summary.name, declared, text, distinct), found, why, [(value, values[value]) for value in ordered]


def _task(kind: Kind, distinct: int, whole: bool, summary: ColumnSummary) -> tuple[str, str]:
    if kind in (Kind.TEXT, Kind.BOOLEAN) or (whole and distinct == 2):
        return ("binary", "two values") if distinct == 2 else ("multiclass", f"{distinct:,} texts")
    few = distinct <= MOST_WHOLE_CLASSES and summary.known >= ROWS_OF_A_CLASS * distinct
    if whole and few:
        return (
            "multiclass",
            f"{distinct} whole numbers, which are taken as labels; --task regression takes them as a quantity",
        )
    return "regression", f"{'more than ' * summary.many}{distinct:,} distinct numbers"


def _label(value: Any, kind: Kind) -> Any:
    if kind is Kind.BOOLEAN:
        return value if isinstance(value, bool) else str(value).lower() == "true"
    return int(float(value)) if kind is Kind.INTEGER else str(value)


def _negative_first(ordered: list[Any], rows: dict[Any, int]) -> tuple[list[Any], str]:
    """Two classes, the positive one last, and what it was chosen by."""
    first, second = ordered
    if isinstance(first, bool) or (first, second) in ((0, 1), (-1, 1)):
        return ordered, f"{str(second).lower()} is the positive class"
    words = [str(value).strip().lower() for value in ordered]
    for one, other in ((0, 1), (1, 0)):
        if (words[other] in _POSITIVE and words[one] not in _POSITIVE) or (
            words[one] in _NEGATIVE and words[other] not in _NEGATIVE
        ):
            return [ordered[one], ordered[other]], f"{ordered[other]} is the positive class, by its name"
    rarer = min(ordered, key=lambda value: rows[value])
    return [
        next(value for value in ordered if value != rarer),
        rarer,
    ], f"{rarer} is the positive class, being the rarer"
