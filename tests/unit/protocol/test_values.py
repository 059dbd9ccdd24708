"""A value of each kind: what is refused of it, and as what it is held."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tabular_bento.protocol.values import TIMES
from tabular_bento.schema import Kind
from tests.strategies import bits, parsed
from tests.unit.protocol.cases import (
    EXAMPLE,
    NAMES,
    RENTS,
    Case,
    assert_names,
    of_kind,
    refusal,
    refusal_of,
)


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
