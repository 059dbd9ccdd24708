from __future__ import annotations

import json
import math
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, SECOND, expected
from tests.integration.serving.clients import (
    INFER,
    LIMITS,
    binary_body,
    body_with_input,
    call,
    infer,
    json_body,
    values_of,
)
from tests.serving import ServedPort


def refused(server: ServedPort, body: dict[str, Any], status: int = 400) -> str:
    """The message with which a request is refused."""
    actual, response = infer(server, body)
    assert actual == status, response
    assert response.keys() == {"error", "detail"}
    message: str = response["error"]
    return message


def version_of(package: ModelPackage) -> str:
    return package.tag.split(":")[1]


def test_the_server_says_what_it_is_and_that_it_is_live_and_ready(server: ServedPort, package: ModelPackage) -> None:
    name, version = package.tag.split(":")

    assert server.get("/v2") == (200, {"name": name, "version": version, "extensions": ["binary_tensor_data"]})
    assert server.get("/v2/health/live") == (200, {"live": True})
    assert server.get("/v2/health/ready") == (200, {"ready": True})


@pytest.mark.parametrize("versioned", [False, True])
def test_the_model_is_found_with_and_without_its_version(
    server: ServedPort, package: ModelPackage, versioned: bool
) -> None:
    path = "/v2/models/flights" + (f"/versions/{version_of(package)}" if versioned else "")

    status, response = infer(server, json_body([EXAMPLE]), path + "/infer")
    assert status == 200
    assert (response["model_name"], response["model_version"]) == ("flights", version_of(package))
    assert values_of(response)["arrival_delay"] == expected(package, EXAMPLE)
    assert server.get(path + "/ready") == (200, {"name": "flights", "ready": True})


@pytest.mark.parametrize("versioned", [False, True])
def test_the_metadata_derive_from_the_declaration(server: ServedPort, package: ModelPackage, versioned: bool) -> None:
    datatypes = {Kind.TEXT: "BYTES", Kind.LOCAL_TIME: "BYTES", Kind.NUMBER: "FP64", Kind.INTEGER: "INT64"}
    path = "/v2/models/flights" + (f"/versions/{version_of(package)}" if versioned else "")
    inputs = [{"name": field.name, "datatype": datatypes[field.kind], "shape": [-1]} for field in PROBLEM.fields]

    assert server.get(path) == (
        200,
        {
            "name": "flights",
            "versions": [version_of(package)],
            "platform": package.runner.kind,
            "inputs": inputs,
            "outputs": [
                {"name": "arrival_delay", "datatype": "FP64", "shape": [-1]},
                {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
            ],
        },
    )


@pytest.mark.parametrize("path", ["/v2/models/ships", "/v2/models/flights/versions/2"])
@pytest.mark.parametrize("what", ["", "/ready", "/infer"])
def test_another_model_or_version_is_404_and_named(server: ServedPort, path: str, what: str) -> None:
    status, response = server.post(path + what, b"{}") if what == "/infer" else server.get(path + what)

    assert status == 404
    assert response["error"].startswith(
        "The model flights, version 2 is" if "versions" in path else "The model ships is"
    )


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/models/flights/config", "/v2/models/flights/stats"])
def test_what_is_not_served_of_the_protocol_is_404_and_says_so(server: ServedPort, path: str) -> None:
    message = {"error": f"{path} is not served here.", "detail": []}

    assert server.get(path) == (404, message)
    assert server.post(path, b"{}") == (404, message)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/flights"])
def test_a_wrong_method_is_405_with_a_message(server: ServedPort, path: str) -> None:
    assert server.post(path, b"{}") == (405, {"error": "Method Not Allowed.", "detail": []})
    assert server.get(INFER) == (405, {"error": "Method Not Allowed.", "detail": []})


@pytest.mark.parametrize("identity", ["abc", "", "é☃\0", "x" * 10_000])
def test_the_id_of_the_request_is_echoed(server: ServedPort, identity: str) -> None:
    status, response = infer(server, json_body([EXAMPLE], id=identity))

    assert (status, response["id"]) == (200, identity)


def test_a_request_without_an_id_has_a_result_without_one(server: ServedPort) -> None:
    assert "id" not in infer(server, json_body([EXAMPLE]))[1]


@pytest.mark.parametrize("identity", [1, 10**30, None, ["a"], {"a": 1}])
def test_an_id_that_is_no_string_is_refused(server: ServedPort, identity: Any) -> None:
    assert refused(server, json_body([EXAMPLE], id=identity)) == "`id` of the request must be a string."


def test_json_tensors_of_n_and_of_n_by_1_give_the_same(server: ServedPort, package: ModelPackage) -> None:
    column = json_body([EXAMPLE, SECOND])
    for item in column["inputs"]:
        item["shape"] = [2, 1]
    nested = json.loads(json.dumps(column))
    for item in nested["inputs"]:
        item["data"] = [[value] for value in item["data"]]

    for body in (json_body([EXAMPLE, SECOND]), column, nested):
        status, response = infer(server, body)
        assert status == 200, response
        assert values_of(response)["arrival_delay"] == expected(package, EXAMPLE, SECOND)


@pytest.mark.parametrize(
    ("name", "datatype", "missing"),
    [
        ("temp", "FP64", math.nan), ("temp", "FP64", None), ("temp", "FP32", math.nan), ("temp", "INT64", None),
        ("flight", "INT64", None), ("flight", "FP64", math.nan), ("tailnum", "BYTES", None), ("tailnum", "BYTES", ""),
    ],
)  # fmt: skip
def test_nan_null_and_an_empty_text_mean_missing(
    server: ServedPort, package: ModelPackage, name: str, datatype: str, missing: Any
) -> None:
    value = 71 if name == "temp" else EXAMPLE[name]
    status, response = infer(server, body_with_input(name, datatype=datatype, data=[missing, value]))

    assert status == 200, response
    rows = [{**EXAMPLE, name: None}, {**SECOND, name: float(value) if name == "temp" else value}]
    assert values_of(response)["arrival_delay"] == expected(package, *rows)


def test_a_request_without_rows_has_a_result_without_rows(server: ServedPort) -> None:
    body = json_body([EXAMPLE])
    for item in body["inputs"]:
        item.update(shape=[0], data=[])
    status, response = infer(server, body)

    assert status == 200
    assert values_of(response) == {"arrival_delay": [], "prediction_id": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "speed"}, "Input 'speed' is unknown; the inputs are carrier, "),
        ({"name": "dest"}, "Input 'dest' is given twice."),
        ({"name": 7}, "`name` of 'input' must be a string."),
        ({"datatype": "BYTES"}, "Input 'temp' has 71.6 at row 0, which is no 'BYTES'."),
        ({"datatype": "BOOL"}, "Input 'temp' has datatype 'BOOL'; it must be FP64 or "),
        ({"datatype": None}, "`datatype` of 'temp' must be a string."),
        ({"datatype": "INT64"}, "Input 'temp' has 71.6 at row 0, which is no 'INT64'."),
        ({"data": [71.6, True]}, "Input 'temp' has True at row 1, which is no 'FP64'."),
        ({"data": [71.6, "71"]}, "Input 'temp' has '71' at row 1, which is no 'FP64'."),
        ({"data": ["x" * 10**6, 1]}, "Input 'temp' has 'xxxxx"),
        ({"data": [10**400, 1]}, "Input 'temp' has an integer of 1329 bits at row 0, which is no 'FP64'."),
        ({"datatype": "INT32", "data": [1, 2**31]}, "Input 'temp' has 2147483648 at row 1, which is no 'INT32'."),
        ({"datatype": "INT64", "data": [2**63, 1]}, "Input 'temp' has 9223372036854775808 at row 0, which is no "),
        ({"data": [[71.6], 71.6]}, "Input 'temp' has ragged rows; each must hold one element."),
        ({"data": [[71.6], [71.6, 1.0]]}, "Input 'temp' has ragged rows; each must hold one element."),
        ({"data": [[71.6], []]}, "Input 'temp' has ragged rows; each must hold one element."),
        ({"data": [71.6, [71.6]]}, "Input 'temp' has a list at row 1, which is no 'FP64'."),
        ({"data": [71.6]}, "Input 'temp' has 1 elements where its shape says 2."),
        ({"data": 71.6}, "Input 'temp' has no list `data`."),
        ({"data": None}, "Input 'temp' has no list `data`."),
        ({"shape": [1], "data": [71.6]}, "Input 'temp' has 1 rows where 'carrier' has 2."),
        ({"shape": [2, 2]}, "Input 'temp' has shape [2, 2]; it must be [n] or [n, 1]."),
        ({"shape": [-1]}, "Input 'temp' has shape [-1]; it must be [n] or [n, 1]."),
        ({"shape": []}, "Input 'temp' has shape []; it must be [n] or [n, 1]."),
        ({"shape": [2.0]}, "`shape` of 'temp' must be a list of integers."),
        ({"shape": 2}, "`shape` of 'temp' must be a list of integers."),
        ({"data": [71.6, 1e9]}, "flights.1.temp: Input should be less than or equal to 140"),
        ({"data": [71.6, math.inf]}, "flights.1.temp: Input should be a finite number"),
        ({"datatype": "FP32", "data": [71.6, 1e300]}, "flights.1.temp: Input should be a finite number"),
    ],
)
def test_a_wrong_input_is_400_with_a_message_that_names_it(
    server: ServedPort, changes: dict[str, Any], message: str
) -> None:
    said = refused(server, body_with_input("temp", **changes))

    assert said.startswith(message)
    assert len(said) < 500


def test_a_required_input_that_is_left_out_is_400_and_named(server: ServedPort) -> None:
    body = json_body([EXAMPLE])
    body["inputs"] = [item for item in body["inputs"] if item["name"] != "dep_delay"]

    assert refused(server, body) == "Input 'dep_delay' is missing, and is not optional."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not JSON: "),
        (b"{", "The body is not JSON: "),
        (b"\xff", "The body is not JSON: "),
        (b"[" * 100_000, "The body is not JSON: "),
        (b"[]", "The body must be a JSON object with `inputs`."),
        (b"{}", "Input 'carrier' is missing, and is not optional."),
        (b'{"inputs": 1}', "`inputs` must be a list of objects."),
        (b'{"inputs": [1]}', "`inputs` must be a list of objects."),
        (b'{"inputs": [], "outputs": null}', "`outputs` must be a list of objects."),
        (b'{"inputs": [], "outputs": [{}]}', "`name` of 'output' must be a string."),
        (b'{"inputs": [{"name": "a", "shape": [1], "data": []}]}', "`datatype` of 'a' must be a string."),
    ],
)
def test_a_body_that_is_no_request_is_400_and_says_why(server: ServedPort, body: bytes, message: str) -> None:
    status, response = server.post(INFER, body)

    assert status == 400
    assert response["error"].startswith(message)


def test_an_unknown_output_is_400_and_nothing_is_predicted(server: ServedPort) -> None:
    before = sorted((path, path.stat().st_size) for path in server.traffic.rglob("*.jsonl"))
    message = refused(server, json_body([EXAMPLE], outputs=[{"name": "speed"}]))

    assert message == "Output 'speed' is unknown; the outputs are arrival_delay, prediction_id."
    assert sorted((path, path.stat().st_size) for path in server.traffic.rglob("*.jsonl")) == before


def test_more_rows_than_the_limit_are_413_in_json_and_in_binary(server: ServedPort) -> None:
    too_many = [EXAMPLE] * (LIMITS.max_rows + 1)
    message = f"{len(too_many)} rows in one request, of at most {LIMITS.max_rows}: send it in parts."

    assert refused(server, json_body(too_many), 413) == message
    body, headers = binary_body(too_many)
    status, _, content = call(server, INFER, body, headers)
    assert (status, json.loads(content)["error"]) == (413, message)


def test_a_body_over_the_limit_is_413(server: ServedPort) -> None:
    status, _, content = call(server, INFER, b" " * ((LIMITS.max_body_mb << 20) + 1))

    assert status == 413
    assert json.loads(content)["error"] == f"The body is larger than {LIMITS.max_body_mb} MiB: send it in parts."


def test_a_refused_request_leaves_no_traceback_in_the_log(server: ServedPort) -> None:
    before = server.process.log.stat().st_size
    refused(server, json_body([EXAMPLE], id=1))
    call(server, "/v2/models/ships")
    call(server, "/v2/repository/index", b"{}")

    assert b"Traceback" not in server.process.log.read_bytes()[before:]
