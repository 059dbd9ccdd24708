"""Rows to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import FIELD_NAMES, FIELDS
from features.texts import RepeatedTexts
from features.values import Columns, Row
from tabular_bento.schema import Kind

_DTYPES: dict[Kind, Any] = {Kind.TEXT: object, Kind.INTEGER: object, Kind.NUMBER: np.float64, Kind.LOCAL_TIME: np.int64}


def columns_of(rows: Sequence[Row]) -> Columns:
    """n rows as arrays of shape [n] by field name."""
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(FIELDS)
    return {
        field.name: np.array(column, dtype=_DTYPES[field.kind]) for field, column in zip(FIELDS, values, strict=True)
    }


def rows_of(columns: Columns) -> list[Row]:
    """The inverse of `columns_of`: one tuple per row, of plain Python values."""
    return list(zip(*(plain(columns[name]) for name in FIELD_NAMES), strict=True))


def plain(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """A column as a sequence of plain Python values."""
    return column.tolist() if isinstance(column, np.ndarray | RepeatedTexts) else column
