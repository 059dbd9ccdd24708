"""Rows for property tests: whatever the declaration lets in, and what it does not."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from features.definition import EXAMPLE, FIELDS
from features.values import Row
from tabular_bento.features.clock import EARLIEST, LATEST
from tabular_bento.protocol.requests import ROWS, PredictRequest, rows_of_models
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.package import ModelPackage

SECOND = {**EXAMPLE, "id": "my-flight-2", "dest": "PHX", "dep_delay": -3.5}
"""A good request beside the example."""

KNOWN = {
    "carrier": ["UA", "AA", "B6", "9E", "HA"],
    "tailnum": ["N14228", "N24211", "N619AA"],
    "origin": ["EWR", "JFK", "LGA"],
    "dest": ["IAH", "HNL", "PHX", "SJU", "ANC", "LAX", "BQN"],
}
"""Values that a trained extractor knows, so that random rows meet its tables and not only their unknown cells."""

TEXT_OR_TIME = [field for field in FIELDS if field.kind in (Kind.TEXT, Kind.LOCAL_TIME)]

_FLIGHT_TIMES = (1_356_998_400, 1_420_070_400)


def values(field: Field) -> SearchStrategy[Any]:
    """What `field` may hold in a validated row."""
    match field.kind:
        case Kind.TEXT:
            unknown = st.text(min_size=int(field.minimum or 0), max_size=int(field.maximum or 9))
            strategy: SearchStrategy[Any] = (
                st.sampled_from(KNOWN[field.name]) | unknown if field.name in KNOWN else unknown
            )
        case Kind.INTEGER:
            strategy = st.integers(int(field.minimum or 0), int(field.maximum or 9))
        case Kind.NUMBER:
            strategy = st.floats(field.minimum, field.maximum) | st.integers(
                int(field.minimum or 0), int(field.maximum or 9)
            ).map(float)
        case _:
            return st.integers(*_FLIGHT_TIMES) | st.integers(EARLIEST, LATEST - 1)
    missing = float("nan") if field.kind is Kind.NUMBER else None
    return strategy | st.just(missing) if field.optional else strategy


rows: SearchStrategy[Row] = st.tuples(*map(values, FIELDS))
"""Any validated row."""


def name_of(field: Field) -> str:
    """What a test that is about a field is called by."""
    return field.name


def from_json(*requests: dict[str, Any]) -> list[Row]:
    """Rows as the server makes them of a request."""
    models = PredictRequest.model_validate_json(json.dumps({ROWS: requests}))
    return rows_of_models(getattr(models, ROWS))


def expected(package: ModelPackage, *requests: dict[str, Any]) -> list[float]:
    """What the package predicts without a server."""
    values: list[float] = package.predictor.predict(from_json(*requests)).target.tolist()
    return values


def bits(row: Row) -> list[Any]:
    """A row in which NaN equals NaN, and -0.0 is not 0.0, and 1 is not 1.0."""
    return [struct.pack("<d", value) if isinstance(value, float) else (type(value), value) for value in row]


def to_json(row: Row) -> dict[str, Any]:
    """A row as a client writes it."""
    request: dict[str, Any] = {}
    for field, value in zip(FIELDS, row, strict=True):
        if value is None or value != value:
            continue
        request[field.name] = _iso(value) if field.kind is Kind.LOCAL_TIME else value
    return request


def _iso(seconds: int) -> str:
    import numpy as np

    return str(np.datetime64(seconds, "s"))
