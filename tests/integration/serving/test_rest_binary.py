"""The binary tensor extension over REST, in and out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, SECOND, expected
from tests.integration.serving.clients import (
    HEADER_LENGTH,
    INFER,
    binary_body,
    binary_outputs,
    body_with_input,
    call,
    infer,
    values_of,
)
from tests.serving import ServedPort
from tests.tensors import binary


def test_fp32_in_json_is_the_number_that_binary_fp32_is(server: ServedPort) -> None:
    status, response = infer(server, body_with_input("temp", datatype="FP32", data=[71.6, 71.6]))
    body, headers = mixed("temp", "FP32", [71.6, 71.6])
    binary_status, _, content = call(server, INFER, body, headers)

    assert (status, binary_status) == (200, 200)
    assert values_of(response)["arrival_delay"] == values_of(json.loads(content))["arrival_delay"]


def mixed(name: str, datatype: str, values: list[Any], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request of two rows with one input in binary and the others in JSON."""
    content = binary(datatype, values)
    body = body_with_input(name, datatype=datatype, parameters={"binary_data_size": len(content)})
    for item in body["inputs"]:
        if item["name"] == name:
            del item["data"]
    head = json.dumps({**body, **more}).encode()
    return head + content, {HEADER_LENGTH: str(len(head))}


def test_binary_and_json_inputs_can_be_mixed(server: ServedPort, package: ModelPackage) -> None:
    for name, datatype in (("dest", "BYTES"), ("dep_delay", "FP64"), ("flight", "INT64")):
        body, headers = mixed(name, datatype, [EXAMPLE[name], SECOND[name]])
        status, _, content = call(server, INFER, body, headers)
        assert status == 200, content
        assert values_of(json.loads(content))["arrival_delay"] == expected(package, EXAMPLE, SECOND)


@pytest.mark.parametrize(
    ("more", "in_binary"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"arrival_delay", "prediction_id"}),
        ({"outputs": [{"name": "arrival_delay", "parameters": {"binary_data": True}}]}, {"arrival_delay"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [
                    {"name": "prediction_id"},
                    {"name": "arrival_delay", "parameters": {"binary_data": False}},
                ],
            },
            {"prediction_id"},
        ),
    ],
    ids=["json", "all", "one", "all but one"],
)
def test_outputs_come_in_binary_where_they_are_asked_for_in_binary(
    server: ServedPort, package: ModelPackage, more: dict[str, Any], in_binary: set[str]
) -> None:
    body, sent = binary_body([EXAMPLE, SECOND], id="abc", **more)
    status, headers, content = call(server, INFER, body, sent)
    assert status == 200, content

    head = json.loads(content[: int(headers[HEADER_LENGTH])] if in_binary else content)
    values = binary_outputs(headers, content) if in_binary else values_of(head)
    assert headers["Content-Type"] == ("application/octet-stream" if in_binary else "application/json")
    assert head["id"] == "abc"
    assert {output["name"] for output in head["outputs"] if "data" not in output} == in_binary
    assert list(values) == [item["name"] for item in more.get("outputs", [])] or not more.get("outputs")
    assert values["arrival_delay"] == expected(package, EXAMPLE, SECOND)


@pytest.mark.parametrize("length", ["x", "-1", "", "99999999", "1.0", "²"])
def test_a_wrong_header_length_is_400_and_named(server: ServedPort, length: str) -> None:
    body, _ = binary_body([EXAMPLE])
    status, _, content = call(server, INFER, body, {HEADER_LENGTH: length})

    assert status == 400
    assert json.loads(content)["error"].startswith(f"The header {HEADER_LENGTH} is {length!r} where the body has ")


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_header_length_that_cuts_elsewhere_is_400(server: ServedPort, shift: int) -> None:
    body, headers = binary_body([EXAMPLE])
    status, _, content = call(server, INFER, body, {HEADER_LENGTH: str(int(headers[HEADER_LENGTH]) + shift)})

    assert status == 400
    assert json.loads(content)["error"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda body: body + b"xyz", "3 bytes of binary data belong to no input."),
        (lambda body: body[:-1], "Input 'id' wants 15 bytes of binary data where 14 are left."),
        (
            lambda body: body.replace(b'"binary_data_size": 8}', b'"binary_data_size":-8}', 1),
            "Input 'flight' wants -8 bytes of binary data where ",
        ),
        (
            lambda body: body.replace(b'"binary_data_size": 8}', b'"binary_data_size": true}', 1),
            "The body is not JSON: ",
        ),
        (lambda body: body.replace(b"IAH", b"I\xff\xff"), "Input 'dest' holds text that is not UTF-8"),
        (lambda body: body.replace(b"\2\0\0\0UA", b"\3\0\0\0UA"), "Input 'carrier' ends in the middle of an element"),
    ],
    ids=["left over", "cut", "negative", "no size", "not text", "a wrong length"],
)
def test_wrong_binary_data_are_400_and_the_input_is_named(server: ServedPort, spoil: Any, message: str) -> None:
    body, headers = binary_body([EXAMPLE])
    status, _, content = call(server, INFER, spoil(body), headers)

    assert status == 400
    assert json.loads(content)["error"].startswith(message)
