"""Rows for property tests: whatever a problem lets in."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tabular_bento.features import Row
from tabular_bento.protocol import RequestSchema
from tabular_bento.protocol.values import TIMES, json_values
from tabular_bento.schema import Field, Kind

NOTHING: Mapping[str, Sequence[str]] = {}


def values(field: Field, known: Mapping[str, Sequence[str]] = NOTHING) -> SearchStrategy[Any]:
    """What `field` may hold in a validated row; of the texts some are `known` ones."""
    strategy: SearchStrategy[Any]
    low, high = int(field.minimum or 0), int(9 if field.maximum is None else field.maximum)
    match field.kind:
        case Kind.TEXT:
            strategy = st.text(min_size=field.min_length or 0, max_size=field.max_length or 9)
            if field.name in known:
                strategy = st.sampled_from(known[field.name]) | strategy
        case Kind.INTEGER:
            strategy = st.integers(low, high)
        case Kind.NUMBER:
            strategy = st.floats(field.minimum, field.maximum, allow_nan=False, allow_infinity=False)
            strategy |= st.integers(low, high).map(float)
        case Kind.BOOLEAN:
            strategy = st.integers(0, 1)
        case _:
            form = TIMES[field.kind]
            day = field.kind.per_day
            strategy = st.integers(15_000 * day, 17_000 * day) | st.integers(form.earliest, form.latest)
    return strategy | st.just(field.missing) if field.optional else strategy


def rows_of_fields(fields: Sequence[Field], known: Mapping[str, Sequence[str]] = NOTHING) -> SearchStrategy[Row]:
    """Any validated row of these fields."""
    return st.tuples(*(values(field, known) for field in fields))


def name_of(field: Field) -> str:
    """What a test that is about a field is called by."""
    return field.name


def parsed(schema: RequestSchema, *requests: Mapping[str, Any]) -> list[Row]:
    """Rows as the server makes them of a request."""
    return schema.parse_rows(json.dumps({schema.rows: [dict(request) for request in requests]}))


def bits(row: Row) -> list[Any]:
    """A row in which NaN equals NaN, and -0.0 is not 0.0, and 1 is not 1.0."""
    return [struct.pack("<d", value) if isinstance(value, float) else (type(value), value) for value in row]


def to_json(row: Row, fields: Sequence[Field]) -> dict[str, Any]:
    """A row as a client writes it, without what is missing."""
    request = {}
    for field, value in zip(fields, row, strict=True):
        (written,) = json_values(field.kind, [value])
        if written is not None:
            request[field.name] = written
    return request
