"""The classic scaffold, the benchmark's rows and the declaration speak of the same fields."""

from __future__ import annotations

import math

import orjson
import pyarrow as pa
import pytest
from pydantic import BaseModel

from benchmarks.classic import schema as classic
from benchmarks.flights import Asked, asked_flights
from features.definition import EXAMPLE, FIELD_NAMES, FIELDS, KNOWN_PART, TARGET
from tabular_bento.protocol.requests import ROWS, Prediction, PredictRequest
from tabular_bento.schema import Kind
from training.source import Flights, month_range


@pytest.fixture(scope="module")
def november(flights: Flights) -> pa.Table:
    return flights.between(*month_range("2013-11", "2013-11")).filter(pa.compute.field(TARGET.name).is_valid())


@pytest.fixture(scope="module")
def asked(november: pa.Table) -> Asked:
    return asked_flights(november, 2_000)


def test_the_classic_request_has_the_declared_fields() -> None:
    fields = classic.Flight.model_fields
    assert tuple(fields) == FIELD_NAMES
    assert {name for name, field in fields.items() if not field.is_required()} == {
        field.name for field in FIELDS if field.optional
    }
    assert tuple(classic.PredictRequest.model_fields) == (ROWS,)


def test_the_classic_answer_has_the_same_fields() -> None:
    assert set(classic.Prediction.model_fields) == set(Prediction.model_fields)


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.kind is not Kind.LOCAL_TIME])
def test_the_classic_request_has_the_declared_ranges(name: str) -> None:
    declared = PredictRequest.model_json_schema()["$defs"]["Flight"]["properties"]
    own = classic.PredictRequest.model_json_schema()["$defs"]["Flight"]["properties"]
    keys = ("minimum", "maximum", "minLength", "maxLength", "type")
    declared_kind, own_kind = (_kind(properties[name]) for properties in (declared, own))
    assert {key: own_kind.get(key) for key in keys} == {key: declared_kind.get(key) for key in keys}


def test_rows_are_different_flights_that_both_requests_take(asked: Asked) -> None:
    body = orjson.dumps({ROWS: [orjson.loads(row) for row in asked.rows]})
    models: tuple[type[BaseModel], ...] = (PredictRequest, classic.PredictRequest)
    for model in models:
        assert len(getattr(model.model_validate_json(body), ROWS)) == len(asked.rows)
    rows = [orjson.loads(row) for row in asked.rows]
    assert all(tuple(row) == FIELD_NAMES for row in rows)
    assert len({row["id"] for row in rows}) == len(rows) == 2_000
    assert len({tuple(list(row.values())[:-1]) for row in rows}) == len(rows)


def test_outcomes_belong_to_the_rows(asked: Asked, november: pa.Table) -> None:
    outcomes = {
        (row["carrier"], row["flight"], row["sched_dep"].isoformat(), row["origin"]): row[TARGET.name]
        for row in november.to_pylist()
    }
    assert len(asked.outcomes) == len(asked.known) == len(asked.rows)
    for row, known, outcome in zip(map(orjson.loads, asked.rows), asked.known, asked.outcomes, strict=True):
        assert outcomes[row["carrier"], row["flight"], row["sched_dep"], row["origin"]] == outcome
        assert row[KNOWN_PART] == known
        assert math.isfinite(outcome)


def test_fewer_flights_than_asked_for_are_all_taken(november: pa.Table) -> None:
    assert [orjson.loads(row)["id"] for row in asked_flights(november.slice(0, 3), 10).rows] == ["0", "1", "2"]


def test_the_example_is_a_classic_request_too() -> None:
    assert classic.Flight.model_validate(EXAMPLE).dep_delay == EXAMPLE["dep_delay"]


def _kind(schema: dict[str, object]) -> dict[str, object]:
    choices = schema.get("anyOf", [schema])
    assert isinstance(choices, list)
    kinds = [choice for choice in choices if choice.get("type") != "null"]
    assert len(kinds) == 1
    return dict(kinds[0])
