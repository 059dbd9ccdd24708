"""Classification in requests, responses, their schemas, and tensors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tabular_bento.client.encoding import Interface
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.layout import TensorSchema
from tabular_bento.protocol.messages import InferenceMessages, InferenceRequest, described_classes, described_tensors
from tabular_bento.protocol.openapi import openapi
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.requests import RequestSchema, explain
from tests.unit import classes
from tests.unit.classes import LATE, PROBLEMS, RETURNED, ZONES

OTHERS = {"returned": ("No", 1, True), "zones": (40, "10", 10.5, None), "late": ("true", 1.0, 2)}
"""What is no label of a problem."""


@pytest.fixture(params=list(PROBLEMS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def feedback(problem: Any, *labels: Any) -> bytes:
    target = problem.target.name
    items = [{"prediction_id": f"p{place}", target: label} for place, label in enumerate(labels)]
    return json.dumps({"labels": items}).encode()


def test_labels_are_taken_in_their_type() -> None:
    assert RequestSchema(RETURNED.declaration).parse_feedback(feedback(RETURNED, "no", "yes, at once")) == [
        ("p0", "no"),
        ("p1", "yes, at once"),
    ]
    assert RequestSchema(ZONES.declaration).parse_feedback(feedback(ZONES, 20)) == [("p0", 20)]
    assert RequestSchema(LATE.declaration).parse_feedback(feedback(LATE, True, False)) == [("p0", 1), ("p1", 0)]


def test_an_unknown_label_is_refused_by_name_with_the_classes(name: str) -> None:
    problem = PROBLEMS[name]
    schema, target = RequestSchema(problem.declaration), problem.target.name
    for other in OTHERS[name]:
        with pytest.raises(ValidationError) as refused:
            schema.parse_feedback(feedback(problem, problem.task.classes[0], other))
        (detail,) = explain(refused.value).detail
        assert detail.loc == f"labels.1.{target}"
        assert detail.type == "unknown_label"
        shown = json.dumps(other) if other is None or other is True else repr(other)
        assert f"The label {shown} is no class of {target!r}; the classes are " in detail.msg
        assert all(text in detail.msg for text in problem.task.class_names)


def test_zero_and_one_are_no_booleans() -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        RequestSchema(LATE.declaration).parse_feedback(feedback(LATE, 1))


def test_the_schema_lists_the_classes_and_the_keys_of_the_probabilities(name: str) -> None:
    problem = PROBLEMS[name]
    document = openapi({}, RequestSchema(problem.declaration), problem)
    schemas, listed = document["components"]["schemas"], list(problem.task.classes)
    for model in ("Prediction", "Label"):
        assert schemas[model]["properties"][problem.target.name]["enum"] == listed
    probability = schemas["Probability"]
    assert list(probability["properties"]) == probability["required"] == list(problem.task.class_names)
    assert {item["type"] for item in probability["properties"].values()} == {"number"}


def test_the_examples_fit_their_models(name: str) -> None:
    problem = PROBLEMS[name]
    schema = RequestSchema(problem.declaration)
    paths = openapi({}, schema, problem)["paths"]
    (prediction,) = paths["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    schema.prediction_model.model_validate(prediction)
    body = paths["/feedback"]["post"]["requestBody"]["content"]["application/json"]["example"]
    ((_, label),) = schema.parse_feedback(json.dumps(body))
    assert label == problem.task.classes[-1]


def test_the_example_of_a_prediction_agrees_with_itself(name: str) -> None:
    problem = PROBLEMS[name]
    document = openapi({}, RequestSchema(problem.declaration), problem)
    (example,) = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert example[problem.target.name] == problem.task.classes[-1]
    assert max(example["probability"], key=example["probability"].get) == problem.task.class_names[-1]
    assert sum(example["probability"].values()) == pytest.approx(1)


def batch_of(name: str, count: int = 20) -> PredictionBatch:
    problem = PROBLEMS[name]
    outputs = classes.predictor(name).predict_columns(classes.dataset(name).where(slice(0, count)).columns).outputs
    own = None if problem.identifier is None else [f"order-{row}" for row in range(count)]
    return PredictionBatch(problem.declaration, [f"p{row}" for row in range(count)], own, outputs, f"{name}:one")


def test_a_prediction_in_json_fits_its_model(name: str) -> None:
    batch, wanted = batch_of(name), classes.expected(name)
    found = json.loads(batch.json())
    model = RequestSchema(PROBLEMS[name].declaration).prediction_model
    TypeAdapter(list[model]).validate_json(batch.json())  # type: ignore[valid-type]
    for row, prediction in enumerate(found):
        assert wanted[row].items() <= prediction.items()
        assert list(prediction["probability"]) == list(PROBLEMS[name].task.class_names)
        assert prediction == batch[row]


@pytest.mark.parametrize(("name", "datatype"), [("returned", "BYTES"), ("zones", "INT64"), ("late", "BOOL")])
def test_outputs_are_a_tensor_of_labels_and_one_of_probabilities(name: str, datatype: str) -> None:
    problem = PROBLEMS[name]
    target, count = problem.target.name, len(problem.task.classes)
    schema = TensorSchema(problem.declaration, 100)
    described = {item["name"]: item for item in schema.output_metadata}
    assert described[target] == {"name": target, "datatype": datatype, "shape": [-1]}
    assert described[f"{target}_probability"] == {
        "name": f"{target}_probability",
        "datatype": "FP64",
        "shape": [-1, count],
        "parameters": {"classes": list(problem.task.class_names)},
    }
    labels, probability = schema.output_tensors(batch_of(name), [target, f"{target}_probability"])
    assert (labels.datatype, labels.shape) == (datatype, (20,))
    assert (probability.datatype, probability.shape) == ("FP64", (20, count))
    wanted = classes.expected(name)
    assert list(labels.values) == [one[target] for one in wanted]
    assert list(probability.values) == [share for one in wanted for share in one["probability"].values()]


@pytest.mark.parametrize("raw", [True, False])
def test_messages_of_grpc_hold_labels_in_their_type(name: str, raw: bool) -> None:
    problem = PROBLEMS[name]
    target = problem.target.name
    schema = TensorSchema(problem.declaration, 100)
    request = InferenceRequest([], (target, f"{target}_probability"), "r", raw)
    response = InferenceMessages(schema).write(f"{name}:one", request, batch_of(name))
    wanted = classes.expected(name)
    if not raw:
        labels, probability = response.outputs
        field = {"returned": "bytes_contents", "zones": "int64_contents", "late": "bool_contents"}[name]
        texts = [one[target].encode() if name == "returned" else one[target] for one in wanted]
        assert list(getattr(labels.contents, field)) == texts
        assert len(probability.contents.fp64_contents) == 20 * len(problem.task.classes)
    else:
        shares = np.frombuffer(response.raw_output_contents[1], "<f8").reshape(20, -1)
        assert shares.tolist() == [list(one["probability"].values()) for one in wanted]


def test_metadata_over_grpc_name_the_classes_and_the_client_reads_them(name: str) -> None:
    problem = PROBLEMS[name]
    schema = TensorSchema(problem.declaration, 100)
    metadata = messages.ModelMetadataResponse(
        name=name,
        inputs=described_tensors(schema.input_metadata),
        outputs=described_tensors(schema.output_metadata),
    )
    found = Interface.of_metadata(messages.ModelMetadataResponse.FromString(metadata.SerializeToString()))
    assert [(one.name, one.kind, one.parts, one.tensor_name) for one in found.outputs] == [
        (one.name, one.kind, one.parts, one.tensor_name) for one in problem.outputs
    ]


def test_metadata_without_names_of_classes_number_them() -> None:
    tensor = messages.ModelMetadataResponse.TensorMetadata(name="y", datatype="FP64", shape=[-1, 3])
    assert described_classes(tensor) == ("0", "1", "2")
    tensor.parameters["classes"].string_param = '["a"]'
    with pytest.raises(ValueError, match="y has 3 columns and 1 classes"):
        described_classes(tensor)
