"""Arrow tables to NumPy columns, in the forms of `Kind`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind


def columns_of_table(table: pa.Table, fields: Iterable[Field]) -> dict[str, NDArray[Any]]:
    """The columns that `fields` declare, arrays of shape [n] by name; missing text is None, a missing number NaN."""
    return {field.name: _column(table[field.name], field.kind) for field in fields}


def _column(column: pa.ChunkedArray, kind: Kind) -> NDArray[Any]:
    match kind:
        case Kind.NUMBER:
            return np.asarray(column.to_numpy(), dtype=np.float64)
        case Kind.LOCAL_TIME:
            return np.asarray(column.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy())
        case Kind.INSTANT:
            return np.asarray(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
        case _:
            return np.array(column.to_pylist(), dtype=object)
