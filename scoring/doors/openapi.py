"""The OpenAPI description of the JSON door: BentoML's own, with every status that can come and an example that works."""

from __future__ import annotations

from typing import Any

from features.definition import EXAMPLE
from scoring.schema import ROWS, ErrorAnswer

_ERRORS = {
    "400": "The body is not what the schema says; `error` names the row and field",
    "413": "Too many rows or bytes in one request",
    "500": "The prediction failed; the log of the server tells why",
    "503": "Overloaded, or the traffic log cannot be written; try again after Retry-After",
    "504": "Not answered in time",
}


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """BentoML's description, completed."""
    schemas = document["components"]["schemas"]
    error = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(error.pop("$defs"))
    schemas["ErrorAnswer"] = error
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    for path in ("/predict", "/feedback"):
        responses = document["paths"][path]["post"]["responses"]
        success = {"200": responses["200"]}
        responses.clear()
        responses.update(success)
        for status, description in _ERRORS.items():
            responses[status] = {"description": description, "content": answer}
    request = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    request["example"] = {ROWS: [EXAMPLE]}
    document["paths"]["/model"] = {
        "get": {
            "summary": "model",
            "description": "What is served: tag, fingerprints, metrics, when it was trained.",
            "responses": {"200": {"description": "The served model", "content": {"application/json": {}}}},
        }
    }
    return document
