"""The fields of two problems as cases of a test, and what is refused of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.features.columns import columns_of
from tabular_bento.problem import Problem
from tabular_bento.protocol import ErrorResponse, RequestSchema, explain
from tabular_bento.schema import Field, Kind
from tests.flights import rows as flights
from tests.unit import several

RENTS = RequestSchema(several.RENTS.declaration)
EXAMPLE = several.EXAMPLE
FIELDS = several.RENTS.fields
NAMES = several.RENTS.field_names
ROWS = several.RENTS.rows
TARGET = several.RENTS.target


@dataclass(frozen=True)
class Case:
    """A field of one of the problems."""

    field: Field
    problem: Problem
    schema: RequestSchema
    example: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.problem.name}-{self.field.name}"

    def place(self, row: int) -> str:
        """Where a message locates the field in a row."""
        return f"{self.schema.rows}.{row}.{self.field.name}"


CASES = [
    Case(field, problem, schema, example)
    for problem, schema, example in ((several.RENTS, RENTS, EXAMPLE), (PROBLEM, flights.SCHEMA, flights.EXAMPLE))
    for field in problem.fields
]


def of_kind(*kinds: Kind) -> Any:
    """Runs a test for each field of these kinds."""
    cases = [case for case in CASES if not kinds or case.field.kind in kinds]
    return pytest.mark.parametrize("case", cases, ids=repr)


def refusal(body: str, schema: RequestSchema = RENTS) -> ErrorResponse:
    with pytest.raises(ValidationError) as error:
        schema.parse_rows(body)
    return explain(error.value)


def refusal_of(case: Case, literal: str) -> ErrorResponse:
    """The response to a request whose second row has `literal`, as JSON, in the field."""
    good, name = json.dumps(case.example), case.field.name
    bad = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in case.example.items() if key != name)
    return refusal(f'{{"{case.schema.rows}": [{good}, {{{bad}, "{name}": {literal}}}]}}', case.schema)


def assert_names(response: ErrorResponse, place: str) -> None:
    assert response.error.startswith(f"{place}: ")
    assert response.detail[0].loc == place


def columns_of_requests(requests: list[dict[str, Any]], problem: Problem = several.RENTS) -> dict[str, Any]:
    return {name: [request.get(name) for request in requests] for name in problem.field_names}


def assert_same(rows: Any, expected: Any, fields: tuple[Field, ...] = FIELDS) -> None:
    """Compare rows; an integer may be held as a float where one may be missing."""
    columns, others = columns_of(list(rows), fields), columns_of(list(expected), fields)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, others[name])
