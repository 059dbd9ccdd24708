from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.definition import EXAMPLE, FIELD_NAMES, FIELDS, TARGET
from features.texts import RepeatedTexts
from features.values import Row
from tabular_bento.features.clock import EARLIEST, LATEST
from tabular_bento.protocol.requests import (
    FEW_ROWS,
    ROWS,
    ErrorAnswer,
    FeedbackRequest,
    Outcome,
    Prediction,
    PredictRequest,
    RowModel,
    explain,
    rows_of_columns,
    rows_of_models,
)
from tabular_bento.schema import Field, Kind
from tests.rows import from_json, rows, to_json

NUMBERS = [field for field in FIELDS if field.kind is Kind.NUMBER]
INTEGERS = [field for field in FIELDS if field.kind is Kind.INTEGER]
TEXTS = [field for field in FIELDS if field.kind is Kind.TEXT]
TIMES = [field for field in FIELDS if field.kind is Kind.LOCAL_TIME]


def name_of(field: Field) -> str:
    return field.name


def refusal(body: str) -> ErrorAnswer:
    with pytest.raises(ValidationError) as error:
        PredictRequest.model_validate_json(body)
    return explain(error.value)


def refusal_of(name: str, literal: str) -> ErrorAnswer:
    """What is said of a request whose second row has `literal`, as JSON, in the field `name`."""
    good = json.dumps(EXAMPLE)
    bad = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in EXAMPLE.items() if key != name)
    return refusal(f'{{"{ROWS}": [{good}, {{{bad}, "{name}": {literal}}}]}}')


def assert_names(answer: ErrorAnswer, place: str) -> None:
    assert answer.error.startswith(f"{place}: ")
    assert answer.detail[0].loc == place


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, '"1"', '"NaN"', "true", "[1]", "{}", '""'],
)
@pytest.mark.parametrize("field", NUMBERS, ids=name_of)
def test_a_number_must_be_a_finite_json_number(field: Field, literal: str) -> None:
    assert_names(refusal_of(field.name, literal), f"{ROWS}.1.{field.name}")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999", '"1"', "true", "1.5", "[1]", "1" + "0" * 400])
@pytest.mark.parametrize("field", INTEGERS, ids=name_of)
def test_an_integer_must_be_a_json_integer(field: Field, literal: str) -> None:
    assert_names(refusal_of(field.name, literal), f"{ROWS}.1.{field.name}")


@pytest.mark.parametrize("side", ["below", "above"])
@pytest.mark.parametrize("field", NUMBERS + INTEGERS, ids=name_of)
def test_a_value_just_out_of_its_declared_range_is_refused_and_the_bound_itself_is_not(field: Field, side: str) -> None:
    assert field.minimum is not None
    assert field.maximum is not None
    bound, step = (field.minimum, -1) if side == "below" else (field.maximum, 1)
    out = bound + (step if field.kind is Kind.INTEGER else step * 1e-9)

    assert_names(refusal_of(field.name, json.dumps(out)), f"{ROWS}.1.{field.name}")
    from_json({**EXAMPLE, field.name: bound})


@pytest.mark.parametrize("side", ["short", "long"])
@pytest.mark.parametrize("field", TEXTS, ids=name_of)
def test_a_text_too_short_or_too_long_is_refused_and_its_bound_is_not(field: Field, side: str) -> None:
    size, step = (int(field.minimum or 0), -1) if side == "short" else (int(field.maximum or 0), 1)

    assert_names(refusal_of(field.name, json.dumps("é" * (size + step))), f"{ROWS}.1.{field.name}")
    from_json({**EXAMPLE, field.name: "é" * size})


@pytest.mark.parametrize("literal", ["1", "1.5", "true", "[]", "{}", "NaN"])
@pytest.mark.parametrize("field", TEXTS, ids=name_of)
def test_a_text_must_be_a_json_string(field: Field, literal: str) -> None:
    assert_names(refusal_of(field.name, literal), f"{ROWS}.1.{field.name}")


@pytest.mark.parametrize(
    "literal",
    [
        '"2013-09-02T05:15:00Z"',
        '"2013-09-02T05:15:00+02:00"',
        '"2013-09-02T05:15:00-00:00"',
        '"2013-09-02"',
        '"05:15:00"',
        '"2013-09-31T05:15:00"',
        '"2013-09-02T24:15:00"',
        '"yesterday"',
        '"1378098900"',
        '"1378098900.0"',
        "1378098900",
        "1378098900.5",
        "true",
        "NaN",
        '""',
        "[]",
        '"1899-12-31T23:59:59"',
        '"2200-01-01T00:00:00"',
    ],
)
@pytest.mark.parametrize("field", TIMES, ids=name_of)
def test_a_time_must_be_a_local_date_and_time_without_an_offset(field: Field, literal: str) -> None:
    assert_names(refusal_of(field.name, literal), f"{ROWS}.1.{field.name}")


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_what_may_be_missing_may_be_null_or_left_out_and_nothing_else(field: Field) -> None:
    without = {name: value for name, value in EXAMPLE.items() if name != field.name}
    if field.optional:
        left_out, null = from_json(without, {**EXAMPLE, field.name: None})
        assert repr(left_out) == repr(null)
    else:
        assert_names(refusal_of(field.name, "null"), f"{ROWS}.1.{field.name}")
        assert_names(refusal(json.dumps({ROWS: [without]})), f"{ROWS}.0.{field.name}")


@pytest.mark.parametrize("name", ["Temp", "temp ", "arr_delay", "arrival_delay", "__class__", ""])
def test_an_unknown_field_is_refused_by_its_name(name: str) -> None:
    assert_names(refusal(json.dumps({ROWS: [{**EXAMPLE, name: 1}]})), f"{ROWS}.0.{name}")


@pytest.mark.parametrize("body", ["", " ", "nonsense", "{", '{"flights": [}', "\\", "NaN", "'{}'"])
def test_what_is_not_json_is_a_fault_of_the_body(body: str) -> None:
    assert_names(refusal(body), "body")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"flights"', "true", "[{}]"])
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
    assert refusal_of("tailnum", '"\\ud800"').error.startswith(("body: ", f"{ROWS}.1.tailnum: "))


def test_of_many_faults_the_first_is_told_the_rest_counted_and_a_score_listed() -> None:
    answer = refusal(json.dumps({ROWS: [{**EXAMPLE, "temp": "x"}] * 50}))
    assert answer.error.startswith(f"{ROWS}.0.temp: ")
    assert answer.error.endswith("(and 49 more)")
    assert [detail.loc for detail in answer.detail] == [f"{ROWS}.{row}.temp" for row in range(20)]


def test_a_refusal_does_not_send_the_input_back() -> None:
    assert "secret" not in refusal(json.dumps({ROWS: [{**EXAMPLE, "temp": "secret"}]})).model_dump_json()


def test_the_schema_is_the_declaration() -> None:
    schema = RowModel.model_json_schema()
    assert tuple(schema["properties"]) == FIELD_NAMES
    assert schema["required"] == [field.name for field in FIELDS if not field.optional]
    assert schema["additionalProperties"] is False
    for field in FIELDS:
        described = schema["properties"][field.name]
        assert field.description in described["description"]
        assert (field.unit or "") in described["description"]
        kinds = described.get("anyOf", [described])
        assert any(kind["type"] == "null" for kind in kinds) is field.optional
        bounds = ("minLength", "maxLength") if field.kind is Kind.TEXT else ("minimum", "maximum")
        if field.minimum is not None:
            assert (kinds[0][bounds[0]], kinds[0][bounds[1]]) == (field.minimum, field.maximum)


def test_the_answer_has_the_four_fields_that_callers_rely_on() -> None:
    assert set(Prediction.model_fields) == {"prediction_id", "id", TARGET.name, "model"}
    assert set(Outcome.model_fields) == {"prediction_id", TARGET.name}


def test_rows_are_plain_values_in_the_order_of_the_declaration() -> None:
    request = {**EXAMPLE, "sched_dep": "1970-01-01T00:00:01", "temp": None, "tailnum": None}
    row = dict(zip(FIELD_NAMES, from_json(request)[0], strict=True))

    assert row["sched_dep"] == 1
    assert row["temp"] != row["temp"]
    assert row["tailnum"] is None
    assert {type(value) for value in row.values()} == {str, int, float, type(None)}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1900-01-01T00:00:00", EARLIEST),
        ("2199-12-31T23:59:59", LATEST - 1),
        ("2013-09-02T05:15", 1_378_098_900),
        ("2013-09-02 05:15:00", 1_378_098_900),
        ("2013-09-02T05:15:00.999999", 1_378_098_900),
        ("1969-12-31T23:59:59.5", -1),
    ],
)
def test_times_become_whole_seconds_on_their_own_clock(text: str, seconds: int) -> None:
    row = dict(zip(FIELD_NAMES, from_json({**EXAMPLE, "sched_dep": text})[0], strict=True))
    assert row["sched_dep"] == seconds


def columns_of_requests(requests: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [request.get(name) for request in requests] for name in FIELD_NAMES}


@settings(deadline=None, max_examples=50)
@given(batch=st.lists(rows, max_size=20))
def test_rows_that_come_as_columns_are_the_rows_that_come_as_objects(batch: list[Row]) -> None:
    requests = [to_json(row) for row in batch]
    assert repr(rows_of_columns(columns_of_requests(requests), len(batch))) == repr(from_json(*requests))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((field.name, float("inf")) for field in NUMBERS),
        *((field.name, (field.maximum or 0) + 1) for field in NUMBERS + INTEGERS),
        *((field.name, (field.minimum or 0) - 1) for field in NUMBERS + INTEGERS),
        *((field.name, "x" * (int(field.maximum or 0) + 1)) for field in TEXTS),
        *((field.name, None) for field in FIELDS if not field.optional),
        *((field.name, text) for field in TIMES for text in ("", "2013-09-02", "2013-09-02T05:15:00Z", "1378098900")),
    ],
)
def test_what_is_refused_of_an_object_is_refused_of_a_column_by_the_same_place(name: str, value: Any) -> None:
    good = {key: value for key, value in EXAMPLE.items() if key != name}
    missing = float("nan") if any(field.name == name and field.kind is Kind.NUMBER for field in FIELDS) else None
    columns = columns_of_requests([EXAMPLE, good | {name: missing if value is None else value}])
    with pytest.raises(ValidationError) as error:
        rows_of_columns(columns, 2)
    assert_names(explain(error.value), f"{ROWS}.1.{name}")


@pytest.mark.parametrize("field", INTEGERS + TIMES, ids=name_of)
def test_many_integers_and_times_may_come_as_arrays_and_are_checked_alike(field: Field) -> None:
    count = FEW_ROWS + 1
    columns: dict[str, Any] = columns_of_requests([EXAMPLE] * count)
    low, high = (
        (EARLIEST, LATEST - 1) if field.kind is Kind.LOCAL_TIME else (int(field.minimum or 0), int(field.maximum or 0))
    )
    columns[field.name] = np.array([low, high] + [low] * (count - 2))
    rows = rows_of_columns(columns, count)
    place = FIELD_NAMES.index(field.name)
    assert [row[place] for row in rows] == columns[field.name].tolist()
    assert {type(row[place]) for row in rows} == {int}

    for wrong in (low - 1, high + 1):
        columns[field.name][count - 1] = wrong
        with pytest.raises(ValidationError) as error:
            rows_of_columns(columns, count)
        assert_names(explain(error.value), f"{ROWS}.{count - 1}.{field.name}")


@pytest.mark.parametrize("field", INTEGERS, ids=name_of)
def test_an_array_of_fractions_is_no_array_of_integers(field: Field) -> None:
    columns: dict[str, Any] = columns_of_requests([EXAMPLE] * (FEW_ROWS + 1))
    columns[field.name] = np.full(FEW_ROWS + 1, 1.5)
    with pytest.raises(ValidationError):
        rows_of_columns(columns, FEW_ROWS + 1)


@pytest.mark.parametrize("field", TEXTS, ids=name_of)
def test_texts_that_repeat_are_checked_by_their_distinct_values(field: Field) -> None:
    count = FEW_ROWS + 3
    columns: dict[str, Any] = columns_of_requests([EXAMPLE] * count)
    good, long = "x" * int(field.minimum or 1), "x" * (int(field.maximum or 0) + 1)
    columns[field.name] = RepeatedTexts([good], np.zeros(count, np.intp))
    assert [row[FIELD_NAMES.index(field.name)] for row in rows_of_columns(columns, count)] == [good] * count

    columns[field.name] = RepeatedTexts([good, long], np.array([0] * (count - 1) + [1]))
    with pytest.raises(ValidationError) as error:
        rows_of_columns(columns, count)
    assert_names(explain(error.value), f"{ROWS}.{count - 1}.{field.name}")


def test_an_optional_column_may_be_left_out() -> None:
    columns = columns_of_requests([EXAMPLE, EXAMPLE])
    del columns["temp"], columns["id"]
    expected = from_json(*[{name: EXAMPLE[name] for name in columns}] * 2)
    assert repr(rows_of_columns(columns, 2)) == repr(expected)


def test_no_rows_are_no_rows() -> None:
    assert rows_of_models(getattr(PredictRequest.model_validate_json(f'{{"{ROWS}": []}}'), ROWS)) == []


@pytest.mark.parametrize(
    ("outcome", "place"),
    [
        ({"prediction_id": "a", TARGET.name: "1"}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: None}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: float("nan")}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: 2881}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: -241}, TARGET.name),
        ({"prediction_id": "a", TARGET.name: True}, TARGET.name),
        ({"prediction_id": "a"}, TARGET.name),
        ({"prediction_id": "", TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": "a" * 65, TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": 7, TARGET.name: 1}, "prediction_id"),
        ({TARGET.name: 1}, "prediction_id"),
        ({"prediction_id": "a", TARGET.name: 1, "model": "x"}, "model"),
    ],
)
def test_an_outcome_out_of_shape_is_refused_by_its_place(outcome: dict[str, Any], place: str) -> None:
    good = {"prediction_id": "a", TARGET.name: 1.0}
    with pytest.raises(ValidationError) as error:
        FeedbackRequest.model_validate_json(json.dumps({"outcomes": [good, outcome]}))
    assert_names(explain(error.value), f"outcomes.1.{place}")
