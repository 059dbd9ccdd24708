"""Messages of ModelInfer, for a problem of every kind and several outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tabular_bento.errors import RequestError
from tabular_bento.features.columns import columns_of
from tabular_bento.protocol import PredictionBatch, TensorSchema, explain
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.messages import CONTENTS, InferenceMessages
from tabular_bento.protocol.tensors import decode
from tests.strategies import parsed
from tests.tensors import binary, inputs_of
from tests.unit import several
from tests.unit.several import EXAMPLE, FIELDS, RENTS, SPARSE

SCHEMA = TensorSchema(RENTS.declaration, 10_000)
INFERENCE = InferenceMessages(SCHEMA)


def request_of(rows: list[dict[str, Any]], raw: bool, **more: Any) -> Any:
    request = messages.ModelInferRequest(model_name="rents", **more)
    for name, datatype, values in inputs_of(FIELDS, rows):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        if raw:
            request.raw_input_contents.append(binary(datatype, values))
            continue
        gap = "" if datatype == "BYTES" else float("nan")
        values = [gap if value is None else value for value in values]
        if datatype == "BYTES":
            values = [value.encode() for value in values]
        getattr(tensor.contents, CONTENTS[datatype]).extend(values)
    return request


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_rows_are_read_from_typed_and_raw_contents(raw: bool, count: int) -> None:
    rows = [EXAMPLE if index % 2 == 0 else SPARSE for index in range(count)]
    asked = INFERENCE.read(request_of(rows, raw, id="abc"))
    assert (asked.request_id, asked.outputs, asked.raw) == ("abc", (), raw)
    read, expected = columns_of(list(asked.rows), FIELDS), columns_of(parsed(SCHEMA.requests, *rows), FIELDS)
    for name, column in read.items():
        np.testing.assert_array_equal(column, expected[name])


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("outputs", [(), ("let", "rent_probability", "prediction_id")])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_of_every_kind_are_written(raw: bool, outputs: tuple[str, ...], count: int) -> None:
    request = request_of([EXAMPLE] * count, raw, id="abc", outputs=[{"name": name} for name in outputs])
    values = several.outputs(count)
    batch = PredictionBatch(RENTS.declaration, [f"id-{row}" for row in range(count)], None, values, "rents:1")
    response = INFERENCE.write("rents:1", INFERENCE.read(request), batch)

    expected = {tensor.name: tensor for tensor in SCHEMA.output_tensors(batch, outputs)}
    assert (response.model_name, response.model_version, response.id) == ("rents", "1", "abc")
    assert [output.name for output in response.outputs] == list(expected)
    for index, output in enumerate(response.outputs):
        tensor = expected[output.name]
        assert (output.datatype, tuple(output.shape)) == (tensor.datatype, tensor.shape)
        if raw:
            read = list(decode(output.name, output.datatype, tensor.shape, response.raw_output_contents[index]).values)
        else:
            read = list(getattr(output.contents, CONTENTS[output.datatype]))
            read = [value.decode() for value in read] if output.datatype == "BYTES" else read
        assert read == list(tensor.values)


def test_what_is_wrong_with_a_request_is_named() -> None:
    request = request_of([EXAMPLE], raw=True, outputs=[{"name": "price"}])
    with pytest.raises(RequestError, match=r"^Output 'price' is unknown"):
        INFERENCE.read(request)
    request = request_of([EXAMPLE], raw=True)
    request.raw_input_contents.append(b"")
    with pytest.raises(RequestError, match=r"^17 raw_input_contents came with 16 inputs\.$"):
        INFERENCE.read(request)
    request = request_of([EXAMPLE], raw=False)
    request.inputs[2].datatype = "UINT8"
    with pytest.raises(
        RequestError, match=r"'area' has datatype 'UINT8'; FP64, FP32, INT64, INT32, BOOL, BYTES are read\.$"
    ):
        INFERENCE.read(request)
    request = request_of([EXAMPLE], raw=True)
    request.inputs[0].contents.bytes_contents.append(b"Ulm")
    with pytest.raises(RequestError, match=r"^Input 'city' has contents beside raw_input_contents\.$"):
        INFERENCE.read(request)
    request = request_of([EXAMPLE], raw=False)
    request.inputs[0].contents.bytes_contents[0] = b"\xff"
    with pytest.raises(RequestError, match=r"^Input 'city' holds text that is not UTF-8"):
        INFERENCE.read(request)
    with pytest.raises(ValidationError) as error:
        INFERENCE.read(request_of([{**EXAMPLE, "area": -1.0}], raw=True))
    assert explain(error.value).error.startswith("rows.0.area: ")


def test_heads_are_remembered_by_each_problem_alone() -> None:
    first, second = InferenceMessages(SCHEMA), InferenceMessages(SCHEMA)
    for _ in range(2):
        first.read(request_of([EXAMPLE], raw=True))
    assert first._remembered_head.cache_info()[:2] == (1, 1)
    assert second._remembered_head.cache_info()[:2] == (0, 0)
