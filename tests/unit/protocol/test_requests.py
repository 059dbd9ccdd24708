from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.features.columns import ColumnRows, RepeatedTexts, columns_of
from tabular_bento.problem import Problem
from tabular_bento.protocol import ErrorResponse, PredictionBatch, RequestSchema, explain
from tabular_bento.protocol.values import FEW_ROWS, TIMES
from tabular_bento.schema import Field, Kind
from tests.flights import rows as flights
from tests.strategies import bits, parsed, rows_of_fields, to_json
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


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, '"1"', '"NaN"', "true", "[1]", "{}", '""'],
)
@of_kind(Kind.NUMBER)
def test_a_number_must_be_a_finite_json_number(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999", '"1"', "true", "1.5", "[1]", "1" + "0" * 400])
@of_kind(Kind.INTEGER)
def test_an_integer_must_be_a_json_integer(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@pytest.mark.parametrize("side", ["below", "above"])
@of_kind(Kind.NUMBER, Kind.INTEGER)
def test_a_value_just_out_of_its_declared_range_is_refused_and_the_bound_itself_is_not(case: Case, side: str) -> None:
    field = case.field
    low, high = field.minimum, field.maximum
    if low is None or high is None:
        low, high = (-(2**53), 2**53) if field.optional else (-(2**63), 2**63 - 1)
    bound, step = (low, -1) if side == "below" else (high, 1)
    out = bound + (step if field.kind is Kind.INTEGER else step * 1e-9)

    assert_names(refusal_of(case, json.dumps(out)), case.place(1))
    (row,) = parsed(case.schema, {**case.example, field.name: bound})
    assert row[case.problem.field_names.index(field.name)] == bound


@pytest.mark.parametrize("side", ["short", "long"])
@of_kind(Kind.TEXT)
def test_a_text_too_short_or_too_long_is_refused_and_its_bound_is_not(case: Case, side: str) -> None:
    size, step = (int(case.field.min_length or 0), -1) if side == "short" else (int(case.field.max_length or 0), 1)

    assert_names(refusal_of(case, json.dumps("é" * (size + step))), case.place(1))
    parsed(case.schema, {**case.example, case.field.name: "é" * size})


@pytest.mark.parametrize("literal", ["0", "1", '"true"', "[]", "NaN", "1.0"])
@of_kind(Kind.BOOLEAN)
def test_a_boolean_must_be_true_or_false(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@pytest.mark.parametrize(
    "literal",
    [
        '"2013-09-02T05:15:00"',
        '"2013-09-02"',
        '"05:15:00Z"',
        '"2013-09-31T05:15:00Z"',
        '"2013-09-02T24:15:00Z"',
        '"yesterday"',
        '"1378098900"',
        '"1378098900.0"',
        '"-1378098900"',
        "1378098900",
        "1378098900.5",
        "true",
        "NaN",
        '""',
        "[]",
        '"1899-12-31T23:59:59Z"',
        '"2200-01-01T00:00:00Z"',
        '"1900-01-01T00:00:00+02:00"',
    ],
)
@of_kind(Kind.INSTANT)
def test_an_instant_must_be_a_date_and_time_with_an_offset(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@pytest.mark.parametrize(
    "literal",
    [
        '"2013-09-02T00:00:00"',
        '"2013-09-31"',
        '"20130902"',
        '"2013-W36-1"',
        '"1378080000"',
        "15950",
        "true",
        '""',
        "[]",
        '"1899-12-31"',
        '"2200-01-01"',
    ],
)
@of_kind(Kind.DATE)
def test_a_date_must_be_a_date_and_nothing_more(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@pytest.mark.parametrize(
    ("name", "text", "held"),
    [
        ("built", "1970-01-01", 0),
        ("built", "1969-12-31", -1),
        ("built_or_not", "2199-12-31", 84_005),
        ("listed", "1970-01-01T02:00:00+02:00", 0),
        ("listed", "1970-01-01T00:00:00.000001Z", 1),
        ("listed_or_not", "1969-12-31T23:59:59.999999Z", -1),
        ("opened_or_not", "1970-01-01T00:01:00", 60),
        ("balcony", True, 1),
        ("balcony_or_not", False, 0),
        ("floor_or_not", -5, -5),
    ],
)
def test_values_are_held_as_their_kind_says(name: str, text: Any, held: int) -> None:
    value = dict(zip(NAMES, parsed(RENTS, {**EXAMPLE, name: text})[0], strict=True))[name]
    assert (value, type(value)) == (held, int)


@pytest.mark.parametrize("literal", ["1", "1.5", "true", "[]", "{}", "NaN"])
@of_kind(Kind.TEXT)
def test_a_text_must_be_a_json_string(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


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
@of_kind(Kind.LOCAL_TIME)
def test_a_time_must_be_a_local_date_and_time_without_an_offset(case: Case, literal: str) -> None:
    assert_names(refusal_of(case, literal), case.place(1))


@of_kind()
def test_what_may_be_missing_may_be_null_or_left_out_and_nothing_else(case: Case) -> None:
    name, schema = case.field.name, case.schema
    without = {key: value for key, value in case.example.items() if key != name}
    if case.field.optional:
        left_out, null = parsed(schema, without, {**case.example, name: None})
        assert bits(left_out) == bits(null)
        assert bits(left_out)[case.problem.field_names.index(name)] == bits((case.field.missing,))[0]
    else:
        assert_names(refusal_of(case, "null"), case.place(1))
        assert_names(refusal(json.dumps({schema.rows: [without]}), schema), case.place(0))


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1900-01-01T00:00:00", TIMES[Kind.LOCAL_TIME].earliest),
        ("2199-12-31T23:59:59", TIMES[Kind.LOCAL_TIME].latest),
        ("2013-09-02T05:15", 1_378_098_900),
        ("2013-09-02 05:15:00", 1_378_098_900),
        ("2013-09-02T05:15:00.999999", 1_378_098_900),
        ("1969-12-31T23:59:59.5", -1),
    ],
)
def test_times_become_whole_seconds_on_their_own_clock(text: str, seconds: int) -> None:
    row = dict(zip(NAMES, parsed(RENTS, {**EXAMPLE, "opened": text})[0], strict=True))
    assert row["opened"] == seconds


def columns_of_requests(requests: list[dict[str, Any]], problem: Problem = several.RENTS) -> dict[str, Any]:
    return {name: [request.get(name) for request in requests] for name in problem.field_names}


def assert_same(rows: Any, expected: Any, fields: tuple[Field, ...] = FIELDS) -> None:
    """Compare rows; an integer may be held as a float where one may be missing."""
    columns, others = columns_of(list(rows), fields), columns_of(list(expected), fields)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, others[name])


@settings(deadline=None, max_examples=50)
@given(batch=st.lists(rows_of_fields(FIELDS), max_size=20))
def test_rows_that_come_as_columns_are_the_rows_that_come_as_objects(batch: list[Row]) -> None:
    requests = [to_json(row, FIELDS) for row in batch]
    assert_same(parsed(RENTS, *requests), batch)
    assert_same(RENTS.rows_of_columns(columns_of_requests(requests), len(batch)), batch)


@settings(deadline=None, max_examples=30)
@given(batch=st.lists(flights.rows, max_size=20))
def test_rows_of_flights_that_come_as_columns_are_the_rows_that_come_as_objects(batch: list[Row]) -> None:
    requests = [flights.to_json(row) for row in batch]
    columns = columns_of_requests(requests, PROBLEM)
    assert_same(flights.SCHEMA.rows_of_columns(columns, len(batch)), flights.from_json(*requests), PROBLEM.fields)


@pytest.mark.parametrize("count", [2, FEW_ROWS + 1])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_columns_may_be_arrays_of_values_as_they_are_held(count: int, data: st.DataObject) -> None:
    batch = data.draw(st.lists(rows_of_fields(FIELDS), min_size=count, max_size=count))
    columns = columns_of(batch, FIELDS)
    rows = RENTS.rows_of_columns(columns, count)
    assert_same(rows, batch)
    if isinstance(rows, ColumnRows):
        for field in FIELDS:
            assert np.asarray(rows.columns[field.name]).dtype == field.dtype or field.kind is Kind.TEXT


FAULTS = [
    (case, value)
    for case in CASES
    for value in (
        *([float("inf")] if case.field.kind.is_numeric else []),
        *([1e19, 1.5, "1"] if case.field.kind is Kind.INTEGER else []),
        *([case.field.maximum + 1] if case.field.maximum is not None else []),
        *([case.field.minimum - 1] if case.field.minimum is not None else []),
        *(["x" * (case.field.max_length + 1), ""] if case.field.max_length is not None else []),
        *([] if case.field.optional else [None]),
        *([2, "true", 0.5] if case.field.kind is Kind.BOOLEAN else []),
        *(["", "soon", "2013-09-02T05:15:00+25:00", "1378098900", "2013-13-02"] if case.field.kind.is_time else []),
        *(["2013-09-02T05:15:00Z"] if case.field.kind in (Kind.LOCAL_TIME, Kind.DATE) else []),
        *(["2013-09-02T05:15:00"] if case.field.kind in (Kind.INSTANT, Kind.DATE) else []),
    )
]


@pytest.mark.parametrize("count", [2, FEW_ROWS + 1])
@pytest.mark.parametrize(("case", "value"), FAULTS)
def test_what_is_refused_of_an_object_is_refused_of_a_column_by_the_same_place(
    case: Case, value: Any, count: int
) -> None:
    name = case.field.name
    missing = float("nan") if case.field.kind is Kind.NUMBER else None
    requests = [*[case.example] * (count - 1), {**case.example, name: missing if value is None else value}]
    with pytest.raises(ValidationError) as error:
        case.schema.rows_of_columns(columns_of_requests(requests, case.problem), count)
    assert_names(explain(error.value), case.place(count - 1))


@of_kind(Kind.INTEGER, Kind.BOOLEAN, Kind.DATE, Kind.LOCAL_TIME, Kind.INSTANT)
def test_many_integers_and_times_may_come_as_arrays_and_are_checked_alike(case: Case) -> None:
    count, field = FEW_ROWS + 1, case.field
    columns = columns_of_requests([case.example] * count, case.problem)
    if field.kind.is_time:
        low, high = TIMES[field.kind].earliest, TIMES[field.kind].latest
    else:
        low, high = (0, 1) if field.kind is Kind.BOOLEAN else (int(field.minimum or 0), int(field.maximum or 1000))
    columns[field.name] = np.array([low, high] + [low] * (count - 2))
    rows = case.schema.rows_of_columns(columns, count)
    place = case.problem.field_names.index(field.name)
    assert [row[place] for row in rows] == columns[field.name].tolist()
    assert {type(row[place]) for row in rows} == {float if field.optional else int}

    gaps = columns[field.name].astype(np.float64)
    gaps[0] = np.nan
    columns[field.name] = gaps
    if field.optional:
        np.testing.assert_array_equal([row[place] for row in case.schema.rows_of_columns(columns, count)], gaps)
    else:
        with pytest.raises(ValidationError) as error:
            case.schema.rows_of_columns(columns, count)
        assert_names(explain(error.value), case.place(0))
    gaps[0] = low
    if field.kind in (Kind.INTEGER, Kind.BOOLEAN) and field.minimum is None and field.kind is Kind.INTEGER:
        return
    for wrong in (low - 1, high + 1):
        columns[field.name][count - 1] = wrong
        with pytest.raises(ValidationError) as error:
            case.schema.rows_of_columns(columns, count)
        assert_names(explain(error.value), case.place(count - 1))


@of_kind(Kind.INTEGER, Kind.BOOLEAN)
def test_an_array_of_fractions_is_no_array_of_integers(case: Case) -> None:
    columns = columns_of_requests([case.example] * (FEW_ROWS + 1), case.problem)
    columns[case.field.name] = np.full(FEW_ROWS + 1, 1.5)
    with pytest.raises(ValidationError):
        case.schema.rows_of_columns(columns, FEW_ROWS + 1)


@of_kind(Kind.TEXT)
def test_texts_that_repeat_are_checked_by_their_distinct_values(case: Case) -> None:
    count, field = FEW_ROWS + 3, case.field
    columns = columns_of_requests([case.example] * count, case.problem)
    good, long = "x" * int(field.min_length or 1), "x" * (int(field.max_length or 0) + 1)
    columns[field.name] = RepeatedTexts([good], np.zeros(count, np.intp))
    place = case.problem.field_names.index(field.name)
    assert [row[place] for row in case.schema.rows_of_columns(columns, count)] == [good] * count

    columns[field.name] = RepeatedTexts([good, long], np.array([0] * (count - 1) + [1]))
    with pytest.raises(ValidationError) as error:
        case.schema.rows_of_columns(columns, count)
    assert_names(explain(error.value), case.place(count - 1))


@pytest.mark.parametrize("count", [2, FEW_ROWS + 1])
def test_an_optional_column_may_be_left_out(count: int) -> None:
    columns = {name: [value] * count for name, value in several.SPARSE.items()}
    assert_same(RENTS.rows_of_columns(columns, count), parsed(RENTS, *[several.SPARSE] * count))


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
