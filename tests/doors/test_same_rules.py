"""The differential test: whatever a request holds, tensors are taken and refused as JSON is, and give the same rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from features.definition import FIELD_NAMES, FIELDS
from features.values import Row
from tabular_bento.errors import RequestError
from tabular_bento.protocol.layout import rows_of_tensors
from tabular_bento.protocol.requests import explain
from tabular_bento.protocol.tensors import Tensor
from tabular_bento.schema import Field, Kind
from tests.doors.clients import binary, tensors_of
from tests.rows import bits, from_json, rows, to_json

TIMES = (
    "2013-09-02", "2013-09-02T05:15Z", "2013-09-02T05:15:00.75", "2013-09-02 05:15", "1378098900", "2013-09-02T25:00",
    "2013-09-02T05:15:00+00:00", "0001-01-01T00:00", "9999-12-31T23:59:59", "2013-02-29T00:00", "", " ", "x", "null",
    "2013-02-29T00:00:00", "2013-09-02T24:00:00", "0000-01-01T00:00:00", "1899-12-31T23:59:59", "2013-09-02t05:15:00",
)  # fmt: skip


def wild(field: Field) -> SearchStrategy[Any]:
    """What a client may write into `field`, right or wrong, in a type that a tensor can hold."""
    match field.kind:
        case Kind.TEXT:
            return st.text(min_size=1 if field.optional else 0, max_size=12)
        case Kind.LOCAL_TIME:
            return st.sampled_from(TIMES) | st.text(max_size=5) | st.datetimes().map(lambda time: time.isoformat())
        case Kind.INTEGER:
            return st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, 99_999, 100_000])
        case _:
            edges = [field.minimum, field.maximum, -0.0, math.inf, -math.inf, 5e-324, 1.7e308]
            return st.sampled_from(edges) | st.floats(allow_nan=False)


def spoiled(row: Row) -> SearchStrategy[dict[str, Any]]:
    """A good row as a client writes it, with up to two of its fields changed to whatever, or left out."""
    good = to_json(row)
    names = st.lists(st.sampled_from(FIELDS), max_size=2, unique=True)
    changes = names.flatmap(lambda fields: st.fixed_dictionaries({f.name: wild(f) | st.none() for f in fields}))
    return changes.map(lambda chosen: {**good, **chosen})


def at_fault(error: ValidationError) -> set[str]:
    """The fields that a refusal names."""
    return {detail.loc.split(".")[2] for detail in explain(error).detail}


def taken_as_json(requests: list[dict[str, Any]]) -> list[Row] | set[str]:
    """The rows of a JSON request, or the fields for which it is refused."""
    try:
        return from_json(*requests)
    except ValidationError as error:
        return at_fault(error)


def taken_as_tensors(tensors: list[Tensor]) -> list[Row] | set[str]:
    """The rows of the same request in tensors, or the fields for which it is refused."""
    try:
        return list(rows_of_tensors(tensors))
    except ValidationError as error:
        return at_fault(error)
    except RequestError as error:
        return {name for name in FIELD_NAMES if f"'{name}'" in str(error)}


@settings(deadline=None, max_examples=500)
@given(requests=st.lists(rows.flatmap(spoiled), min_size=1, max_size=3), copies=st.sampled_from([1, 1, 70]))
def test_tensors_are_taken_and_refused_as_json_is_and_give_the_same_rows(
    requests: list[dict[str, Any]], copies: int
) -> None:
    requests = [{name: value for name, value in row.items() if value is not None} for row in requests] * copies
    expected, tensors = taken_as_json(requests), list(tensors_of(*requests).values())
    in_binary = [replace(tensor, values=binary(tensor.datatype, tensor.values)) for tensor in tensors]
    for actual in (taken_as_tensors(tensors), taken_as_tensors(in_binary)):
        if isinstance(expected, set) or isinstance(actual, set):
            assert isinstance(expected, set), (actual, expected)
            assert isinstance(actual, set), (actual, expected)
            assert actual & expected
        else:
            assert list(map(bits, actual)) == list(map(bits, expected))
