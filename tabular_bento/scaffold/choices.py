"""What a project declares of a table: kinds, ranges, roles and the task, each with the reason for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from tabular_bento.data.epochs import UNITS
from tabular_bento.errors import ScaffoldError
from tabular_bento.scaffold.columns import FREE_TEXT, SEGMENT_VALUES, Chosen, declared_field, shown
from tabular_bento.scaffold.names import field_names
from tabular_bento.scaffold.summary import ColumnSummary, TableSummary
from tabular_bento.scaffold.targets import ROWS_OF_A_CLASS, choose_target
from tabular_bento.schema import Kind

FEWEST_ROWS = 60
"""Rows with a label that a project needs: every part of the split must have some."""

MOST_SEGMENTS = 3

MOST_AT_ONCE = 0.1
"""Largest share of the rows that may have one event time: that of the smallest part of the split."""

_CALIBRATION_ROWS = 50
"""Rows of the rarest class that the calibration part needs."""
_ISOTONIC_ROWS = 1000
"""Rows of the rarest class in the calibration part from which steps describe it as well as a curve of two parameters
(Niculescu-Mizil and Caruana, Predicting Good Probabilities with Supervised Learning, 2005)."""
_SHARE_CLASSES = 5
_ID_NAME = re.compile(
    r"(^|[_ .-])(id|ids|uuid|guid|key|idx|index|row|rowid|rownames?|no|nr|number)$|^unnamed: 0$|[a-z]I[dD]$"
)
_OTHER_DATE = re.compile(r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|^\d{4}/\d{1,2}/\d{1,2}")
_MARKED_NUMBER = re.compile(r"^(?=.*[,'%$€£¥])\s*[$€£¥]?\s*-?\d{1,3}(\d*|([,.' ]\d{3})+)([.,]\d+)?\s*[%$€£¥]?\s*$")
"""A number with a currency, a percent sign, a decimal comma or separated thousands."""

_LOOKED_AT = 20
"""Texts of a column that are looked at for dates and numbers."""


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
    def epochs(self) -> dict[str, str]:
        """The unit of each instant that the table holds as integers."""
        return {item.name: item.epoch for item in self.fields if item.epoch}

    @property
    def calibration(self) -> str:
        """The method that probabilities are calibrated by; `none` where there are too few rows for one."""
        rarest = min(self.class_rows, default=0) * 0.1
        if rarest < _CALIBRATION_ROWS:
            return "none"
        return "isotonic" if rarest >= _ISOTONIC_ROWS and self.task == "binary" else "platt"

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
    target, time, identifier = (_named(table, name) for name in (target, time, identifier))
    for option, name in (("--target", target), ("--time", time), ("--id", identifier)):
        if name is not None and name not in table.columns:
            raise ScaffoldError(f"{option} {name}: the table has no such column; it has {_listed(table.columns)}.")
    if len({target, time, identifier} - {None}) < 1 + (time is not None) + (identifier is not None):
        raise ScaffoldError("--target, --time and --id must be different columns.")
    columns = {name: _renamed_time(name, short, time) for name, short in field_names(table.columns).items()}
    labels = table.columns[target]
    chosen_target, chosen_task, why, classes = choose_target(labels, columns[target], task)
    labelled = labels.known - sum(labels.odd[text] for text in labels.other_missing)
    if labelled < FEWEST_ROWS:
        raise ScaffoldError(
            f"{labelled} of {table.rows:,} rows have a value of {target!r}, and a project needs at least "
            f"{FEWEST_ROWS}: the rows are divided into those to learn from, to choose by and to measure on."
        )
    draft = _Draft(missing=set(labels.other_missing))
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


def _named(table: TableSummary, name: Any) -> Any:
    """The column of a name, which may have spaces around it that the name lacks; else the name itself."""
    padded = [column for column in table.columns if name is not None and column.strip() == name.strip()]
    return padded[0] if name not in table.columns and len(padded) == 1 else name


def _renamed_time(column: str, name: str, time: str | None) -> str:
    """`time` is the name of the prediction's own time in logs and reports."""
    return "event_time" if column == time and name == "time" else name


def _sort(draft: _Draft, summary: ColumnSummary, name: str, role: str) -> None:
    """Make a field of a column, or leave it out."""
    epoch = (summary.epoch or "") if role == "--time" else ""
    if epoch:
        summary = summary.dated(epoch)
        draft.warnings.append(
            f"{summary.name!r} is read as {UNITS[epoch]} since 1970. Requests hold it in ISO 8601, such as "
            f"{summary.high}."
        )
    kind = summary.kind
    if role == "--time" and (not kind.is_time or summary.missing or summary.other_missing or _beyond(summary)):
        raise ScaffoldError(f"--time {summary.name}: {_no_time(summary)}")
    if role == "--time" and summary.counts and (most := max(summary.counts.values())) > MOST_AT_ONCE * summary.rows:
        raise ScaffoldError(
            f"--time {summary.name}: {most:,} of {summary.rows:,} rows have the same value, and rows of one time cannot"
            " be divided between training and test. Leave --time out, and rows are divided by a seed."
        )
    if role == "--id" and kind not in (Kind.TEXT, Kind.INTEGER):
        raise ScaffoldError(
            f"--id {summary.name}: it holds values of kind {kind.value}; an id is a text or an integer."
        )
    reason = "" if role else _reason_to_leave_out(summary)
    if reason:
        draft.left_out.append((summary.name, reason))
        if reason.startswith(_TO_CLEAN):
            draft.warnings.append(f"{summary.name!r} is left out: {reason}.")
        return
    if kind is Kind.TEXT and summary.distinct > _LOOKED_AT and _mostly(_MARKED_NUMBER, summary):
        example = shown(next(iter(summary.counts)))
        draft.warnings.append(
            f"{summary.name!r} is taken as a category, though its texts look like numbers, such as {example}: write "
            "them as plain numbers if they are quantities."
        )
    if summary.finer and kind is Kind.LOCAL_TIME:
        draft.warnings.append(f"{summary.name!r} has fractions of a second, which are dropped; requests have none.")
    draft.missing |= set(summary.other_missing)
    draft.fields.append(declared_field(summary, name, role, epoch))


def _reason_to_leave_out(summary: ColumnSummary) -> str:
    if summary.type:
        return f"values of type {summary.type} are no field"
    if not summary.known:
        return "no row has a value"
    if summary.distinct == 1 and not summary.missing:
        return f"the same value in every row, {shown(next(iter(summary.counts)))}"
    kind = summary.kind
    if summary.infinite:
        return f"infinite values in {summary.infinite:,} rows; write them as missing to use the column"
    if kind.is_time and (beyond := _beyond(summary)):
        return f"dates before the year 1900 or after 2199, such as {beyond}; write them as missing to use the column"
    named = summary.many or summary.distinct == summary.known
    if kind is Kind.INTEGER and summary.rows > 1 and named:
        if summary.high - summary.low + 1 == summary.known and not summary.many:
            return "numbers the rows"
        if _ID_NAME.search(summary.name) or _ID_NAME.search(summary.name.lower()):
            return "an identifier: a different whole number in every row"
    if kind is Kind.TEXT:
        example = shown(next(iter(summary.counts)))
        if _mostly(_OTHER_DATE, summary):
            return f"dates that are not ISO 8601, such as {example}; write them as 2024-05-17 to use them"
        numbers = summary.fits[Kind.NUMBER]
        if not summary.codes and numbers >= 0.5 * summary.known and numbers < summary.known:
            odd = shown(next(iter(summary.odd)))
            return (
                f"mixed types: {numbers:,} of {summary.known:,} values are numbers and others are not, such as {odd}; "
                "clean it to use it"
            )
        if summary.many or (summary.distinct > 20 and summary.distinct >= FREE_TEXT * summary.known):
            if _mostly(_MARKED_NUMBER, summary):
                return f"numbers with other marks, such as {example}; write them as plain numbers to use them"
            what = "large numbers" if summary.fits[Kind.INTEGER] == summary.known else "texts"
            texts = f"{'more than ' * summary.many}{summary.distinct:,} {what}"
            return f"{texts} in {summary.known:,} rows name rows, such as {example}"
    return ""


_TO_CLEAN = ("mixed", "dates", "numbers with", "infinite")
"""How reasons begin of columns that would be fields if they were written otherwise."""


def _mostly(pattern: re.Pattern[str], summary: ColumnSummary) -> bool:
    """Whether most of the first texts look so."""
    values = [str(value) for value in islice(summary.counts, _LOOKED_AT)]
    return sum(bool(pattern.match(value)) for value in values) > len(values) / 2


def _beyond(summary: ColumnSummary) -> str:
    """The first or the last time, where it is beyond what a request may hold; else empty."""
    return next((str(end) for end in (summary.low, summary.high) if not "1900" <= str(end)[:4] < "2200"), "")


def _no_time(summary: ColumnSummary) -> str:
    if summary.kind.is_time and (beyond := _beyond(summary)):
        return f"it has dates before the year 1900 or after 2199, such as {beyond}. Fill or drop them."
    if summary.kind.is_time:
        gaps = summary.missing + sum(summary.odd[text] for text in summary.other_missing)
        return f"{gaps:,} of {summary.rows:,} rows have no value, and every row must be dated. Fill or drop them."
    example = shown(next(iter(summary.counts), ""))
    return (
        f"its values are no dates or times in ISO 8601, for example {example}. Write them as 2024-05-17, "
        "2024-05-17T12:00:00 or 2024-05-17T12:00:00Z, or as whole seconds or milliseconds since 1970."
    )


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
