"""Rows to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.schema import Kind
from features.definition import FIELD_NAMES, FIELDS
from features.values import Columns, Row

_DTYPES: dict[Kind, Any] = {Kind.TEXT: object, Kind.INTEGER: object, Kind.NUMBER: np.float64, Kind.LOCAL_TIME: np.int64}


def columns_of(rows: Sequence[Row]) -> Columns:
    """n rows as arrays of shape [n] by field name."""
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(FIELDS)
    return {
        field.name: np.array(column, dtype=_DTYPES[field.kind]) for field, column in zip(FIELDS, values, strict=True)
    }


def rows_of(columns: Columns) -> list[Row]:
    """The inverse of `columns_of`: one tuple per row, of plain Python values."""
    lists = [column.tolist() if isinstance(column := columns[name], np.ndarray) else column for name in FIELD_NAMES]
    return list(zip(*lists, strict=True))
