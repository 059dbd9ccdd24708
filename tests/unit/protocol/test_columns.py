"""Rows that come as columns are read and refused as rows that come as objects are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.features.columns import ColumnRows, RepeatedTexts, columns_of
from tabular_bento.protocol import explain
from tabular_bento.protocol.values import FEW_ROWS, TIMES
from tabular_bento.schema import Kind
from tests.flights import rows as flights
from tests.strategies import parsed, rows_of_fields, to_json
from tests.unit import several
from tests.unit.protocol.cases import (
    CASES,
    FIELDS,
    RENTS,
    Case,
    assert_names,
    assert_same,
    columns_of_requests,
    of_kind,
)


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
