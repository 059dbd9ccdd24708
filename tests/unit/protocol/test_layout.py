from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.definition import EXAMPLE, FIELD_NAMES, FIELDS
from features.values import Row
from tabular_bento.errors import RequestError
from tabular_bento.protocol.layout import Layout, rows_of_tensors
from tabular_bento.protocol.requests import explain
from tabular_bento.protocol.tensors import (
    NUMPY_TYPES,
    Tensor,
    decode,
)
from tabular_bento.schema import Field, Kind
from tests.doors.clients import binary, inputs_of, tensors_of
from tests.rows import SECOND, TEXT_OR_TIME, bits, from_json, name_of, rows, to_json

NUMBERS = [field for field in FIELDS if field.kind is Kind.NUMBER]
OPTIONAL = [field for field in FIELDS if field.optional]


REQUIRED = [field for field in FIELDS if not field.optional]


def rows_of(**changes: Tensor | None) -> list[Row]:
    """The rows of two good requests, with some of their tensors changed, or left out where None."""
    tensors = {**tensors_of(EXAMPLE, SECOND), **changes}
    return rows_of_tensors([tensor for tensor in tensors.values() if tensor is not None])


def test_an_unknown_input_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"^Input 'speed' is unknown; the inputs are carrier, flight, "):
        rows_of(speed=Tensor("speed", "FP64", (2,), [1.0, 2.0]))


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_an_input_given_twice_is_refused_by_name(name: str) -> None:
    tensors = tensors_of(EXAMPLE)

    with pytest.raises(RequestError, match=f"^Input '{name}' is given twice"):
        rows_of_tensors([*tensors.values(), tensors[name]])


@pytest.mark.parametrize("field", REQUIRED, ids=name_of)
def test_a_required_input_that_is_left_out_is_refused_by_name(field: Field) -> None:
    with pytest.raises(RequestError, match=f"^Input '{field.name}' is missing, and is not optional"):
        rows_of(**{field.name: None})


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_wrong_datatype_is_refused_by_name_and_says_the_right_ones(field: Field) -> None:
    wrong = "FP64" if field in TEXT_OR_TIME else "BYTES"
    right = "BYTES" if field in TEXT_OR_TIME else "64 or "

    with pytest.raises(RequestError, match=f"^Input '{field.name}' has datatype '{wrong}'; it must be .*{right}"):
        rows_of(**{field.name: Tensor(field.name, wrong, (2,), [1.0, 2.0])})


@pytest.mark.parametrize("shape", [(), (2, 2), (1, 2), (2, 1, 1), (-1,), (0, 1, 2)])
@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_wrong_shape_is_refused_by_name(field: Field, shape: tuple[int, ...]) -> None:
    tensor = tensors_of(EXAMPLE, SECOND)[field.name]
    sentence = re.escape(f"Input '{field.name}' has shape {list(shape)}; it must be [n] or [n, 1].")

    with pytest.raises(RequestError, match=sentence):
        rows_of(**{field.name: Tensor(tensor.name, tensor.datatype, shape, tensor.values)})


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_column_of_shape_n_by_1_is_the_column(field: Field) -> None:
    tensor = tensors_of(EXAMPLE, SECOND)[field.name]

    assert rows_of(**{field.name: Tensor(tensor.name, tensor.datatype, (2, 1), tensor.values)}) == rows_of()


@pytest.mark.parametrize("shape", [(1,), (3,), (3, 1)])
@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_fewer_or_more_elements_than_the_shape_says_are_refused_by_name(field: Field, shape: tuple[int, ...]) -> None:
    tensor = tensors_of(EXAMPLE, SECOND)[field.name]

    with pytest.raises(RequestError, match=f"^Input '{field.name}' has 2 elements where its shape says {shape[0]}"):
        rows_of(**{field.name: Tensor(tensor.name, tensor.datatype, shape, tensor.values)})


@pytest.mark.parametrize("field", FIELDS[1:], ids=name_of)
def test_columns_of_unequal_length_are_refused_by_name(field: Field) -> None:
    tensor = tensors_of(EXAMPLE)[field.name]

    with pytest.raises(RequestError, match=f"^Input '{field.name}' has 1 rows where 'carrier' has 2"):
        rows_of(**{field.name: tensor})


def test_a_request_without_inputs_is_refused_and_one_without_rows_has_none() -> None:
    with pytest.raises(RequestError, match="is missing, and is not optional"):
        rows_of_tensors([])
    assert list(rows_of_tensors(list(tensors_of().values()))) == []


def test_names_and_values_of_any_length_make_short_sentences() -> None:
    for tensor in (
        Tensor("x" * 100_000, "FP64", (2,), [1.0, 2.0]),
        Tensor("temp", "F" * 100_000, (2,), [1.0, 2.0]),
        Tensor("temp", "FP64", (2,) * 100_000, [1.0, 2.0]),
    ):
        with pytest.raises(RequestError) as error:
            rows_of(**{"temp": None, tensor.name: tensor})
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("field", OPTIONAL, ids=name_of)
def test_an_optional_input_that_is_left_out_is_missing_in_every_row(field: Field) -> None:
    without = [{name: value for name, value in row.items() if name != field.name} for row in (EXAMPLE, SECOND)]

    assert list(map(bits, rows_of(**{field.name: None}))) == list(map(bits, from_json(*without)))


@pytest.mark.parametrize("field", OPTIONAL, ids=name_of)
def test_nan_or_an_empty_text_is_missing_in_its_own_row(field: Field) -> None:
    datatype = "BYTES" if field.kind is Kind.TEXT else "FP64"
    content = binary(datatype, [None, SECOND[field.name]])
    actual = rows_of(**{field.name: decode(field.name, datatype, (2,), content)})

    assert list(map(bits, actual)) == list(map(bits, from_json({**EXAMPLE, field.name: None}, SECOND)))


@pytest.mark.parametrize("field", REQUIRED, ids=name_of)
def test_a_required_value_that_is_missing_is_refused_by_row_and_name(field: Field) -> None:
    datatype = "FP64" if field.kind is Kind.NUMBER else "BYTES"
    content = binary(datatype, [EXAMPLE[field.name], None])

    with pytest.raises(ValidationError) as error:
        rows_of(**{field.name: decode(field.name, datatype, (2,), content)})
    assert explain(error.value).error.startswith(f"flights.1.{field.name}: ")


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
@pytest.mark.parametrize("field", [field for field in FIELDS if field not in TEXT_OR_TIME], ids=name_of)
def test_a_number_is_taken_in_each_of_the_four_datatypes(field: Field, datatype: str) -> None:
    value = int(field.maximum or 0)
    changed = rows_of(**{field.name: decode(field.name, datatype, (2,), binary(datatype, [value, value]))})
    typed = int(value) if field.kind is Kind.INTEGER else float(value)

    assert changed == from_json(*({**row, field.name: typed} for row in (EXAMPLE, SECOND)))


def test_fp32_is_taken_for_the_number_it_is() -> None:
    changed = rows_of(temp=decode("temp", "FP32", (2,), binary("FP32", [71.6, None])))

    assert changed[0][FIELD_NAMES.index("temp")] == float(np.float32(71.6)) != 71.6
    assert math.isnan(changed[1][FIELD_NAMES.index("temp")])


def test_a_fraction_is_no_flight_number() -> None:
    with pytest.raises(ValidationError) as error:
        rows_of(flight=Tensor("flight", "FP64", (2,), [1.0, 1.5]))
    assert explain(error.value).error.startswith("flights.1.flight: ")


TEXTUAL = {Kind.TEXT: ["BYTES"], Kind.LOCAL_TIME: ["BYTES"]}
NUMERIC = ["FP64", "FP32", "INT64", "INT32"]


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
    datatype = data.draw(st.sampled_from(TEXTUAL.get(field.kind, NUMERIC)))
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
