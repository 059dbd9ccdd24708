from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.definition import FIELDS
from tabular_bento.errors import RequestError, TooLargeError, UnknownModelError
from tabular_bento.protocol.predictions import Answers
from tabular_bento.protocol.tensors import (
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
from tabular_bento.schema import Field, Kind
from tabular_bento.serving.settings import settings as serving
from tests.doors.clients import binary
from tests.rows import TEXT_OR_TIME, name_of

same_length_texts = st.integers(0, 5).flatmap(
    lambda size: st.lists(st.text("aZ\0é☃", min_size=size, max_size=size), max_size=20)
)


COPIES = (1, 200)
"""Small tensors and large ones are decoded in different ways."""


@pytest.mark.parametrize("copies", COPIES)
@settings(deadline=None)
@given(texts=st.lists(st.text(), max_size=20) | st.lists(st.text("a\0\1\2\4", max_size=6)) | same_length_texts)
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
@given(elements=st.lists(st.binary(max_size=6) | st.text("a\0\1\2\4", max_size=6).map(str.encode), max_size=20))
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
    content=st.lists(st.text("a\0\1\2", min_size=1, max_size=5)).map(lambda parts: "".join(parts).encode() * 200),
    count=st.integers(0, 1000),
)
def test_many_bytes_are_the_texts_that_the_lengths_say_or_refused(content: bytes, count: int) -> None:
    texts, start = [], 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "little")
        texts.append(content[start + 4 : end].decode())
        start = end
    whole = start == len(content) and len(content) != 0
    for said in {count, len(texts)}:
        try:
            values = list(decode("carrier", "BYTES", (said,), content).values)
        except RequestError:
            assert not (whole and said == len(texts))
        else:
            assert values == texts


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


@pytest.mark.parametrize("requested", [["speed"], ["arrival_delay", "speed"], [""]])
def test_an_unknown_output_is_refused_by_name(requested: list[str]) -> None:
    with pytest.raises(RequestError, match=f"^Output '{requested[-1]}' is unknown; the outputs are arrival_delay, "):
        check_outputs(requested)


def test_outputs_come_as_they_are_asked_for_and_all_of_them_unasked() -> None:
    answers = Answers(["a"], [None], [1.5], "flights:1")
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
