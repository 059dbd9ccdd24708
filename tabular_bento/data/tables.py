"""The check every table passes before it is used: its columns, types, ranges and key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.data.columns import ARROW_TYPES
from tabular_bento.data.hints import NOT_UTF8, hint_of_text, hint_of_type
from tabular_bento.errors import TableError
from tabular_bento.protocol.values import TIMES
from tabular_bento.schema import Field, Kind

_ROWS_SHOWN = 5
"""Rows that a message names beside its example."""

_NAMES_SHOWN = 20
"""Columns that a message names."""


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a table.

    Parameters
    ----------
    name : str
        The table's name.
    fields : tuple of Field
        Its columns.
    key : tuple of str
        Those columns that no two rows share; they are never null. A table without a key may repeat its rows.
    """

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.key) <= {field.name for field in self.fields if not field.optional}:
            raise ValueError(f"{self.name}: the key {', '.join(self.key)} must name required fields of the table")


def check_table(table: pa.Table, schema: TableSchema) -> pa.Table:
    """The declared columns of `table`, in their declared order and Arrow types; other columns are dropped.

    A NaN becomes null, and fractions of a second that the kind of a time does not hold are dropped. An instant may end
    with UTC or GMT, and may have a space before its offset. Every declared column must be there, also an optional one:
    a misspelt column of labels would otherwise read as labels that are all unknown.

    Raises TableError, naming the table, the column, the number of rows and an example, for an empty table, a column
    that is missing or there twice, a value that has no exact equal in the declared type, a null in a required column,
    a value out of range, an infinite value and a duplicate key.
    """
    if table.num_rows == 0:
        raise TableError(f"{schema.name}: the table has no rows")
    checked = pa.table({field.name: _check_column(schema.name, field, table) for field in schema.fields})
    if schema.key:
        _check_key(checked, schema)
    return checked


def check_names(schema: TableSchema, names: Sequence[str], columns: Mapping[str, str] | None = None) -> None:
    """Check that a table has each column of a schema once, before its rows are read.

    Parameters
    ----------
    schema : TableSchema
        The columns.
    names : sequence of str
        Those that the table has.
    columns : mapping, optional
        The table's name of each field whose name is another one.

    Raises
    ------
    TableError
        Where one is missing or there twice.
    """
    found = Counter(names)
    for field in schema.fields:
        wanted = (columns or {}).get(field.name, field.name)
        if found[wanted] != 1:
            fault = _fault(wanted, field.name, found[wanted])
            raise TableError(f"{schema.name}.{field.name}: {fault}; the table has {_listed(names)}")


def refuse(
    table: str, column: str, values: pa.ChunkedArray, bad: pa.ChunkedArray, problem: str, hint: str = ""
) -> None:
    """Raise TableError if any of the booleans `bad` is true; the example is the first of `values` so marked.

    Both have shape [n]; a null in `bad` counts as false.
    """
    count = pc.sum(bad).as_py() or 0
    if count:
        rows = pc.indices_nonzero(bad)[: _ROWS_SHOWN + 1].to_pylist()
        raise TableError(
            f"{table}.{column}: {count} of {len(values)} rows {problem}, "
            f"for example {_example(values[rows[0]])} in row {rows[0]} (the first is row 0)"
            f"{_also(rows[1:], count - 1)}{f'. {hint}' if hint else ''}"
        )


def _example(value: pa.Scalar) -> str:
    try:
        return repr(value.as_py())
    except (OverflowError, ValueError):  # a time that Python has no number for
        return "infinity"


def _also(rows: Sequence[int], count: int) -> str:
    """The rows beside the first, of which the first few are named."""
    if not rows:
        return ""
    more = f" and {count - len(rows)} more" if count > len(rows) else ""
    return f", and in row{'s' if count > 1 else ''} {', '.join(map(str, rows))}{more}"


def _fault(wanted: str, field: str, times: int) -> str:
    what = "the column" if wanted == field else f"the column {wanted!r}"
    return f"{what} occurs {times} times" if times else f"{what} is missing"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def _check_column(table_name: str, field: Field, table: pa.Table) -> pa.ChunkedArray:
    indices = table.schema.get_all_field_indices(field.name)
    if len(indices) != 1:
        raise TableError(
            f"{table_name}.{field.name}: {_fault(field.name, field.name, len(indices))} (all {table.num_rows} rows); "
            f"the table has {_listed(table.column_names)}"
        )
    column = _cast(table_name, field, table.column(indices[0]))
    if not field.optional:
        refuse(table_name, field.name, column, pc.is_null(column), "have no value, and the column requires one")
    if field.kind is Kind.NUMBER:
        refuse(table_name, field.name, column, pc.is_inf(column), "are infinite")
    _check_range(table_name, field, column)
    return column


def _cast(table_name: str, field: Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    target = ARROW_TYPES[field.kind]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_text(column.type):
        _check_utf8(table_name, field, column)
    if field.kind in (Kind.INTEGER, Kind.BOOLEAN) and _is_text(column.type):
        column = pc.replace_substring_regex(column, r"^([+-]?\d+)\.0*$", r"\1")
    if not _means_the_same(column.type, target):
        every_row = pa.repeat(True, len(column))
        fault, hint = f"have type {column.type}, which is no {target}", hint_of_type(field.kind, column.type)
        refuse(table_name, field.name, column, every_row, fault, hint)
    column = _nan_to_null(_whole(column, field.kind))
    if pa.types.is_boolean(target) and pa.types.is_integer(column.type):
        other = pc.invert(pc.is_in(column, value_set=pa.array([0, 1], column.type)))
        refuse(table_name, field.name, column, pc.and_(other, pc.is_valid(column)), "are neither 0 nor 1")
    try:
        return _nan_to_null(column.cast(target))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        distinct = column.unique()
        misfits = distinct.filter(pa.array([not _castable(value, target) for value in distinct]))
        bad = pc.is_in(column, value_set=misfits)
        first = next(iter(misfits.to_pylist()), None)
        hint = (
            hint_of_text(field.kind, first) if isinstance(first, str) else NOT_UTF8 if isinstance(first, bytes) else ""
        )
        refuse(table_name, field.name, column, bad, f"cannot be read as {target} without loss", hint)
        raise


_RESOLUTION = {
    Kind.LOCAL_TIME: ("second", "s", r"^(.*:\d\d)\.\d+$", r"\1"),
    Kind.INSTANT: ("microsecond", "us", r"^(.*\.\d{6})\d+(.*)$", r"\1\2"),
}
"""Of times, as Arrow names their unit, and texts with a finer one and what is left of them."""


def _whole(column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Times without what is finer than their kind holds; other values as they are."""
    if kind not in _RESOLUTION:
        return column
    unit, short, finer, kept = _RESOLUTION[kind]
    if _is_text(column.type):
        if kind is Kind.INSTANT:
            for pattern, offset in _OFFSETS:
                column = pc.replace_substring_regex(column, pattern, offset)
        return pc.replace_substring_regex(column, finer, kept)
    if not pa.types.is_timestamp(column.type) or _UNITS.index(column.type.unit) <= _UNITS.index(short):
        return column
    return pc.floor_temporal(column, unit=unit).cast(pa.timestamp(short, column.type.tz))


_OFFSETS = ((r"^(.*:\d\d(\.\d+)?) ?(UTC|GMT)$", r"\1Z"), (r"^(.*:\d\d(\.\d+)?) (Z|[+-]\d\d(:?\d\d)?)$", r"\1\3"))
"""Ways to write an offset that ISO 8601 has not, and what it has."""

_UNITS = ("s", "ms", "us", "ns")


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def _check_utf8(table_name: str, field: Field, column: pa.ChunkedArray) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        pieces = column.cast(pa.large_binary())
        bad = pa.array([value is not None and not _is_utf8(value) for value in pieces.to_pylist()])
        refuse(table_name, field.name, pieces, bad, "are text that is not UTF-8", NOT_UTF8)
        raise


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _nan_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _means_the_same(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a cast between the types keeps the meaning; Arrow itself reads integers as times and drops zones."""
    if pa.types.is_null(source) or _is_text(source):
        return True
    if pa.types.is_boolean(target):
        return bool(pa.types.is_boolean(source) or pa.types.is_integer(source))
    if pa.types.is_date(target):
        return bool(pa.types.is_date(source) or (pa.types.is_timestamp(source) and source.tz is None))
    if pa.types.is_timestamp(target):
        if pa.types.is_timestamp(source):
            return (source.tz is None) == (target.tz is None)
        return pa.types.is_date(source) and target.tz is None
    return not (pa.types.is_temporal(source) or pa.types.is_nested(source) or pa.types.is_boolean(source))


def _castable(value: pa.Scalar, target: pa.DataType) -> bool:
    try:
        value.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _check_range(table_name: str, field: Field, column: pa.ChunkedArray) -> None:
    if field.kind.is_time:
        form, numbers = TIMES[field.kind], pc.cast(column, pa.int32() if field.kind is Kind.DATE else pa.int64())
        bad = pc.or_(pc.less(numbers, form.earliest), pc.greater(numbers, form.latest))
        refuse(table_name, field.name, column, bad, "are before the year 1900 or after 2199")
    text = field.kind is Kind.TEXT
    low, high = (field.min_length, field.max_length) if text else (field.minimum, field.maximum)
    if low is None and high is None:
        return
    measure = pc.utf8_length(column) if text else column
    unit = "characters" if text else field.unit
    low, high = float("-inf") if low is None else low, float("inf") if high is None else high
    bad = pc.or_(pc.less(measure, low), pc.greater(measure, high))
    refuse(table_name, field.name, column, bad, f"are outside {low:g} to {high:g}{f' {unit}' if unit else ''}")


def _check_key(table: pa.Table, schema: TableSchema) -> None:
    numbered = table.select(schema.key).append_column("row", pa.array(np.arange(table.num_rows)))
    groups = numbered.group_by(schema.key, use_threads=False).aggregate(
        [("row", "count"), ("row", "min"), ("row", "max")]
    )
    repeated = groups.filter(pc.greater(groups["row_count"], 1)).sort_by("row_min")
    if repeated.num_rows:
        example = repeated.slice(0, 1).to_pylist()[0]
        key = ", ".join(f"{name}={example[name]}" for name in schema.key)
        raise TableError(
            f"{schema.name}.{'+'.join(schema.key)}: {pc.sum(repeated['row_count'])} of {table.num_rows} rows share "
            f"their key with another, for example {key} in rows {example['row_min']} and {example['row_max']} "
            "(the first is row 0)"
        )
