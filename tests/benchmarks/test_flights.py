"""The classic scaffold, the benchmark's rows and the declaration speak of the same fields."""

from __future__ import annotations

import math

import orjson
import pyarrow as pa
import pytest
from pydantic import BaseModel

from benchmarks.classic import schema as classic
from benchmarks.flights import Sample, sample_of
from features.problem import PROBLEM
from tabular_bento.data.splits import month_range
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.schema import Kind
from training.source import load_flights

SCHEMA = RequestSchema(PROBLEM.declaration)
TARGET = PROBLEM.target.name


@pytest.fixture(scope="module")
def november() -> pa.Table:
    return load_flights().between(*month_range("2013-11", "2013-11")).filter(pa.compute.field(TARGET).is_valid())


@pytest.fixture(scope="module")
def sample(november: pa.Table) -> Sample:
    return sample_of(november, 2_000)


def test_the_classic_request_has_the_declared_fields() -> None:
    fields = classic.Flight.model_fields
    assert tuple(fields) == PROBLEM.field_names
    assert {name for name, field in fields.items() if not field.is_required()} == {
        field.name for field in PROBLEM.fields if field.optional
    }
    assert tuple(classic.PredictRequest.model_fields) == (PROBLEM.rows,)


def test_the_classic_prediction_has_the_same_fields() -> None:
    assert set(classic.Prediction.model_fields) == set(SCHEMA.prediction_model.model_fields)


@pytest.mark.parametrize("name", [field.name for field in PROBLEM.fields if field.kind is not Kind.LOCAL_TIME])
def test_the_classic_request_has_the_declared_ranges(name: str) -> None:
    declared = SCHEMA.row_model.model_json_schema()["properties"]
    own = classic.PredictRequest.model_json_schema()["$defs"]["Flight"]["properties"]
    keys = ("minimum", "maximum", "minLength", "maxLength", "type")
    declared_kind, own_kind = (_kind(properties[name]) for properties in (declared, own))
    assert {key: own_kind.get(key) for key in keys} == {key: declared_kind.get(key) for key in keys}


def test_rows_are_different_flights_that_both_requests_take(sample: Sample) -> None:
    body = orjson.dumps({PROBLEM.rows: [orjson.loads(row) for row in sample.rows]})
    models: tuple[type[BaseModel], ...] = (SCHEMA.request_model, classic.PredictRequest)
    for model in models:
        assert len(getattr(model.model_validate_json(body), PROBLEM.rows)) == len(sample.rows)
    rows = [orjson.loads(row) for row in sample.rows]
    assert all(tuple(row) == PROBLEM.field_names for row in rows)
    assert len({row["id"] for row in rows}) == len(rows) == 2_000
    assert len({tuple(list(row.values())[:-1]) for row in rows}) == len(rows)


def test_labels_belong_to_the_rows(sample: Sample, november: pa.Table) -> None:
    labels = {
        (row["carrier"], row["flight"], row["sched_dep"].isoformat(), row["origin"]): row[TARGET]
        for row in november.to_pylist()
    }
    assert len(sample.labels) == len(sample.offsets) == len(sample.rows)
    for row, offset, label in zip(map(orjson.loads, sample.rows), sample.offsets, sample.labels, strict=True):
        assert labels[row["carrier"], row["flight"], row["sched_dep"], row["origin"]] == label
        assert row["dep_delay"] == offset
        assert math.isfinite(label)


def test_fewer_flights_than_asked_for_are_all_taken(november: pa.Table) -> None:
    assert [orjson.loads(row)["id"] for row in sample_of(november.slice(0, 3), 10).rows] == ["0", "1", "2"]


def test_the_example_is_a_classic_request_too() -> None:
    assert classic.Flight.model_validate(PROBLEM.example).dep_delay == PROBLEM.example["dep_delay"]


def _kind(schema: dict[str, object]) -> dict[str, object]:
    choices = schema.get("anyOf", [schema])
    assert isinstance(choices, list)
    kinds = [choice for choice in choices if choice.get("type") != "null"]
    assert len(kinds) == 1
    return dict(kinds[0])
