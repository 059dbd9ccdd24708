"""What is wrong with a request is said in the words of before the split, without a server."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.errors import RequestError
from tabular_bento.protocol import RequestSchema, TensorSchema, explain
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.messages import InferenceMessages

RESPONSES: list[dict[str, Any]] = json.loads(
    gzip.decompress(Path(__file__).with_name("responses.json.gz").read_bytes())
)
REQUESTS = RequestSchema(PROBLEM.declaration)
INFERENCE = InferenceMessages(TensorSchema(PROBLEM.declaration, 10_000, REQUESTS))


def _body(golden: dict[str, Any]) -> bytes:
    if "body" in golden:
        return str(golden["body"]).encode()
    return base64.b64decode(golden["body_base64"])


def _refusal(golden: dict[str, Any]) -> dict[str, Any] | None:
    try:
        if golden["path"] == "/predict":
            REQUESTS.parse_rows(_body(golden))
        else:
            REQUESTS.parse_feedback(_body(golden).replace(b'"outcomes"', b'"labels"  '))
    except ValidationError as error:
        return explain(error).model_dump()
    return None


def test_bodies_in_json_are_refused_in_the_same_words() -> None:
    checked = 0
    for golden in RESPONSES:
        if golden.get("path") not in ("/predict", "/feedback") or golden["status"] not in (200, 400):
            continue
        if golden["method"] != "POST" or not ({"body", "body_base64"} & set(golden)):
            continue
        text = golden["text"].replace("outcomes", "labels")
        expected = json.loads(text) if golden["status"] == 400 else None
        assert _refusal(golden) == expected, golden["name"]
        checked += 1
    assert checked > 300


def test_inference_requests_are_refused_in_the_same_words() -> None:
    checked = 0
    for golden in RESPONSES:
        if golden.get("method") != "ModelInfer" or golden["code"] not in ("OK", "INVALID_ARGUMENT"):
            continue
        if "request_base64" not in golden or "settings" in golden:
            continue
        request = messages.ModelInferRequest.FromString(base64.b64decode(golden["request_base64"]))
        if request.model_name != PROBLEM.name:
            continue
        try:
            INFERENCE.read(request)
            refusal = None
        except RequestError as error:
            refusal = str(error)
        except ValidationError as error:
            refusal = explain(error).error
        assert refusal == golden.get("message"), golden["name"]
        checked += 1
    assert checked > 300
