"""Rows, and the columns that many rows are held as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Field

Row: TypeAlias = tuple[Any, ...]
"""One validated row: a value for each field of the problem, in their order, as `Kind` says."""

Columns: TypeAlias = Mapping[str, Sequence[Any] | NDArray[Any]]
"""n rows: a sequence of n values for each field, by its name."""


class RepeatedTexts(Sequence[str]):
    """A column of texts of which few are distinct.

    Parameters
    ----------
    distinct : list of str
        The distinct texts.
    indices : ndarray of shape [n]
        For each row, which of them it has.
    """

    def __init__(self, distinct: list[str], indices: NDArray[np.intp]) -> None:
        self.distinct = distinct
        self.indices = indices

    def tolist(self) -> list[str]:
        """The n texts."""
        texts: list[str] = np.array(self.distinct, dtype=object)[self.indices].tolist()
        return texts

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> RepeatedTexts: ...
    def __getitem__(self, index: int | slice) -> str | RepeatedTexts:
        if isinstance(index, slice):
            return RepeatedTexts(self.distinct, self.indices[index])
        return self.distinct[int(self.indices[index])]


class ColumnRows(Sequence[Row]):
    """n rows that came as columns, and stay columns as long as nobody asks for a row.

    Parameters
    ----------
    columns : Columns
        The values of every field.
    names : tuple of str
        The fields, in the order of a row.
    """

    def __init__(self, columns: Columns, names: tuple[str, ...]) -> None:
        self.columns = columns
        self.names = names

    @cached_property
    def _rows(self) -> list[Row]:
        return rows_of(self.columns, self.names)

    def __len__(self) -> int:
        return len(self.columns[self.names[0]])

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)


def columns_of(rows: Sequence[Row], fields: Sequence[Field]) -> dict[str, NDArray[Any]]:
    """Rows as columns.

    Parameters
    ----------
    rows : sequence of Row
        n rows.
    fields : sequence of Field
        The fields of a row, in its order.

    Returns
    -------
    dict
        Arrays of shape [n], of the fields' types, by name.
    """
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
    return {field.name: np.array(column, dtype=field.dtype) for field, column in zip(fields, values, strict=True)}


def arrays_of(columns: Columns, fields: Sequence[Field]) -> dict[str, NDArray[Any]]:
    """Columns as arrays of shape [n], of the types of their fields, by name; those that are such arrays stay."""
    found = {}
    for field in fields:
        values = columns[field.name]
        values = values.tolist() if isinstance(values, RepeatedTexts) else values
        found[field.name] = np.asarray(values, dtype=field.dtype)
    return found


def rows_of(columns: Columns, names: Sequence[str]) -> list[Row]:
    """The inverse of `columns_of`: one tuple a row, of plain Python values, in the order of `names`."""
    return list(zip(*(plain(columns[name]) for name in names), strict=True))


def plain(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """A column as a sequence of plain Python values."""
    return column.tolist() if isinstance(column, np.ndarray | RepeatedTexts) else column
