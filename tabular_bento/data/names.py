"""The table's names of columns and the fields' names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tabular_bento.data.dataset import declared_fields
from tabular_bento.data.tables import TableSchema, check_names
from tabular_bento.errors import SourceError
from tabular_bento.problem import Problem
from tabular_bento.schema import Field


def checked_columns(
    problem: Problem, columns: Mapping[str, str] | None, fit_columns: Sequence[str | Field] = ()
) -> dict[str, str]:
    """The table's column of each field whose name is another one.

    Raises
    ------
    SourceError
        Where a key is no field, or two fields have one column.
    """
    names = list(dict.fromkeys(field.name for field in declared_fields(problem, fit_columns)))
    found = dict(columns or {})
    if unknown := [name for name in found if name not in names]:
        raise SourceError(
            f"columns: {unknown[0]!r} is neither a field nor the target. The keys are the names of fields, "
            f"{', '.join(names)}; the values are the table's own."
        )
    wanted = Counter(found.get(name, name) for name in names)
    if repeated := [name for name, times in wanted.items() if times > 1]:
        raise SourceError(
            f"columns: two fields are read from the column {repeated[0]!r}; each has a column of its own."
        )
    return found


def present_fields(
    problem: Problem, fit_columns: Sequence[str | Field], names: Sequence[str], columns: Mapping[str, str]
) -> tuple[Field, ...]:
    """The columns of labelled rows, of which a table may lack an optional identifier alone.

    Parameters
    ----------
    problem : Problem
        Its fields and target.
    fit_columns : sequence of str or Field
        Columns that only fitting needs.
    names : sequence of str
        The table's columns.
    columns : mapping
        As of `checked_columns`.

    Raises
    ------
    TableError
        Where a column is missing or there twice.
    """
    fields = tuple(
        field
        for field in declared_fields(problem, fit_columns)
        if field.name != problem.identifier or not field.optional or columns.get(field.name, field.name) in names
    )
    check_names(TableSchema("rows", fields), names, columns)
    return fields
