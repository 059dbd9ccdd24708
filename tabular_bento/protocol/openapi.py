"""The OpenAPI description of the JSON door: exact schemas, an example that works, and every status that can come."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from features.definition import EXAMPLE, NAME, TARGET
from tabular_bento.protocol.requests import (
    ROWS,
    ErrorAnswer,
    FeedbackReceipt,
    FeedbackRequest,
    Prediction,
    PredictRequest,
)

_ERRORS = {
    "400": "The body is not what the schema says; `error` names the row and field",
    "413": "Too many rows or bytes in one request",
    "500": "The request failed; the log of the server tells why",
    "503": "Overloaded, or the traffic log cannot be written; try again after Retry-After",
    "504": "Not answered in time",
}
_REFERENCE = "#/components/schemas/{model}"
_EXAMPLE_ANSWER = {
    "prediction_id": "01a20b31-7de1-79ee-ba86-6e0c83f0ea63",
    "id": EXAMPLE["id"],
    "model": f"{NAME}:hvs5clhhu6gciax4",
    TARGET.name: -0.96,
}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """BentoML's description, with the project's own routes described in full."""
    models: list[type[BaseModel]] = [PredictRequest, Prediction, FeedbackRequest, FeedbackReceipt, ErrorAnswer]
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    document["openapi"] = "3.1.0"  # pydantic writes JSON Schema 2020-12, which 3.0 is not
    document["components"] = {"schemas": definitions["$defs"]}
    document["paths"] |= {
        "/predict": _post(
            "Predict rows, in their order. An empty list gives an empty list.",
            _content(_schema(PredictRequest), {ROWS: [EXAMPLE]}),
            _content({"type": "array", "items": _schema(Prediction)}, [_EXAMPLE_ANSWER]),
        ),
        "/feedback": _post(
            "Take what came true of earlier predictions: late, repeated or out of order.",
            _content(
                _schema(FeedbackRequest),
                {"outcomes": [{"prediction_id": _EXAMPLE_ANSWER["prediction_id"], TARGET.name: 4.0}]},
            ),
            _content(_schema(FeedbackReceipt), {"accepted": 1}),
        ),
        "/model": {
            "get": {
                "summary": "What is served, how it was trained, since when it serves, and how the shadow is.",
                "responses": {"200": {"description": "The served model", "content": _content({"type": "object"})}},
            }
        },
    }
    return document


def _post(summary: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    error = _content(_schema(ErrorAnswer))
    responses = {"200": {"description": "Done", "content": answer}}
    responses |= {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": request}, "responses": responses}}


def _content(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema} | ({} if example is None else {"example": example})}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
