"""The OpenAPI description of the JSON endpoints: exact schemas, examples that work, every status that can come."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tabular_bento.problem import Problem, example_value
from tabular_bento.protocol.requests import ErrorResponse, FeedbackReceipt, RequestSchema
from tabular_bento.schema import Field
from tabular_bento.tasks import Output, Task

_ERRORS = {
    "400": "The body is not what the schema says; `error` names the row and field",
    "413": "Too many rows or bytes in one request",
    "500": "The request failed; the server's log has the reason",
    "503": "Overloaded, or the traffic log cannot be written; try again after Retry-After",
    "504": "No response in time",
}
_REFERENCE = "#/components/schemas/{model}"
_EXAMPLE_ID = "01a20b31-7de1-79ee-ba86-6e0c83f0ea63"
_EXAMPLE_VERSION = "hvs5clhhu6gciax4"


def openapi(document: dict[str, Any], schema: RequestSchema, problem: Problem) -> dict[str, Any]:
    """A server's own description, with the endpoints of predictions and feedback described in full.

    Parameters
    ----------
    document : dict
        An OpenAPI document, which is changed.
    schema : RequestSchema
        The bodies.
    problem : Problem
        The problem of the same declaration.
    """
    models: list[type[BaseModel]] = [
        schema.predict_model,
        schema.explained_model,
        schema.feedback_model,
        FeedbackReceipt,
        ErrorResponse,
    ]
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    document["openapi"] = "3.1.0"  # pydantic writes JSON Schema 2020-12, which 3.0 is not
    document["components"] = {"schemas": definitions["$defs"]}
    label = {"prediction_id": _EXAMPLE_ID, problem.target.name: _label(problem.task)}
    document.setdefault("paths", {}).update(
        {
            "/predict": _post(
                "Predict rows, in their order. An empty list gives an empty list.",
                _content(_reference(schema.predict_model), {schema.rows: [dict(problem.example)]}),
                _content({"type": "array", "items": _reference(schema.explained_model)}, [_prediction(problem)]),
            ),
            "/feedback": _post(
                "Take the labels of earlier predictions: late, repeated or out of order.",
                _content(_reference(schema.feedback_model), {"labels": [label]}),
                _content(_reference(FeedbackReceipt), {"accepted": 1}),
            ),
            "/model": {
                "get": {
                    "summary": "What is served, how it was trained, since when it serves, and how the shadow is.",
                    "responses": {"200": {"description": "The served model", "content": _content({"type": "object"})}},
                }
            },
        }
    )
    return document


def _prediction(problem: Problem) -> dict[str, Any]:
    own = {} if problem.identifier is None else {problem.identifier: problem.example.get(problem.identifier)}
    outputs = {output.name: _output(output, problem.task) for output in problem.outputs}
    return {"prediction_id": _EXAMPLE_ID, **own, **outputs, "model": f"{problem.name}:{_EXAMPLE_VERSION}"}


def _output(output: Output, task: Task) -> Any:
    if output.parts:
        share = round(1 / (len(output.parts) + 1), 3)
        rest = round(1 - share * (len(output.parts) - 1), 3)
        return dict.fromkeys(output.parts, share) | {output.parts[-1]: rest}
    if output.name == task.target.name and output.kind is task.target.kind:
        return _label(task)
    return example_value(Field(output.name, output.kind))


def _label(task: Task) -> Any:
    return task.classes[-1] if task.classes else example_value(task.target)


def _post(summary: str, request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    error = _content(_reference(ErrorResponse))
    responses = {"200": {"description": "Done", "content": response}}
    responses |= {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": request}, "responses": responses}}


def _content(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema} | ({} if example is None else {"example": example})}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
