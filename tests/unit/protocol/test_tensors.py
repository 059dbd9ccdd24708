from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tabular_bento.errors import RequestError, UnknownModelError
from tabular_bento.protocol import PredictionBatch
from tabular_bento.protocol.tensors import NUMPY_TYPES, Tensor, check_model, decode, encode, scored_by
from tests.flights.rows import SCHEMA
from tests.tensors import binary

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
    content = encode(Tensor("city", "BYTES", (len(texts),), texts))

    assert content == binary("BYTES", texts)
    assert list(decode("city", "BYTES", (len(texts),), content).values) == texts


@pytest.mark.parametrize("copies", COPIES)
@settings(deadline=None)
@given(elements=st.lists(st.binary(max_size=6) | st.text("a\0\1\2\4", max_size=6).map(str.encode), max_size=20))
def test_bytes_come_back_as_text_or_are_refused(elements: list[bytes], copies: int) -> None:
    elements = elements * copies
    content = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    try:
        texts = [element.decode() for element in elements]
    except UnicodeDecodeError:
        with pytest.raises(RequestError, match=r"^Input 'city' holds text that is not UTF-8"):
            decode("city", "BYTES", (len(elements),), content)
    else:
        assert list(decode("city", "BYTES", (len(elements),), content).values) == texts


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
    tensor = decode("area", datatype, values.shape, content)

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
            values = list(decode("city", "BYTES", (said,), content).values)
        except RequestError:
            assert not (whole and said == len(texts))
        else:
            assert values == texts


@settings(deadline=None, max_examples=300)
@given(
    datatype=st.sampled_from([*NUMPY_TYPES, "BYTES", "UINT8", ""]),
    content=st.binary(max_size=40),
    size=st.integers(-1, 12),
)
def test_any_bytes_are_decoded_or_refused_by_the_name_of_the_input(datatype: str, content: bytes, size: int) -> None:
    said = None
    try:
        decode("area", datatype, (size,), content)
    except RequestError as error:
        said = str(error)

    assert said is None or said.startswith("Input 'area' ")


@pytest.mark.parametrize("cut", range(1, 8))
def test_texts_cut_short_are_refused_by_name(cut: int) -> None:
    content = binary("BYTES", ["Ulm", "Bonn"])

    with pytest.raises(RequestError, match=r"^Input 'city' ends in the middle of a"):
        decode("city", "BYTES", (2,), content[:-cut])


def test_a_length_far_beyond_the_end_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"^Input 'city' ends in the middle of an element"):
        decode("city", "BYTES", (1,), struct.pack("<I", 2**32 - 1) + b"UA")


def test_more_texts_than_the_shape_says_are_not_even_read() -> None:
    with pytest.raises(RequestError, match=r"^Input 'city' has more elements than the 1 that its shape says"):
        decode("city", "BYTES", (1,), b"\0\0\0\0" * 1_000_000)


@pytest.mark.parametrize("datatype", [name for name in NUMPY_TYPES if name != "BOOL"])
def test_numbers_cut_short_are_refused_by_name(datatype: str) -> None:
    with pytest.raises(RequestError, match=f"^Input 'area' has 9 bytes, which is no whole number of {datatype}"):
        decode("area", datatype, (2,), bytes(9))


@pytest.mark.parametrize("copies", COPIES)
def test_text_that_is_not_utf_8_is_refused_by_name(copies: int) -> None:
    content = (struct.pack("<I", 2) + b"UA" + struct.pack("<I", 2) + b"\xff\xfe") * copies

    with pytest.raises(RequestError, match=r"^Input 'city' holds text that is not UTF-8"):
        decode("city", "BYTES", (2 * copies,), content)


@pytest.mark.parametrize(("name", "version"), [("ships", ""), ("rents", "2"), ("ships", "1"), ("", "1")])
def test_another_model_or_version_is_not_found_and_the_one_served_is_named(name: str, version: str) -> None:
    with pytest.raises(UnknownModelError, match=f"^The model {name}.* is not served here; rents, 1, is"):
        check_model(name, version, "rents:1")


@pytest.mark.parametrize("version", ["", "1"])
def test_the_model_that_is_served_is_found_with_and_without_its_version(version: str) -> None:
    check_model("rents", version, "rents:1")


def test_the_model_of_the_predictions_is_the_one_that_made_them() -> None:
    batch = PredictionBatch(SCHEMA.declaration, ["a"], [None], {"arrival_delay": [1.5]}, "flights:2")
    assert scored_by(batch, "", "flights:1") == "flights:2"
    assert scored_by(PredictionBatch.empty(SCHEMA.declaration), "1", "flights:1") == "flights:1"
    with pytest.raises(UnknownModelError, match="not served here; flights, 2, is"):
        scored_by(batch, "1", "flights:1")
