"""Bodies, rows and labels of requests, and the models that follow from the declaration."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.problem import Problem
from tabular_bento.protocol import PredictionBatch, RequestSchema, explain
from tabular_bento.schema import Field, Kind
from tests.flights import rows as flights
from tests.strategies import parsed
from tests.unit import several
from tests.unit.protocol.cases import (
    CASES,
    EXAMPLE,
    FIELDS,
    NAMES,
    RENTS,
    ROWS,
    TARGET,
    assert_names,
    columns_of_requests,
    refusal,
    refusal_of,
)


@pytest.mark.parametrize("name", ["Area", "area ", "rents", "rent", "__class__", ""])
def test_an_unknown_field_is_refused_by_its_name(name: str) -> None:
    assert_names(refusal(json.dumps({ROWS: [{**EXAMPLE, name: 1}]})), f"{ROWS}.0.{name}")


@pytest.mark.parametrize("body", ["", " ", "nonsense", "{", '{"rows": [}', "\\", "NaN", "'{}'"])
def test_what_is_not_json_is_a_fault_of_the_body(body: str) -> None:
    assert_names(refusal(body), "body")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"rows"', "true", "[{}]"])
def test_a_body_that_is_no_object_is_a_fault_of_the_body(body: str) -> None:
    assert_names(refusal(body), "body")


@pytest.mark.parametrize("value", [{}, None, "[]", 1, True, {"0": EXAMPLE}])
def test_the_rows_must_be_a_list(value: Any) -> None:
    assert_names(refusal(json.dumps({ROWS: value})), ROWS)


@pytest.mark.parametrize("row", [None, 1, "row", [], [EXAMPLE], True])
def test_a_row_must_be_an_object(row: Any) -> None:
    assert_names(refusal(json.dumps({ROWS: [EXAMPLE, row]})), f"{ROWS}.1")


def test_the_rows_must_be_there_and_nothing_beside_them() -> None:
    assert_names(refusal("{}"), ROWS)
    assert_names(refusal(json.dumps({ROWS: [], "more": 1})), "more")


def test_half_a_surrogate_pair_is_refused() -> None:
    case = next(case for case in CASES if case.field.kind is Kind.TEXT)
    assert refusal_of(case, '"\\ud800"').error.startswith(("body: ", f"{case.place(1)}: "))


def test_of_many_faults_the_first_is_reported_the_rest_counted_and_a_score_listed() -> None:
    response = refusal(json.dumps({ROWS: [{**EXAMPLE, "area": "x"}] * 50}))
    assert response.error.startswith(f"{ROWS}.0.area: ")
    assert response.error.endswith("(and 49 more)")
    assert [detail.loc for detail in response.detail] == [f"{ROWS}.{row}.area" for row in range(20)]


def test_a_refusal_does_not_send_the_input_back() -> None:
    assert "secret" not in refusal(json.dumps({ROWS: [{**EXAMPLE, "area": "secret"}]})).model_dump_json()


@pytest.mark.parametrize(("problem", "schema"), [(several.RENTS, RENTS), (PROBLEM, flights.SCHEMA)])
def test_the_schema_is_the_declaration(problem: Problem, schema: RequestSchema) -> None:
    described = schema.row_model.model_json_schema()
    assert tuple(described["properties"]) == problem.field_names
    assert described["required"] == [field.name for field in problem.fields if not field.optional]
    assert described["additionalProperties"] is False
    types = {Kind.NUMBER: "number", Kind.INTEGER: "integer", Kind.BOOLEAN: "boolean"}
    for field in problem.fields:
        item = described["properties"][field.name]
        assert field.description in item["description"]
        assert (field.unit or "") in item["description"]
        kinds = item.get("anyOf", [item])
        assert any(kind["type"] == "null" for kind in kinds) is field.optional
        assert kinds[0]["type"] == types.get(field.kind, "string")
        if field.kind is Kind.TEXT:
            assert (kinds[0]["minLength"], kinds[0]["maxLength"]) == (field.min_length, field.max_length)
        elif field.minimum is not None:
            assert (kinds[0]["minimum"], kinds[0]["maximum"]) == (field.minimum, field.maximum)


def test_the_response_has_the_fields_that_callers_rely_on() -> None:
    assert list(flights.SCHEMA.prediction_model.model_fields) == ["prediction_id", "id", "arrival_delay", "model"]
    names = [output.name for output in several.RENTS.outputs]
    assert list(RENTS.prediction_model.model_fields) == ["prediction_id", *names, "model"]
    assert set(RENTS.label_model.model_fields) == {"prediction_id", TARGET.name}


def test_the_prediction_model_takes_what_a_batch_gives() -> None:
    batch = PredictionBatch(RENTS.declaration, ["a", "b"], None, several.outputs(2), "rents:1")
    for item in batch:
        model = RENTS.prediction_model.model_validate_json(json.dumps(item))
        assert json.loads(model.model_dump_json()) == item
    with pytest.raises(ValidationError):
        RENTS.prediction_model.model_validate_json(json.dumps({**batch[0], "probability": {"no": 1.0}}))


def test_rows_are_plain_values_in_the_order_of_the_declaration() -> None:
    whole, sparse = parsed(RENTS, EXAMPLE, several.SPARSE)
    assert dict(zip(NAMES, whole, strict=True)) == {
        **EXAMPLE,
        "balcony": 1,
        "balcony_or_not": 0,
        "built": 10_956,
        "built_or_not": 10_957,
        "opened": 1_715_947_200,
        "opened_or_not": 1_715_947_201,
        "listed": 1_715_947_200_000_000,
        "listed_or_not": 1_715_947_200_123_456,
    }
    assert {type(value) for value in whole} == {str, int, float}
    for field, value in zip(FIELDS, sparse, strict=True):
        missing = value is None if field.kind is Kind.TEXT else value != value
        assert missing is field.optional


def test_no_rows_are_no_rows() -> None:
    assert RENTS.parse_rows(f'{{"{ROWS}": []}}') == []
    assert list(RENTS.rows_of_columns(columns_of_requests([]), 0)) == []


def test_one_row_is_read_as_many_are_or_refused() -> None:
    rows = parsed(RENTS, EXAMPLE)
    assert RENTS.row_of(EXAMPLE) == rows[0]
    assert RENTS.valid_row(EXAMPLE) == rows
    assert RENTS.valid_row({**EXAMPLE, "area": -1}) is None
    with pytest.raises(ValidationError) as error:
        RENTS.row_of({**EXAMPLE, "area": -1})
    assert_names(explain(error.value), "area")


def test_labels_are_read_as_values_are_held() -> None:
    body = json.dumps({"labels": [{"prediction_id": "a", "rent": 1}, {"prediction_id": "b", "rent": 2.5}]})
    assert RENTS.parse_feedback(body) == [("a", 1.0), ("b", 2.5)]
    assert type(RENTS.parse_feedback(body)[0][1]) is float


@pytest.mark.parametrize(
    ("kind", "written", "held"),
    [
        (Kind.BOOLEAN, True, 1),
        (Kind.INTEGER, 7, 7),
        (Kind.TEXT, "yes", "yes"),
        (Kind.DATE, "1970-01-02", 1),
        (Kind.INSTANT, "1970-01-01T00:00:01Z", 1_000_000),
    ],
)
def test_a_label_may_be_of_any_kind(kind: Kind, written: Any, held: Any) -> None:
    declaration = replace(several.RENTS.declaration, task=several.Several(Field("rent", kind)))
    body = json.dumps({"labels": [{"prediction_id": "a", "rent": written}]})
    ((_, value),) = RequestSchema(declaration).parse_feedback(body)
    assert (value, type(value)) == (held, type(held))


@pytest.mark.parametrize(
    ("label", "place"),
    [
        ({"prediction_id": "a", TARGET.name: "1"}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: None}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: float("nan")}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: 10_001}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: -1}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: True}, TARGET.name),
        ({"prediction_id": "a"}, TARGET.name),
        ({"prediction_id": "", TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": "a" * 65, TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": 7, TARGET.name: 1}, "prediction_id"),
        ({TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": "a", TARGET.name: 1, "model": "x"}, "model"),
    ],
)
def test_a_label_out_of_shape_is_refused_by_its_place(label: dict[str, Any], place: str) -> None:
    good = {"prediction_id": "a", TARGET.name: 1.0}
    with pytest.raises(ValidationError) as error:
        RENTS.parse_feedback(json.dumps({"labels": [good, label]}))
    assert_names(explain(error.value), f"labels.1.{place}")
