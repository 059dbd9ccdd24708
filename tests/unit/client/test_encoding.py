"""Requests of every protocol are read as the same rows, and responses as the predictions that were made."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import orjson
import pytest

from tabular_bento.client import Interface, Rows, rows_of_columns
from tabular_bento.client.encoding import HEADER_LENGTH, with_identifiers
from tabular_bento.errors import ClientError, ResponseError
from tabular_bento.features.columns import columns_of
from tabular_bento.protocol import PredictionBatch, RequestSchema, Tensor, TensorSchema
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.messages import InferenceMessages, described_tensors
from tabular_bento.protocol.tensors import encode
from tests import monitored
from tests.strategies import bits
from tests.unit.several import EXAMPLE, RENTS, SPARSE, outputs

DECLARATION = RENTS.declaration
INTERFACE = Interface.of(DECLARATION)
SCHEMA = RequestSchema(DECLARATION)
TENSORS = TensorSchema(DECLARATION, 1_000)
OBJECTS = [EXAMPLE, SPARSE, {**EXAMPLE, "floor_or_not": None, "area_or_not": None}]
COLUMNS = columns_of([SCHEMA.row_of(row) for row in OBJECTS], RENTS.fields)


def read_rest(body: bytes, headers: dict[str, str]) -> Any:
    """The rows of a request over REST."""
    start = int(headers.get(HEADER_LENGTH, len(body)))
    tensors = []
    for item in orjson.loads(body[:start])["inputs"]:
        shape = tuple(item["shape"])
        if "data" in item:
            texts = item["datatype"] == "BYTES"
            values: Any = [("" if texts else np.nan) if value is None else value for value in item["data"]]
        else:
            end = start + item["parameters"]["binary_data_size"]
            values, start = body[start:end], end
        tensors.append(Tensor(item["name"], item["datatype"], shape, values))
    return TENSORS.rows_of_tensors(tensors)


@pytest.mark.parametrize(
    "rows", [OBJECTS, OBJECTS[:1], OBJECTS[1:2], COLUMNS], ids=["objects", "one", "sparse", "columns"]
)
def test_requests_are_read_as_the_rows_that_were_sent(rows: Rows) -> None:
    objects = rows_of_columns(rows, RENTS.fields) if isinstance(rows, dict) else rows
    expected = [SCHEMA.row_of(row) for row in objects]
    assert bits(SCHEMA.parse_rows(INTERFACE.json_request(rows)[0])) == bits(expected)
    for binary in (False, True):
        path, body, headers = INTERFACE.rest_request(rows, "a", binary)
        assert path == "/v2/models/rents/infer"
        assert bits(list(read_rest(body, headers))) == bits(expected)
    request = InferenceMessages(TENSORS).read(INTERFACE.grpc_request(rows, "a"))
    assert bits(list(request.rows)) == bits(expected)
    assert request.request_id == "a"


def predictions(count: int) -> PredictionBatch:
    return PredictionBatch(DECLARATION, [f"p{place}" for place in range(count)], None, outputs(count), "rents:1")


def rest_response(batch: PredictionBatch, binary: bool, request_id: str = "a") -> tuple[bytes, str | None]:
    described, contents = [], []
    for tensor in TENSORS.output_tensors(batch, ()):
        item: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            contents.append(encode(tensor))
            item["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            item["data"] = list(tensor.values)
        described.append(item)
    document = {"model_name": "rents", "model_version": "1", "id": request_id, "outputs": described}
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return head + b"".join(contents), str(len(head)) if binary else None


def test_responses_are_the_predictions_that_were_made() -> None:
    batch = predictions(3)
    expected = list(batch)
    assert list(INTERFACE.json_predictions(batch.json(), OBJECTS)) == expected
    for binary in (False, True):
        body, length = rest_response(batch, binary)
        assert list(INTERFACE.rest_predictions(body, length, OBJECTS, "a")) == expected
    service = InferenceMessages(TENSORS)
    request = service.read(INTERFACE.grpc_request(OBJECTS, "a"))
    response = service.write("rents:1", request, batch)
    assert list(INTERFACE.grpc_predictions(response, OBJECTS, "a")) == expected


@pytest.mark.parametrize(
    ("count", "request_id", "said"),
    [(2, "a", "2 predictions for 3 rows"), (3, "b", "is to request 'b', not to 'a'")],
)
def test_a_response_to_another_request_is_refused(count: int, request_id: str, said: str) -> None:
    for binary in (False, True):
        body, length = rest_response(predictions(count), binary, request_id)
        with pytest.raises(ResponseError, match=said):
            INTERFACE.rest_predictions(body, length, OBJECTS, "a")


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"[{}, {}, {}]", b'{"outputs": [{"name": "rent"}]}', b"null"])
def test_what_is_no_response_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseError):
        INTERFACE.json_predictions(body, OBJECTS)
    with pytest.raises(ResponseError):
        INTERFACE.rest_predictions(body, None, OBJECTS, "a")
    with pytest.raises(ResponseError):
        INTERFACE.rest_predictions(body, "7", OBJECTS, "a")


@pytest.mark.parametrize("name", ["rent", "city_name", "probability", "prediction_id"])
def test_a_prediction_without_an_output_is_refused(name: str) -> None:
    items = list(predictions(3))
    for value in (None, {}, float("inf")):
        body = orjson.dumps([{**items[0], name: value}, *items[1:]])
        with pytest.raises(ResponseError, match=rf"Prediction 0 lacks {name}|cannot be read"):
            INTERFACE.json_predictions(body, OBJECTS)


def test_a_field_that_the_server_does_not_have_is_named() -> None:
    with pytest.raises(ClientError, match="no field 'colour'"):
        INTERFACE.tensors([{**EXAMPLE, "colour": "red"}])
    with pytest.raises(ClientError, match="no field 'colour'"):
        INTERFACE.json_request({**COLUMNS, "colour": ["red"] * 3})


def test_nan_is_missing_and_infinity_is_sent_to_be_refused() -> None:
    body, _ = INTERFACE.json_request([{**EXAMPLE, "area_or_not": float("nan"), "area": float("inf")}])
    assert b'"area_or_not"' not in body
    assert b"Infinity" in body


def test_values_of_numpy_and_of_datetime_are_written() -> None:
    row = {**EXAMPLE, "area": np.float64(71.5), "floor": np.int64(3), "balcony": np.bool_(True)}
    assert SCHEMA.parse_rows(INTERFACE.json_request([row])[0]) == [SCHEMA.row_of(EXAMPLE)]


def test_an_interface_by_the_metadata_of_the_protocol() -> None:
    metadata = messages.ModelMetadataResponse(
        name="rents",
        inputs=described_tensors(TENSORS.input_metadata),
        outputs=described_tensors(TENSORS.output_metadata),
    )
    interface = Interface.of_metadata(metadata)
    assert [field.name for field in interface.fields] == list(RENTS.field_names)
    request = InferenceMessages(TENSORS).read(interface.grpc_request(OBJECTS, "a"))
    assert bits(list(request.rows)) == bits([SCHEMA.row_of(row) for row in OBJECTS])
    response = InferenceMessages(TENSORS).write("rents:1", request, predictions(3))
    found = interface.grpc_predictions(response, OBJECTS, "a")
    assert found.column("rent") == predictions(3).column("rent")
    assert found.column("probability") == predictions(3).column("probability")
    assert found[0]["probability"] == predictions(3)[0]["probability"]


def test_ids_are_made_where_there_are_none_and_the_field_takes_them() -> None:
    interface = Interface.of(monitored.DATED.declaration)
    columns, _ = monitored.patients(3)
    assert list(with_identifiers(columns, interface, "x")["code"]) == [0, 1, 2]
    del columns["code"]
    assert list(with_identifiers(columns, interface, "x")["code"]) == [0, 1, 2]
    assert with_identifiers(COLUMNS, INTERFACE, "x") is COLUMNS, "without an identifier columns stay as they are"


BARE = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"bentoml", "pyarrow", "pandas", "xgboost", "sklearn", "starlette", "duckdb", "scipy"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
from tabular_bento.client import AsyncClient, Client
with Client("http://127.0.0.1:9", retries=0) as client:
    print(client.ready())
"""


def test_the_client_needs_neither_bentoml_nor_pyarrow() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
