"""The differential test: whatever a request holds, tensors are taken and refused as JSON is, and give the same rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.errors import RequestError
from tabular_bento.features import Row
from tabular_bento.features.columns import columns_of
from tabular_bento.problem import Problem
from tabular_bento.protocol import Tensor, TensorSchema, explain
from tabular_bento.schema import Field, Kind
from tests.flights.rows import KNOWN
from tests.strategies import parsed, rows_of_fields, to_json
from tests.tensors import binary, tensors_of
from tests.unit.several import RENTS

TIMES = (
    "2013-09-02", "2013-09-02T05:15Z", "2013-09-02T05:15:00.75", "2013-09-02 05:15", "1378098900", "2013-09-02T25:00",
    "2013-09-02T05:15:00+00:00", "0001-01-01T00:00", "9999-12-31T23:59:59", "2013-02-29T00:00", "", " ", "x", "null",
    "2013-02-29T00:00:00", "2013-09-02T24:00:00", "0000-01-01T00:00:00", "1899-12-31T23:59:59", "2013-09-02t05:15:00",
    "2013-09-02T05:15:00Z", "2013-09-02T05:15:00z", "2013-09-02T05:15:00.1234567Z", "2013-09-02T05:15:00-14:00",
    "2013-02-29", "0000-01-01", "1899-12-31", "9999-12-31", "2200-01-01T00:00:00Z", "2199-12-31T23:59:59Z",
    "2013-09-02T05:15:60Z", "20130902", "2013-9-2", "1378080000", "2013-09-02T00:00:00",
)  # fmt: skip

SCHEMAS = {problem.name: TensorSchema(problem.declaration, 10_000) for problem in (PROBLEM, RENTS)}


def wild(field: Field) -> SearchStrategy[Any]:
    """What a client may write into `field`, right or wrong, in a type that a tensor can hold."""
    match field.kind:
        case Kind.TEXT:
            return st.text(min_size=1 if field.optional else 0, max_size=12)
        case Kind.LOCAL_TIME | Kind.INSTANT | Kind.DATE:
            moments = st.datetimes().map(lambda time: time.isoformat())
            days = st.dates().map(lambda day: day.isoformat())
            texts = st.sampled_from(TIMES) | st.text(max_size=5) | moments | moments.map("{}Z".format) | days
            return texts.filter(bool) if field.optional else texts  # an empty text is what is missing in a tensor
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.INTEGER:
            return st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
                [-6, -1, 0, 200, 201, 99_999, 100_000, 2**53, 2**53 + 1]
            )
        case _:
            edges = [field.minimum, field.maximum, -0.0, math.inf, -math.inf, 5e-324, 1.7e308]
            return st.sampled_from(edges) | st.floats(allow_nan=False)


def spoiled(row: Row, fields: tuple[Field, ...]) -> SearchStrategy[dict[str, Any]]:
    """A good row as a client writes it, with up to two of its fields changed to whatever, or left out."""
    good = to_json(row, fields)
    names = st.lists(st.sampled_from(fields), max_size=2, unique=True)
    changes = names.flatmap(lambda some: st.fixed_dictionaries({f.name: wild(f) | st.none() for f in some}))
    return changes.map(lambda chosen: {**good, **chosen})


def at_fault(error: ValidationError) -> set[str]:
    """The fields that a refusal names."""
    return {detail.loc.split(".")[2] for detail in explain(error).detail}


def taken_as_json(schema: TensorSchema, requests: list[dict[str, Any]]) -> list[Row] | set[str]:
    """The rows of a JSON request, or the fields for which it is refused."""
    try:
        return parsed(schema.requests, *requests)
    except ValidationError as error:
        return at_fault(error)


def taken_as_tensors(schema: TensorSchema, tensors: list[Tensor]) -> list[Row] | set[str]:
    """The rows of the same request in tensors, or the fields for which it is refused."""
    try:
        return list(schema.rows_of_tensors(tensors))
    except ValidationError as error:
        return at_fault(error)
    except RequestError as error:
        return {name for name in schema.fields if f"'{name}'" in str(error)}


def same(rows: list[Row], expected: list[Row], problem: Problem) -> None:
    """Compare rows to the bit; an integer may be held as a float where one may be missing."""
    columns, others = columns_of(rows, problem.fields), columns_of(expected, problem.fields)
    for name, column in columns.items():
        if column.dtype == object:
            assert column.tolist() == others[name].tolist()
        else:
            np.testing.assert_array_equal(np.signbit(column), np.signbit(others[name]))
            np.testing.assert_array_equal(column, others[name])


@pytest.mark.parametrize("problem", [PROBLEM, RENTS], ids=lambda problem: problem.name)
@settings(deadline=None, max_examples=300)
@given(data=st.data(), copies=st.sampled_from([1, 1, 70]))
def test_tensors_are_taken_and_refused_as_json_is_and_give_the_same_rows(
    problem: Problem, data: st.DataObject, copies: int
) -> None:
    good = rows_of_fields(problem.fields, KNOWN)
    row = good.flatmap(lambda row: spoiled(row, problem.fields))
    drawn = data.draw(st.lists(row, min_size=1, max_size=3))
    requests = [{name: value for name, value in one.items() if value is not None} for one in drawn] * copies
    schema = SCHEMAS[problem.name]
    expected, tensors = taken_as_json(schema, requests), list(tensors_of(problem.fields, requests).values())
    in_binary = [tensor._replace(values=binary(tensor.datatype, tensor.values)) for tensor in tensors]
    for actual in (taken_as_tensors(schema, tensors), taken_as_tensors(schema, in_binary)):
        if isinstance(expected, set) or isinstance(actual, set):
            assert isinstance(expected, set), (actual, expected)
            assert isinstance(actual, set), (actual, expected)
            assert actual & expected
        else:
            same(actual, expected, problem)
