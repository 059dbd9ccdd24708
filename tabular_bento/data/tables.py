"""The check every table passes before it is used: its columns, types, ranges and key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.data.columns import ARROW_TYPES
from tabular_bento.errors import TableError
from tabular_bento.schema import Field, Kind


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

    A NaN becomes null. Every declared column must be there, also an optional one: a misspelt column of labels would
    otherwise read as labels that are all unknown.

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


def refuse(table: str, column: str, values: pa.ChunkedArray, bad: pa.ChunkedArray, problem: str) -> None:
    """Raise TableError if any of the booleans `bad` is true; the example is the first of `values` so marked.

    Both have shape [n]; a null in `bad` counts as false.
    """
    count = pc.sum(bad).as_py() or 0
    if count:
        row = pc.index(bad, True).as_py()
        raise TableError(
            f"{table}.{column}: {count} of {len(values)} rows {problem}, "
            f"for example {values[row].as_py()!r} in row {row} (the first is row 0)"
        )


def _check_column(table_name: str, field: Field, table: pa.Table) -> pa.ChunkedArray:
    indices = table.schema.get_all_field_indices(field.name)
    if len(indices) != 1:
        fault = f"occurs {len(indices)} times" if indices else "is missing"
        raise TableError(
            f"{table_name}.{field.name}: the column {fault} (all {table.num_rows} rows); "
            f"the table has {', '.join(table.column_names)}"
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
    if not _means_the_same(column.type, target):
        every_row = pa.repeat(True, len(column))
        refuse(table_name, field.name, column, every_row, f"have type {column.type}, which is no {target}")
    column = _nan_to_null(column)
    if pa.types.is_boolean(target) and pa.types.is_integer(column.type):
        other = pc.invert(pc.is_in(column, value_set=pa.array([0, 1], column.type)))
        refuse(table_name, field.name, column, pc.and_(other, pc.is_valid(column)), "are neither 0 nor 1")
    try:
        return _nan_to_null(column.cast(target))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        distinct = column.unique()
        misfits = distinct.filter(pa.array([not _castable(value, target) for value in distinct]))
        bad = pc.is_in(column, value_set=misfits)
        refuse(table_name, field.name, column, bad, f"cannot be read as {target} without loss")
        raise


def _nan_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _means_the_same(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a cast between the types keeps the meaning; Arrow itself reads integers as times and drops zones."""
    if pa.types.is_null(source) or pa.types.is_string(source) or pa.types.is_large_string(source):
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
