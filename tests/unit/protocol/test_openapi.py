from __future__ import annotations

import json
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.problem import Problem
from tabular_bento.protocol import RequestSchema
from tabular_bento.protocol.openapi import openapi
from tests.unit.several import RENTS


@pytest.mark.parametrize("problem", [RENTS, PROBLEM], ids=lambda problem: problem.name)
def test_the_examples_are_of_the_schemas(problem: Problem) -> None:
    schema = RequestSchema(problem.declaration)
    document = openapi({"openapi": "3.0.2", "paths": {"/healthz": {}}}, schema, problem)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {"/healthz", "/predict", "/feedback", "/model"}

    def example(path: str, *place: str) -> Any:
        content: Any = document["paths"][path]["post"]
        for name in place:
            content = content[name]
        return content["content"]["application/json"]["example"]

    assert len(schema.parse_rows(json.dumps(example("/predict", "requestBody")))) == 1
    assert len(schema.parse_feedback(json.dumps(example("/feedback", "requestBody")))) == 1
    (prediction,) = example("/predict", "responses", "200")
    schema.prediction_model.model_validate_json(json.dumps(prediction))
    assert set(document["paths"]["/predict"]["post"]["responses"]) == {"200", "400", "413", "500", "503", "504"}
    for name in ("Row", "PredictRequest", "Prediction", "Label", "FeedbackRequest", "FeedbackReceipt", "ErrorResponse"):
        assert name in document["components"]["schemas"]
    references = [part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]]
    assert set(references) <= set(document["components"]["schemas"])
