from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.schema import Kind
from features.definition import EXAMPLE, FIELDS
from features.values import Row
from scoring.doors.layout import Layout
from scoring.errors import RequestError
from tests.doors.clients import binary, inputs_of
from tests.rows import rows, to_json

DATATYPES = {Kind.TEXT: ["BYTES"], Kind.LOCAL_TIME: ["BYTES"]}
NUMBERS = ["FP64", "FP32", "INT64", "INT32"]


def bits(row: Row) -> list[Any]:
    return [struct.pack("<d", value) if isinstance(value, float) else (type(value), value) for value in row]


def contents_of(*requests: dict[str, Any]) -> tuple[Layout, list[bytes]]:
    """The layout of requests that name every field, and what each input holds."""
    inputs = inputs_of(requests)
    layout = Layout((name, datatype, (len(values),)) for name, datatype, values in inputs)
    return layout, [binary(datatype, values) for _, datatype, values in inputs]


@settings(deadline=None)
@given(row=rows)
def test_one_row_is_read_as_one_of_many_is(row: Row) -> None:
    layout, contents = contents_of(to_json(row))
    alone = layout.row(contents)

    assert alone is not None
    assert list(map(bits, alone)) == list(map(bits, layout.rows(contents)))


@settings(deadline=None, max_examples=300)
@given(data=st.data(), field=st.sampled_from(FIELDS))
def test_whatever_an_input_holds_one_row_is_read_as_one_of_many_is_or_left_to_it(
    data: st.DataObject, field: Any
) -> None:
    datatype = data.draw(st.sampled_from(DATATYPES.get(field.kind, NUMBERS)))
    content = data.draw(st.binary(max_size=30) | st.binary(min_size=8, max_size=8) | st.binary(min_size=4, max_size=4))
    inputs = [(name, datatype if name == field.name else old, (1,)) for name, old, _ in inputs_of([EXAMPLE])]
    layout, (_, contents) = Layout(inputs), contents_of(EXAMPLE)
    contents[[name for name, _, _ in inputs].index(field.name)] = content
    alone = layout.row(contents)

    try:
        expected = layout.rows(contents)
    except (RequestError, ValidationError):
        assert alone is None
    else:
        assert alone is None or list(map(bits, alone)) == list(map(bits, expected))


@pytest.mark.parametrize("temp", [float("inf"), float("-inf"), 1e9])
def test_a_number_that_is_not_allowed_is_left_to_the_check_that_names_it(temp: float) -> None:
    layout, contents = contents_of({**EXAMPLE, "temp": temp})

    assert layout.row(contents) is None
    with pytest.raises(ValidationError, match=r"flights\.0\.temp"):
        layout.rows(contents)


def test_two_rows_are_not_one() -> None:
    layout, contents = contents_of(EXAMPLE, EXAMPLE)

    assert layout.row(contents) is None
    assert len(layout.rows(contents)) == 2
