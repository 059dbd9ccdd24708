from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from data.schema import Field, Kind
from features.definition import EXAMPLE, FIELD_NAMES, FIELDS
from features.values import Row
from scoring.doors.layout import rows_of_tensors
from scoring.doors.tensors import (
    NUMPY_TYPES,
    Tensor,
    check_model,
    check_outputs,
    decode,
    encode,
    input_metadata,
    output_metadata,
    output_tensors,
)
from scoring.errors import RequestError, TooLargeError, UnknownModelError
from scoring.schema import explain
from scoring.settings import settings as serving
from tests.doors.clients import binary, inputs_of
from tests.rows import from_json, rows, to_json

TEXT_OR_TIME = [field for field in FIELDS if field.kind in (Kind.TEXT, Kind.LOCAL_TIME)]
NUMBERS = [field for field in FIELDS if field.kind is Kind.NUMBER]
OPTIONAL = [field for field in FIELDS if field.optional]
REQUIRED = [field for field in FIELDS if not field.optional]
SECOND = {**EXAMPLE, "id": "my-flight-2", "dest": "PHX", "dep_delay": -3.5}

same_length_texts = st.integers(0, 5).flatmap(
    lambda size: st.lists(st.text("aZ\0é☃", min_size=size, max_size=size), max_size=20)
)


def name_of(field: Field) -> str:
    return field.name


def tensors_of(*requests: dict[str, Any]) -> dict[str, Tensor]:
    return {
        name: decode(name, datatype, (len(values),), binary(datatype, values))
        for name, datatype, values in inputs_of(requests)
    }


def rows_of(**changes: Tensor | None) -> list[Row]:
    """The rows of two good requests, with some of their tensors changed, or left out where None."""
    tensors = {**tensors_of(EXAMPLE, SECOND), **changes}
    return rows_of_tensors([tensor for tensor in tensors.values() if tensor is not None])


def bits(values: Row) -> list[Any]:
    """A row in which NaN equals NaN, and -0.0 is not 0.0, and 1 is not 1.0."""
    return [struct.pack("<d", value) if isinstance(value, float) else (type(value), value) for value in values]


COPIES = (1, 200)
"""Small tensors and large ones are decoded in different ways."""


@pytest.mark.parametrize("copies", COPIES)
@settings(deadline=None)
@given(texts=st.lists(st.text(), max_size=20) | same_length_texts)
@example(texts=["ab\0", "cd\0"])
@example(texts=["\0", "\0"])
@example(texts=["", ""])
@example(texts=["a\0\0\0", ""])
@example(texts=[])
def test_texts_come_back_from_their_binary_form(texts: list[str], copies: int) -> None:
    texts = texts * copies
    content = encode(Tensor("carrier", "BYTES", (len(texts),), texts))

    assert content == binary("BYTES", texts)
    assert list(decode("carrier", "BYTES", (len(texts),), content).values) == texts


@pytest.mark.parametrize("copies", COPIES)
@settings(deadline=None)
@given(elements=st.lists(st.binary(max_size=6), max_size=20))
def test_bytes_come_back_as_text_or_are_refused(elements: list[bytes], copies: int) -> None:
    elements = elements * copies
    content = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    try:
        texts = [element.decode() for element in elements]
    except UnicodeDecodeError:
        with pytest.raises(RequestError, match=r"^Input 'carrier' holds text that is not UTF-8"):
            decode("carrier", "BYTES", (len(elements),), content)
    else:
        assert list(decode("carrier", "BYTES", (len(elements),), content).values) == texts


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("datatype", NUMPY_TYPES)
@settings(deadline=None)
@given(data=st.data())
def test_numbers_come_back_from_their_binary_form_to_the_bit(datatype: str, copies: int, data: st.DataObject) -> None:
    dtype = NUMPY_TYPES[datatype]
    element = st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize)
    content = b"".join(data.draw(st.lists(element, max_size=20))) * copies
    values = np.frombuffer(content, dtype)
    content = np.where(np.isnan(values), 0, values).astype(dtype).tobytes()
    tensor = decode("temp", datatype, values.shape, content)

    assert encode(tensor) == content


@settings(deadline=None, max_examples=300)
@given(
    datatype=st.sampled_from([*NUMPY_TYPES, "BYTES", "BOOL", ""]),
    content=st.binary(max_size=40),
    size=st.integers(-1, 12),
)
def test_any_bytes_are_decoded_or_refused_by_the_name_of_the_input(datatype: str, content: bytes, size: int) -> None:
    said = None
    try:
        decode("temp", datatype, (size,), content)
    except RequestError as error:
        said = str(error)

    assert said is None or said.startswith("Input 'temp' ")


def test_the_metadata_have_an_input_for_each_field_and_the_declared_outputs() -> None:
    datatypes = {Kind.TEXT: "BYTES", Kind.LOCAL_TIME: "BYTES", Kind.NUMBER: "FP64", Kind.INTEGER: "INT64"}

    assert input_metadata() == [
        {"name": field.name, "datatype": datatypes[field.kind], "shape": [-1]} for field in FIELDS
    ]
    assert output_metadata() == [
        {"name": "arrival_delay", "datatype": "FP64", "shape": [-1]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
    ]


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


@pytest.mark.parametrize("cut", range(1, 6))
def test_texts_cut_short_are_refused_by_name(cut: int) -> None:
    content = binary("BYTES", ["UA", "B6"])

    with pytest.raises(RequestError, match=r"^Input 'carrier' ends in the middle of a"):
        decode("carrier", "BYTES", (2,), content[:-cut])


def test_a_length_far_beyond_the_end_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"^Input 'carrier' ends in the middle of an element"):
        decode("carrier", "BYTES", (1,), struct.pack("<I", 2**32 - 1) + b"UA")


def test_more_texts_than_the_shape_says_are_not_even_read() -> None:
    with pytest.raises(RequestError, match=r"^Input 'carrier' has more elements than the 1 that its shape says"):
        decode("carrier", "BYTES", (1,), b"\0\0\0\0" * 1_000_000)


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_numbers_cut_short_are_refused_by_name(datatype: str) -> None:
    with pytest.raises(RequestError, match=f"^Input 'temp' has 9 bytes, which is no whole number of {datatype}"):
        decode("temp", datatype, (2,), bytes(9))


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("field", TEXT_OR_TIME, ids=name_of)
def test_text_that_is_not_utf_8_is_refused_by_name(field: Field, copies: int) -> None:
    content = (struct.pack("<I", 2) + b"UA" + struct.pack("<I", 2) + b"\xff\xfe") * copies

    with pytest.raises(RequestError, match=f"^Input '{field.name}' holds text that is not UTF-8"):
        decode(field.name, "BYTES", (2 * copies,), content)


def test_more_rows_than_the_limit_are_refused_before_they_are_read() -> None:
    too_many = serving.max_rows + 1

    with pytest.raises(TooLargeError, match=f"^{too_many} rows in one request, of at most {serving.max_rows}"):
        decode("carrier", "BYTES", (too_many,), b"")


def test_names_and_values_of_any_length_make_short_sentences() -> None:
    for tensor in (
        Tensor("x" * 100_000, "FP64", (2,), [1.0, 2.0]),
        Tensor("temp", "F" * 100_000, (2,), [1.0, 2.0]),
        Tensor("temp", "FP64", (2,) * 100_000, [1.0, 2.0]),
    ):
        with pytest.raises(RequestError) as error:
            rows_of(**{"temp": None, tensor.name: tensor})
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("requested", [["speed"], ["arrival_delay", "speed"], [""]])
def test_an_unknown_output_is_refused_by_name(requested: list[str]) -> None:
    with pytest.raises(RequestError, match=f"^Output '{requested[-1]}' is unknown; the outputs are arrival_delay, "):
        check_outputs(requested)


def test_outputs_come_as_they_are_asked_for_and_all_of_them_unasked() -> None:
    answers = [{"arrival_delay": 1.5, "prediction_id": "a", "id": None}]
    check_outputs(["prediction_id", "arrival_delay"])

    assert [tensor.name for tensor in output_tensors(answers, [])] == ["arrival_delay", "prediction_id"]
    assert output_tensors(answers, ["prediction_id"]) == [Tensor("prediction_id", "BYTES", (1,), ["a"])]


@pytest.mark.parametrize(("name", "version"), [("ships", ""), ("flights", "2"), ("ships", "1"), ("", "1")])
def test_another_model_or_version_is_not_found_and_the_one_served_is_named(name: str, version: str) -> None:
    with pytest.raises(UnknownModelError, match=f"^The model {name}.* is not served here; flights, 1, is"):
        check_model(name, version, "flights:1")


@pytest.mark.parametrize("version", ["", "1"])
def test_the_model_that_is_served_is_found_with_and_without_its_version(version: str) -> None:
    check_model("flights", version, "flights:1")


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


TIMES = (
    "2013-09-02", "2013-09-02T05:15Z", "2013-09-02T05:15:00.75", "2013-09-02 05:15", "1378098900", "2013-09-02T25:00",
    "2013-09-02T05:15:00+00:00", "0001-01-01T00:00", "9999-12-31T23:59:59", "2013-02-29T00:00", "", " ", "x", "null",
)  # fmt: skip


def wild(field: Field) -> SearchStrategy[Any]:
    """What a client may write into `field`, right or wrong, in a type that a tensor can hold."""
    match field.kind:
        case Kind.TEXT:
            return st.text(min_size=1 if field.optional else 0, max_size=12)
        case Kind.LOCAL_TIME:
            return st.sampled_from(TIMES) | st.text(max_size=5) | st.datetimes().map(lambda time: time.isoformat())
        case Kind.INTEGER:
            return st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, 99_999, 100_000])
        case _:
            edges = [field.minimum, field.maximum, -0.0, math.inf, -math.inf, 5e-324, 1.7e308]
            return st.sampled_from(edges) | st.floats(allow_nan=False)


def spoiled(row: Row) -> SearchStrategy[dict[str, Any]]:
    """A good row as a client writes it, with up to two of its fields changed to whatever, or left out."""
    good = to_json(row)
    names = st.lists(st.sampled_from(FIELDS), max_size=2, unique=True)
    changes = names.flatmap(lambda fields: st.fixed_dictionaries({f.name: wild(f) | st.none() for f in fields}))
    return changes.map(lambda chosen: {**good, **chosen})


def at_fault(error: ValidationError) -> set[str]:
    """The fields that a refusal names."""
    return {detail.loc.split(".")[2] for detail in explain(error).detail}


def taken_as_json(requests: list[dict[str, Any]]) -> list[Row] | set[str]:
    """The rows of a JSON request, or the fields for which it is refused."""
    try:
        return from_json(*requests)
    except ValidationError as error:
        return at_fault(error)


def taken_as_tensors(requests: list[dict[str, Any]]) -> list[Row] | set[str]:
    """The rows of the same request in tensors, or the fields for which it is refused."""
    try:
        return rows_of_tensors(list(tensors_of(*requests).values()))
    except ValidationError as error:
        return at_fault(error)
    except RequestError as error:
        return {name for name in FIELD_NAMES if f"'{name}'" in str(error)}


@settings(deadline=None, max_examples=500)
@given(requests=st.lists(rows.flatmap(spoiled), min_size=1, max_size=3), copies=st.sampled_from([1, 1, 70]))
def test_tensors_are_taken_and_refused_as_json_is_and_give_the_same_rows(
    requests: list[dict[str, Any]], copies: int
) -> None:
    requests = [{name: value for name, value in row.items() if value is not None} for row in requests] * copies
    expected, actual = taken_as_json(requests), taken_as_tensors(requests)

    if isinstance(expected, set) or isinstance(actual, set):
        assert isinstance(expected, set), (actual, expected)
        assert isinstance(actual, set), (actual, expected)
        assert actual & expected
    else:
        assert list(map(bits, actual)) == list(map(bits, expected))
