"""What a project declares of a table: kinds, ranges, roles and the task, each with the reason for it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tabular_bento.errors import ScaffoldError
from tabular_bento.scaffold.names import field_names
from tabular_bento.scaffold.summary import ColumnSummary, TableSummary
from tabular_bento.schema import LARGEST_INTEGER, Field, Kind

FEWEST_ROWS = 60
"""Rows with a label that a project needs: every part of the split must have some."""

MOST_CLASSES = 250
"""Distinct texts of a target that are classes."""

MOST_WHOLE_CLASSES = 20
"""Distinct whole numbers of a target that are classes; more are a quantity."""

ROWS_OF_A_CLASS = 10
"""Rows a class of whole numbers has on average; of fewer they are a quantity."""

SEGMENT_VALUES = 8
"""Most values of a field that results are broken down by."""

MOST_SEGMENTS = 3

_CALIBRATION_ROWS = 20
"""Rows of the rarest class that the calibration part needs."""
_ISOTONIC_ROWS = 2000
"""Rows of the calibration part from which steps describe it better than a curve of two parameters."""
_FREE_TEXT = 0.5
"""Distinct values for each row from which a text names rows instead of grouping them."""
_SHOWN = 60
_SHARE_CLASSES = 5
_ID_NAME = re.compile(
    r"(^|[_ .-])(id|ids|uuid|guid|key|idx|index|row|rowid|rownames?|no|nr|number)$|^unnamed: 0$|[a-z]I[dD]$"
)
_OTHER_DATE = re.compile(r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|^\d{4}/\d{1,2}/\d{1,2}")
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


@dataclass(frozen=True)
class Chosen:
    """A column of the table and what the project makes of it.

    Parameters
    ----------
    column : str
        Its name in the table.
    field : Field
        What is declared.
    why : str
        What was seen, for the comment beside the declaration.
    distinct : int
        Distinct values.
    low, high : float, str or None
        The least and the greatest number or time.
    """

    column: str
    field: Field
    why: str
    distinct: int
    low: Any = None
    high: Any = None

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name


@dataclass(frozen=True)
class Choices:
    """Everything that a project declares of a table.

    Parameters
    ----------
    fields : tuple of Chosen
        The fields of a request, in the table's order.
    target : Chosen
        What is predicted.
    task : str
        `regression`, `binary` or `multiclass`.
    task_why : str
        What the task was chosen by.
    classes : tuple
        Of a classification, in their order; of two the positive one is the last.
    class_rows : tuple of int
        Rows of each.
    identifier, event_time : str, optional
        Fields by role.
    segments : tuple of str
        Fields that results are broken down by.
    left_out : tuple of (str, str)
        Columns that are no fields, and why.
    warnings : tuple of str
        What a reader should look at.
    missing : tuple of str
        Texts that stand for a missing value, beside those that always do.
    rows, labelled : int
        Rows, and those of them with a label.
    """

    fields: tuple[Chosen, ...]
    target: Chosen
    task: str
    task_why: str
    classes: tuple[Any, ...]
    class_rows: tuple[int, ...]
    identifier: str | None
    event_time: str | None
    segments: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    rows: int
    labelled: int
    warnings: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Chosen, ...]:
        """The fields that features are made of."""
        return tuple(item for item in self.fields if item.name not in (self.identifier, self.event_time))

    @property
    def categories(self) -> tuple[str, ...]:
        """The texts, which are coded and have a mean target."""
        names = {item.name for item in self.fields}
        return tuple(
            item.name
            for item in self.features
            if item.field.kind is Kind.TEXT and not {f"{item.name}_target_mean", f"{item.name}_share_0"} & names
        )

    @property
    def share_classes(self) -> int:
        """Classes whose shares are features of each category; 0 where the mean of the target is."""
        return min(len(self.classes), _SHARE_CLASSES) if self.task == "multiclass" else 0

    @property
    def times(self) -> tuple[Chosen, ...]:
        """The times, the event time included."""
        return tuple(item for item in self.fields if item.field.kind.is_time)

    @property
    def renamed(self) -> dict[str, str]:
        """The table's column of each field or target that has another name."""
        return {item.name: item.column for item in (*self.fields, self.target) if item.name != item.column}

    @property
    def calibration(self) -> str:
        """The method that probabilities are calibrated by; `none` where there are too few rows for one."""
        if not self.class_rows or min(self.class_rows) * 0.1 < _CALIBRATION_ROWS:
            return "none"
        return "isotonic" if self.labelled * 0.1 >= _ISOTONIC_ROWS and self.task == "binary" else "platt"

    def warn(self, warnings: Iterable[str]) -> Choices:
        """The same with more to look at."""
        return replace(self, warnings=(*self.warnings, *warnings))


@dataclass
class _Draft:
    """Columns as they are sorted."""

    fields: list[Chosen] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)


def choose(
    table: TableSummary, target: str, time: str | None = None, identifier: str | None = None, task: str | None = None
) -> Choices:
    """Choose what a project declares of a table.

    Parameters
    ----------
    table : TableSummary
        What the table holds.
    target : str
        The column that is predicted.
    time : str, optional
        The column that dates a row.
    identifier : str, optional
        The column that names a row, which is returned with its prediction.
    task : str, optional
        `regression`, `binary` or `multiclass`, where it is not that which the target suggests.

    Raises
    ------
    ScaffoldError
        Where there is no sensible project: no such column, too few rows, nothing to predict or to predict from.
    """
    if not table.rows:
        raise ScaffoldError("The table has a header and no rows: nothing can be learnt from it.")
    for option, name in (("--target", target), ("--time", time), ("--id", identifier)):
        if name is not None and name not in table.columns:
            raise ScaffoldError(f"{option} {name}: the table has no such column; it has {_listed(table.columns)}.")
    if len({target, time, identifier} - {None}) < 1 + (time is not None) + (identifier is not None):
        raise ScaffoldError("--target, --time and --id must be different columns.")
    columns = {name: _renamed_time(name, short, time) for name, short in field_names(table.columns).items()}
    chosen_target, chosen_task, why, classes = _target(table.columns[target], columns[target], task, table.typed)
    labelled = table.columns[target].known - sum(table.columns[target].odd[t] for t in _other(table.columns[target]))
    if labelled < FEWEST_ROWS:
        raise ScaffoldError(
            f"{labelled} of {table.rows:,} rows have a value of {target!r}, and a project needs at least "
            f"{FEWEST_ROWS}: the rows are divided into those to learn from, to choose by and to measure on."
        )
    draft = _Draft(missing=set(_other(table.columns[target])))
    if labelled < table.rows:
        draft.warnings.append(f"{table.rows - labelled:,} of {table.rows:,} rows have no {target!r} and are left out.")
    for name, summary in table.columns.items():
        if name == target:
            continue
        role = "--time" if name == time else "--id" if name == identifier else ""
        _sort(draft, summary, columns[name], role)
    if not [item for item in draft.fields if item.column not in (time, identifier)]:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in draft.left_out)
        raise ScaffoldError(f"No column is left to predict {target!r} from. Left out: {reasons or 'none'}.")
    rare = [str(value) for value, count in classes if count < ROWS_OF_A_CLASS]
    if rare:
        draft.warnings.append(f"Classes with fewer than {ROWS_OF_A_CLASS} rows are hardly learnt: {_listed(rare)}.")
    return Choices(
        tuple(draft.fields),
        chosen_target,
        chosen_task,
        why,
        tuple(value for value, _ in classes),
        tuple(count for _, count in classes),
        None if identifier is None else columns[identifier],
        None if time is None else columns[time],
        _segments(draft.fields, {time, identifier}),
        tuple(draft.left_out),
        tuple(sorted(draft.missing)),
        table.rows,
        labelled,
        tuple(draft.warnings),
    )


def _other(summary: ColumnSummary) -> tuple[str, ...]:
    return summary.other_missing


def _renamed_time(column: str, name: str, time: str | None) -> str:
    """`time` is the name of the prediction's own time in logs and reports."""
    return "event_time" if column == time and name == "time" else name


def _sort(draft: _Draft, summary: ColumnSummary, name: str, role: str) -> None:
    """Make a field of a column, or leave it out."""
    kind = summary.kind
    if role == "--time" and (not kind.is_time or summary.missing or summary.other_missing):
        raise ScaffoldError(f"--time {summary.name}: {_no_time(summary)}")
    if role == "--id" and kind not in (Kind.TEXT, Kind.INTEGER):
        raise ScaffoldError(
            f"--id {summary.name}: it holds values of kind {kind.value}; an id is a text or an integer."
        )
    reason = "" if role else _reason_to_leave_out(summary)
    if reason:
        draft.left_out.append((summary.name, reason))
        if reason.startswith("mixed"):
            draft.warnings.append(f"{summary.name!r} is left out: {reason}.")
        return
    draft.missing |= set(summary.other_missing)
    draft.fields.append(_field(summary, name, role))


def _reason_to_leave_out(summary: ColumnSummary) -> str:
    if summary.type:
        return f"values of type {summary.type} are no field"
    if not summary.known:
        return "no row has a value"
    if summary.distinct == 1 and not summary.missing:
        return f"the same value in every row, {_text(next(iter(summary.counts)))}"
    kind = summary.kind
    named = summary.many or summary.distinct == summary.known
    if kind is Kind.INTEGER and summary.rows > 1 and named:
        if summary.high - summary.low + 1 == summary.known and not summary.many:
            return "numbers the rows"
        if _ID_NAME.search(summary.name) or _ID_NAME.search(summary.name.lower()):
            return "an identifier: a different whole number in every row"
    if kind is Kind.TEXT:
        example = _text(next(iter(summary.counts)))
        if sum(1 for value in list(summary.counts)[:20] if _OTHER_DATE.match(str(value))) > 10:
            return f"dates that are not ISO 8601, such as {example}; write them as 2024-05-17 to use them"
        numbers = summary.fits[Kind.NUMBER]
        if not summary.codes and numbers >= 0.5 * summary.known and numbers < summary.known:
            odd = _text(next(iter(summary.odd)))
            return (
                f"mixed types: {numbers:,} of {summary.known:,} values are numbers and others are not, such as {odd}; "
                "clean it to use it"
            )
        if summary.many or (summary.distinct > 20 and summary.distinct >= _FREE_TEXT * summary.known):
            texts = f"{'more than ' * summary.many}{summary.distinct:,} texts"
            return f"{texts} in {summary.known:,} rows name rows, such as {example}"
    return ""


def _no_time(summary: ColumnSummary) -> str:
    if summary.kind.is_time:
        gaps = summary.missing + sum(summary.odd[text] for text in summary.other_missing)
        return f"{gaps:,} of {summary.rows:,} rows have no value, and every row must be dated. Fill or drop them."
    example = _text(next(iter(summary.counts), ""))
    return (
        f"its values are no dates or times in ISO 8601, for example {example}. Write them as 2024-05-17, "
        "2024-05-17T12:00:00 or 2024-05-17T12:00:00Z."
    )


def _field(summary: ColumnSummary, name: str, role: str) -> Chosen:
    kind = summary.kind
    gaps = summary.missing + sum(summary.odd[text] for text in summary.other_missing)
    described = f"`{summary.name}`" if summary.name != name else name.replace("_", " ").capitalize()
    why = [f"{'more than ' * summary.many}{summary.distinct:,} values"]
    settings: dict[str, Any] = {}
    if kind.is_numeric and role != "--id":
        settings["minimum"], settings["maximum"] = bounds(summary.low, summary.high, kind)
        why = [f"from {_number(summary.low)} to {_number(summary.high)}"]
    elif kind is Kind.TEXT:
        settings["max_length"] = max(16, 2 * summary.longest)
        if summary.distinct <= SEGMENT_VALUES and not role:
            why = [", ".join(_text(value) for value in sorted(summary.counts, key=str))]
    elif kind.is_time:
        why = [f"from {summary.low} to {summary.high}"]
    if gaps:
        settings["optional"] = True
        why.append(f"missing in {gaps:,} of {summary.rows:,} rows")
    text = "; ".join(why)
    declared = Field(name, kind, described, **settings)
    return Chosen(summary.name, declared, text, summary.distinct, summary.low, summary.high)


def bounds(low: float, high: float, kind: Kind) -> tuple[float, float]:
    """The range of a field: that which was observed and as much again on either side, in round numbers.

    What was never negative stays so, and so does what was never positive.

    Parameters
    ----------
    low, high : float
        The least and the greatest value observed.
    kind : Kind
        INTEGER or NUMBER.
    """
    if kind is Kind.INTEGER and (low, high) == (0, 1):
        return 0, 1
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    lower, upper = math.floor((low - span) / step) * step, math.ceil((high + span) / step) * step
    lower, upper = max(0.0, lower) if low >= 0 else lower, min(0.0, upper) if low < 0 and high <= 0 else upper
    digits = max(0, -math.floor(math.log10(step)))
    lower, upper = round(lower, digits), round(upper, digits)
    if kind is Kind.INTEGER:
        return max(math.floor(lower), 1 - LARGEST_INTEGER), min(math.ceil(upper), LARGEST_INTEGER - 1)
    return lower, upper


def _target(
    summary: ColumnSummary, name: str, task: str | None, typed: bool
) -> tuple[Chosen, str, str, list[tuple[Any, int]]]:
    """The target, its task with the reason, and classes with their rows."""
    where, kind, distinct = f"The target {summary.name!r}", summary.kind, summary.distinct
    counts = Counter({value: n for value, n in summary.counts.items() if value not in summary.other_missing})
    if not counts:
        raise ScaffoldError(f"{where} has no value in any of {summary.rows:,} rows.")
    if len(counts) == 1:
        raise ScaffoldError(
            f"{where} is {_text(next(iter(counts)))} in every row that has a value: nothing is to be predicted."
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
                f"{where} holds texts, such as {_text(next(iter(counts)))}: a regression predicts numbers."
            )
        chosen = _field(summary, name, "")
        return replace(chosen, field=replace(chosen.field, optional=False)), found, why, []
    if distinct > MOST_CLASSES or (distinct > 20 and distinct >= _FREE_TEXT * summary.known):
        raise ScaffoldError(
            f"{where} has {distinct:,} distinct values in {summary.known:,} rows, such as {_text(next(iter(counts)))}: "
            f"classes are at most {MOST_CLASSES}, and have several rows each."
        )
    if (found == "binary") != (distinct == 2):
        raise ScaffoldError(
            f"{where} has {distinct:,} distinct values: --task {'multiclass' if distinct > 2 else 'binary'} fits them."
        )
    if kind is Kind.NUMBER:
        kind = Kind.INTEGER if whole and typed else Kind.TEXT
    alike = [value for value, count in Counter(str(value).lower() for value in counts).items() if count > 1]
    if alike and kind is Kind.TEXT:
        raise ScaffoldError(
            f"{where} has classes that differ only in case, such as {_text(alike[0])}: write each in one way."
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
    return int(value) if kind is Kind.INTEGER else str(value)


def _negative_first(ordered: list[Any], rows: dict[Any, int]) -> tuple[list[Any], str]:
    """Two classes, the positive one last, and what it was chosen by."""
    first, second = ordered
    if isinstance(first, bool) or (first, second) == (0, 1):
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


def _segments(fields: list[Chosen], without: set[str | None]) -> tuple[str, ...]:
    order = (Kind.TEXT, Kind.BOOLEAN, Kind.INTEGER)
    few = [
        item
        for item in fields
        if item.column not in without and item.field.kind in order and 2 <= item.distinct <= SEGMENT_VALUES
    ]
    few.sort(key=lambda item: order.index(item.field.kind))
    return tuple(item.name for item in few[:MOST_SEGMENTS])


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def _text(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
