"""Validated rows that came as columns, and stay columns as long as nobody asks for a row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

from features.columns import rows_of
from features.definition import FIELD_NAMES
from features.values import Columns, Row


class ColumnRows(Sequence[Row]):
    """n rows held as `columns`, arrays or lists of shape [n] by field name; each field must be there."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    @cached_property
    def _rows(self) -> list[Row]:
        return rows_of(self.columns)

    def __len__(self) -> int:
        return len(self.columns[FIELD_NAMES[0]])

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]

    def __repr__(self) -> str:
        return repr(self._rows)
