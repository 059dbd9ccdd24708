"""Instants that a table holds as integers, of seconds or milliseconds since 1970 in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from tabular_bento.data.dataset import declared_fields
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import SourceError
from tabular_bento.problem import Problem
from tabular_bento.schema import Field, Kind

UNITS = {"s": "seconds", "ms": "milliseconds"}
"""What such an integer may count."""

PER_SECOND = {"s": 1, "ms": 1_000}
"""Units of one second."""


def checked_epochs(
    problem: Problem, epochs: Mapping[str, str] | None, fit_columns: Sequence[str | Field] = ()
) -> dict[str, str]:
    """The unit of each field that the table holds as integers.

    Raises
    ------
    SourceError
        Where a key is no field of kind INSTANT, or a value is no unit.
    """
    found = dict(epochs or {})
    instants = [field.name for field in declared_fields(problem, fit_columns) if field.kind is Kind.INSTANT]
    for name, unit in found.items():
        if name not in instants:
            raise SourceError(
                f"epochs: {name!r} is no field of kind INSTANT, as it must be to be read from integers; those are "
                f"{', '.join(instants) or 'none'}."
            )
        if unit not in UNITS:
            raise SourceError(f"epochs: {unit!r} of {name!r} is no unit; it is one of {', '.join(map(repr, UNITS))}.")
    return found


def instant_text(count: float | str, unit: str) -> str:
    """The instant that an integer counts to, in ISO 8601."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(count) * 1_000 // PER_SECOND[unit])
    return moment.isoformat(timespec="seconds" if unit == "s" else "milliseconds").replace("+00:00", "Z")


def as_integers(fields: Iterable[Field], epochs: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields as a table holds them: integers in the place of instants that it counts."""
    return tuple(replace(field, kind=Kind.INTEGER) if field.name in epochs else field for field in fields)


def with_instants(rows: pa.Table, epochs: Mapping[str, str]) -> pa.Table:
    """The rows with instants in the place of the integers that count to them.

    Parameters
    ----------
    rows : pyarrow.Table
        Columns by the names of fields.
    epochs : mapping
        As of `checked_epochs`.

    Raises
    ------
    TableError
        Where a value is no integer.
    """
    for name, unit in epochs.items():
        schema = TableSchema("rows", (Field(name, Kind.INTEGER, optional=True),))
        counted = check_table(rows.select([name]), schema)[name]
        instants = counted.cast(pa.timestamp(unit, "UTC"))
        rows = rows.set_column(rows.column_names.index(name), name, instants)
    return rows
