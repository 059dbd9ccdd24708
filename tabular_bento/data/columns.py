"""Arrow tables to NumPy columns, in the forms of `Kind`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.LOCAL_TIME: pa.timestamp("s"),
    Kind.INSTANT: pa.timestamp("us", "UTC"),
}
"""How each kind is held in Arrow."""


def columns_of_table(table: pa.Table, fields: Iterable[Field]) -> dict[str, NDArray[Any]]:
    """The columns that `fields` declare.

    Parameters
    ----------
    table : pyarrow.Table
        n rows, in the Arrow types of the fields.
    fields : iterable of Field
        The columns to take.

    Returns
    -------
    dict
        Arrays of shape [n], of the fields' types, by name; missing text is None, every other missing value is NaN.
    """
    return {field.name: _numpy(table[field.name], field) for field in fields}


def _numpy(column: pa.ChunkedArray, field: Field) -> NDArray[Any]:
    match field.kind:
        case Kind.TEXT:
            return np.array(column.to_pylist(), dtype=object)
        case Kind.NUMBER:
            return np.asarray(column.to_numpy(), dtype=np.float64)
        case Kind.DATE:
            integers = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        case kind:
            integers = column.cast(ARROW_TYPES[kind]).cast(pa.int64())
    if not field.optional:
        return np.asarray(integers.to_numpy(), dtype=np.int64)
    return np.asarray(integers.cast(pa.float64()).to_numpy(), dtype=np.float64)
