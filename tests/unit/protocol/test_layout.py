from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tabular_bento.errors import RequestError, TooLargeError
from tabular_bento.features import Row
from tabular_bento.features.columns import columns_of
from tabular_bento.protocol import Layout, PredictionBatch, Tensor, TensorSchema, explain
from tabular_bento.protocol.tensors import DATATYPES, decode, encode
from tabular_bento.protocol.values import FEW_ROWS
from tabular_bento.schema import Field, Kind
from tests import tensors
from tests.strategies import bits, name_of, parsed, rows_of_fields, to_json
from tests.unit import several
from tests.unit.several import CLASSES, EXAMPLE, FIELDS, RENTS

SCHEMA = TensorSchema(RENTS.declaration, 10_000)
NAMES = RENTS.field_names
SECOND = {**EXAMPLE, "area": 1.5, "city": "Köln", "balcony": False}
NUMERIC = ["FP64", "FP32", "INT64", "INT32"]
OPTIONAL = [field for field in FIELDS if field.optional]
REQUIRED = [field for field in FIELDS if not field.optional]
TEXTUAL = [field for field in FIELDS if DATATYPES[field.kind] == ("BYTES",)]


def tensors_of(*requests: dict[str, Any]) -> dict[str, Tensor]:
    return tensors.tensors_of(FIELDS, requests)


def inputs_of(requests: list[dict[str, Any]]) -> list[tensors.Input]:
    return tensors.inputs_of(FIELDS, requests)


binary = tensors.binary


def from_json(*requests: dict[str, Any]) -> list[Row]:
    return parsed(SCHEMA.requests, *requests)


def rows_of(**changes: Tensor | None) -> list[Row]:
    """The rows of two good requests, with some of their tensors changed, or left out where None."""
    changed = {**tensors_of(EXAMPLE, SECOND), **changes}
    return list(SCHEMA.rows_of_tensors([tensor for tensor in changed.values() if tensor is not None]))


def same(rows: Any, expected: Any) -> bool:
    """Whether rows are equal; an integer may be held as a float where one may be missing."""
    columns, others = columns_of(list(rows), FIELDS), columns_of(list(expected), FIELDS)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, others[name])
    return True


def test_an_unknown_input_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"^Input 'speed' is unknown; the inputs are city, city_or_not, "):
        rows_of(speed=Tensor("speed", "FP64", (2,), [1.0, 2.0]))


@pytest.mark.parametrize("name", NAMES)
def test_an_input_given_twice_is_refused_by_name(name: str) -> None:
    given_once = tensors_of(EXAMPLE)

    with pytest.raises(RequestError, match=f"^Input '{name}' is given twice"):
        SCHEMA.rows_of_tensors([*given_once.values(), given_once[name]])


@pytest.mark.parametrize("field", REQUIRED, ids=name_of)
def test_a_required_input_that_is_left_out_is_refused_by_name(field: Field) -> None:
    with pytest.raises(RequestError, match=f"^Input '{field.name}' is missing, and is not optional"):
        rows_of(**{field.name: None})


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_wrong_datatype_is_refused_by_name_and_says_the_right_ones(field: Field) -> None:
    wrong = "FP64" if field in TEXTUAL else "BYTES"
    right = " or ".join(DATATYPES[field.kind])

    with pytest.raises(RequestError, match=f"^Input '{field.name}' has datatype '{wrong}'; it must be {right}"):
        rows_of(**{field.name: Tensor(field.name, wrong, (2,), [1.0, 2.0])})


@pytest.mark.parametrize("shape", [(), (2, 2), (1, 2), (2, 1, 1), (-1,), (0, 1, 2)])
@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_wrong_shape_is_refused_by_name(field: Field, shape: tuple[int, ...]) -> None:
    tensor = tensors_of(EXAMPLE, SECOND)[field.name]
    message = re.escape(f"Input '{field.name}' has shape {list(shape)}; it must be [n] or [n, 1].")

    with pytest.raises(RequestError, match=message):
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

    with pytest.raises(RequestError, match=f"^Input '{field.name}' has 1 rows where 'city' has 2"):
        rows_of(**{field.name: tensor})


def test_a_request_without_inputs_is_refused_and_one_without_rows_has_none() -> None:
    with pytest.raises(RequestError, match="is missing, and is not optional"):
        SCHEMA.rows_of_tensors([])
    assert list(SCHEMA.rows_of_tensors(list(tensors_of().values()))) == []


def test_names_and_values_of_any_length_make_short_messages() -> None:
    for tensor in (
        Tensor("x" * 100_000, "FP64", (2,), [1.0, 2.0]),
        Tensor("area", "F" * 100_000, (2,), [1.0, 2.0]),
        Tensor("area", "FP64", (2,) * 100_000, [1.0, 2.0]),
    ):
        with pytest.raises(RequestError) as error:
            rows_of(**{"area": None, tensor.name: tensor})
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("field", OPTIONAL, ids=name_of)
def test_an_optional_input_that_is_left_out_is_missing_in_every_row(field: Field) -> None:
    without = [{name: value for name, value in row.items() if name != field.name} for row in (EXAMPLE, SECOND)]

    assert same(rows_of(**{field.name: None}), from_json(*without))


@pytest.mark.parametrize("field", OPTIONAL, ids=name_of)
def test_nan_or_an_empty_text_is_missing_in_its_own_row(field: Field) -> None:
    datatype = "BYTES" if field in TEXTUAL else "FP64"
    content = binary(datatype, [None, SECOND[field.name]])
    actual = rows_of(**{field.name: decode(field.name, datatype, (2,), content)})

    assert same(actual, from_json({**EXAMPLE, field.name: None}, SECOND))


@pytest.mark.parametrize("field", REQUIRED, ids=name_of)
def test_a_required_value_that_is_missing_is_refused_by_row_and_name(field: Field) -> None:
    datatype = "BYTES" if field in TEXTUAL else "FP64"
    content = binary(datatype, [EXAMPLE[field.name], None])

    with pytest.raises(ValidationError) as error:
        rows_of(**{field.name: decode(field.name, datatype, (2,), content)})
    assert explain(error.value).error.startswith(f"rows.1.{field.name}: ")


@pytest.mark.parametrize("datatype", NUMERIC)
@pytest.mark.parametrize("field", [field for field in FIELDS if field not in TEXTUAL], ids=name_of)
def test_a_number_is_taken_in_each_of_the_four_datatypes(field: Field, datatype: str) -> None:
    value = 1 if field.kind is Kind.BOOLEAN else int(field.maximum or 100)
    changed = rows_of(**{field.name: decode(field.name, datatype, (2,), binary(datatype, [value, value]))})
    typed = {Kind.INTEGER: int, Kind.BOOLEAN: bool, Kind.NUMBER: float}[field.kind](value)

    assert changed == from_json(*({**row, field.name: typed} for row in (EXAMPLE, SECOND)))


def test_fp32_is_taken_for_the_number_it_is() -> None:
    changed = rows_of(area_or_not=decode("area_or_not", "FP32", (2,), binary("FP32", [71.6, None])))

    assert changed[0][NAMES.index("area_or_not")] == float(np.float32(71.6)) != 71.6
    assert math.isnan(changed[1][NAMES.index("area_or_not")])


@pytest.mark.parametrize("name", ["floor", "floor_or_not", "count", "count_or_not", "balcony", "balcony_or_not"])
@pytest.mark.parametrize("value", [0.5, float("inf"), -float("inf"), 2.0**63])
def test_a_fraction_is_no_integer_and_no_boolean(name: str, value: float) -> None:
    for count in (2, FEW_ROWS + 1):
        inputs = tensors_of(*[EXAMPLE] * count)
        inputs[name] = Tensor(name, "FP64", (count,), [1.0] * (count - 1) + [value])
        with pytest.raises(ValidationError) as error:
            SCHEMA.rows_of_tensors(list(inputs.values()))
        assert explain(error.value).error.startswith(f"rows.{count - 1}.{name}: ")


@pytest.mark.parametrize("count", [1, 2, FEW_ROWS + 1, 200])
def test_rows_of_every_kind_come_back_from_their_tensors(count: int) -> None:
    requests = [SECOND if index % 3 else {**several.SPARSE, "floor": index % 7} for index in range(count)]
    layout, contents = contents_of(*requests)
    assert same(layout.rows(contents), from_json(*requests))


def test_more_rows_than_one_request_may_have_are_refused() -> None:
    schema = TensorSchema(RENTS.declaration, 2)
    assert len(schema.rows_of_tensors(list(tensors_of(EXAMPLE, EXAMPLE).values()))) == 2
    with pytest.raises(TooLargeError, match="3 rows in one request, of at most 2"):
        schema.rows_of_tensors(list(tensors_of(EXAMPLE, EXAMPLE, EXAMPLE).values()))


def contents_of(*requests: dict[str, Any]) -> tuple[Layout, list[bytes]]:
    """The layout of requests that name every field, and what each input holds."""
    inputs = inputs_of(requests)
    layout = Layout(SCHEMA, ((name, datatype, (len(values),)) for name, datatype, values in inputs))
    return layout, [binary(datatype, values) for _, datatype, values in inputs]


@settings(deadline=None)
@given(row=rows_of_fields(FIELDS))
def test_one_row_is_read_as_one_of_many_is(row: Row) -> None:
    layout, contents = contents_of(to_json(row, FIELDS))
    alone = layout.row(contents)

    assert alone is not None
    assert list(map(bits, alone)) == list(map(bits, layout.rows(contents)))


@settings(deadline=None, max_examples=300)
@given(data=st.data(), field=st.sampled_from(FIELDS))
def test_whatever_an_input_holds_one_row_is_read_as_one_of_many_is_or_left_to_it(
    data: st.DataObject, field: Any
) -> None:
    datatype = data.draw(st.sampled_from(DATATYPES[field.kind]))
    content = data.draw(st.binary(max_size=30) | st.binary(min_size=8, max_size=8) | st.binary(min_size=4, max_size=4))
    inputs = [(name, datatype if name == field.name else old, (1,)) for name, old, _ in inputs_of([EXAMPLE])]
    layout, (_, contents) = Layout(SCHEMA, inputs), contents_of(EXAMPLE)
    contents[[name for name, _, _ in inputs].index(field.name)] = content
    alone = layout.row(contents)

    try:
        expected = layout.rows(contents)
    except (RequestError, ValidationError):
        assert alone is None
    else:
        assert alone is None or list(map(bits, alone)) == list(map(bits, expected))


@pytest.mark.parametrize("name", ["area", "area_or_not", "floor", "floor_or_not"])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e9])
def test_a_number_that_is_not_allowed_is_left_to_the_check_that_names_it(value: float, name: str) -> None:
    inputs = [(one, "FP64" if one == name else datatype, (1,)) for one, datatype, _ in inputs_of([EXAMPLE])]
    layout, (_, contents) = Layout(SCHEMA, inputs), contents_of(EXAMPLE)
    contents[NAMES.index(name)] = binary("FP64", [value])

    assert layout.row(contents) is None
    with pytest.raises(ValidationError, match=rf"rows\.0\.{name}"):
        layout.rows(contents)


def test_two_rows_are_not_one() -> None:
    layout, contents = contents_of(EXAMPLE, EXAMPLE)

    assert layout.row(contents) is None
    assert len(layout.rows(contents)) == 2


def test_the_metadata_have_an_input_for_each_field_and_the_declared_outputs() -> None:
    datatypes = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}

    assert SCHEMA.input_metadata == [
        {"name": field.name, "datatype": datatypes.get(field.kind, "BYTES"), "shape": [-1]} for field in FIELDS
    ]
    assert SCHEMA.output_metadata == [
        {"name": "rent", "datatype": "FP64", "shape": [-1]},
        {"name": "rent_upper", "datatype": "FP64", "shape": [-1]},
        {
            "name": "rent_probability",
            "datatype": "FP64",
            "shape": [-1, 2],
            "parameters": {"classes": list(CLASSES)},
        },
        {"name": "rooms", "datatype": "INT64", "shape": [-1]},
        {"name": "let", "datatype": "BOOL", "shape": [-1]},
        {"name": "city_name", "datatype": "BYTES", "shape": [-1]},
        {"name": "until", "datatype": "BYTES", "shape": [-1]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_outputs_are_those_asked_for_and_all_of_them_where_none_is(count: int) -> None:
    values = several.outputs(count)
    ids = [f"id-{index}" for index in range(count)]
    batch = PredictionBatch(RENTS.declaration, ids, None, values, "rents:1")
    everything = {tensor.name: tensor for tensor in SCHEMA.output_tensors(batch, [])}

    assert list(everything) == [item["name"] for item in SCHEMA.output_metadata]
    assert everything["rent_probability"].shape == (count, len(CLASSES))
    assert everything["rent_probability"].values == values["probability"].ravel().tolist()
    assert list(everything["let"].values) == values["let"].astype(bool).tolist()
    assert [tensor.name for tensor in SCHEMA.output_tensors(batch, ["let", "rent"])] == ["let", "rent"]
    for tensor in everything.values():
        read = decode(tensor.name, tensor.datatype, tensor.shape, encode(tensor))
        assert list(read.values) == list(tensor.values)


def test_an_unknown_output_is_refused_by_name() -> None:
    names = ", ".join(item["name"] for item in SCHEMA.output_metadata)
    with pytest.raises(RequestError, match=rf"^Output 'price' is unknown; the outputs are {names}\.$"):
        SCHEMA.check_outputs(["rent", "price"])
    SCHEMA.check_outputs(["rent", "prediction_id"])
