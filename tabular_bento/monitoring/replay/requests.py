"""Rows in the form in which a client of the service asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.definition import FIELDS
from features.values import Columns
from tabular_bento.schema import Kind


def requests_of(columns: Columns) -> list[dict[str, Any]]:
    """The n rows of those of the declared fields that there are, as plain JSON values; what is missing is left out."""
    values = {field.name: _plain(columns[field.name], field.kind) for field in FIELDS if field.name in columns}
    return [
        {name: value for name, value in zip(values, row, strict=True) if value is not None and value == value}
        for row in zip(*values.values(), strict=True)
    ]


def _plain(values: Any, kind: Kind) -> list[Any]:
    if kind is Kind.LOCAL_TIME:
        times: list[str] = np.datetime_as_string(np.asarray(values).astype("datetime64[s]")).tolist()
        return times
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
