from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import RequestError
from tabular_bento.problem import Problem
from tabular_bento.protocol import PredictionBatch, RequestSchema, TensorSchema
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.explanations import TENSORS, ExplainedBatch, Explanations
from tabular_bento.protocol.messages import InferenceMessages
from tests.tensors import inputs_of
from tests.unit.classes import ZONES
from tests.unit.problems import PRICES

ROWS = 3
PROBLEMS = {problem.name: problem for problem in (PRICES, ZONES)}


def explained(problem: Problem) -> ExplainedBatch:
    """Predictions of three rows with explanations."""
    random, task = np.random.default_rng(0), problem.task
    scores = random.normal(size=(ROWS, task.raw_columns, len(problem.feature_names) + 1))
    offsets = None if task.offset is None else random.normal(size=ROWS)
    outputs = task.decode(scores.sum(axis=2), offsets)
    ids = [f"p{index}" for index in range(ROWS)]
    batch = PredictionBatch(problem.declaration, ids, None, outputs, f"{problem.name}:1")
    return ExplainedBatch.of(batch, Explanations.of_scores(problem.declaration, scores, offsets))


def same(one: Explanations, other: Explanations) -> bool:
    offsets = [None if each.offsets is None else each.offsets.tobytes() for each in (one, other)]
    return (
        (one.features, one.classes) == (other.features, other.classes)
        and one.base_values.tobytes() == other.base_values.tobytes()
        and one.contributions.tobytes() == other.contributions.tobytes()
        and offsets[0] == offsets[1]
    )


@pytest.mark.parametrize("name", PROBLEMS)
def test_objects_and_tensors_hold_the_same_bits(name: str) -> None:
    explanations = explained(PROBLEMS[name]).explanations
    objects = json.loads(json.dumps(explanations.objects()))
    tensors = {tensor.name: tensor for tensor in explanations.tensors()}
    found = {name: tensor.values for name, tensor in tensors.items()}
    assert same(Explanations.of_objects(objects), explanations)
    assert same(Explanations.of_tensors(found, tensors[TENSORS[0]].parameters or {}), explanations)


def test_a_regression_has_one_score_and_its_offset_apart() -> None:
    batch = explained(PRICES)
    first = batch[0]["explanation"]
    assert list(first) == ["base_value", "offset", "contributions"]
    assert list(first["contributions"]) == list(PRICES.feature_names)
    total = first["base_value"] + sum(first["contributions"].values())
    assert first["offset"] + total == pytest.approx(batch[0]["price"])
    shapes = {tensor.name: tensor.shape for tensor in batch.explanations.tensors()}
    assert shapes == dict(zip(TENSORS, [(ROWS, len(PRICES.feature_names)), (ROWS,), (ROWS,)], strict=True))


def test_classes_have_a_score_each() -> None:
    batch = explained(ZONES)
    first = batch[0]["explanation"]
    assert list(first) == ["base_value", "contributions"]
    assert list(first["base_value"]) == list(first["contributions"]) == ["30", "10", "20"]
    assert list(first["contributions"]["10"]) == list(ZONES.feature_names)
    contributions, base_value = batch.explanations.tensors()
    assert contributions.shape == (ROWS, 3, len(ZONES.feature_names))
    assert contributions.parameters == {"features": list(ZONES.feature_names), "classes": ["30", "10", "20"]}
    assert base_value.shape == (ROWS, 3)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_batch_gives_rows_parts_and_json_with_their_explanations(name: str) -> None:
    batch = explained(PROBLEMS[name])
    model = RequestSchema(PROBLEMS[name].declaration).explained_model
    assert json.loads(batch.json()) == list(batch)
    assert list(batch[1:]) == list(batch)[1:]
    assert batch[-1] == list(batch)[-1]
    for item in batch:
        model.model_validate_json(json.dumps({**item, "prediction_id": "p"}))
    assert list(batch[0])[-1] == "explanation"


def test_the_body_of_a_request_says_whether_it_wants_explanations() -> None:
    schema = RequestSchema(ZONES.declaration)
    rows = [dict(ZONES.example)]
    for more, wanted in (({}, False), ({"explain": False}, False), ({"explain": True}, True)):
        assert schema.parse_request(json.dumps({"parcels": rows, **more}))[1] is wanted
    with pytest.raises(ValueError, match="explain"):
        schema.parse_request(json.dumps({"parcels": rows, "explain": "yes"}))


def request(problem: Problem, explain: Any, *outputs: str) -> Any:
    """A ModelInferRequest of the example."""
    made = messages.ModelInferRequest(model_name=problem.name, id="r", outputs=[{"name": name} for name in outputs])
    for name, datatype, values in inputs_of(problem.fields, [dict(problem.example)]):
        tensor = made.inputs.add(name=name, datatype=datatype, shape=[1])
        if datatype == "BYTES":
            tensor.contents.bytes_contents.append(values[0].encode())
        elif datatype == "INT64":
            tensor.contents.int64_contents.append(values[0])
        else:
            tensor.contents.fp64_contents.append(values[0])
    if explain is not None:
        kind = {bool: "bool_param", str: "string_param"}[type(explain)]
        setattr(made.parameters["explain"], kind, explain)
    return made


@pytest.mark.parametrize("outputs", [(), ("zone",), ("zone", "explanation")])
def test_messages_of_grpc_carry_explanations_that_were_asked_for(outputs: tuple[str, ...]) -> None:
    reader, batch = InferenceMessages(TensorSchema(ZONES.declaration, 100)), explained(ZONES)
    asked = reader.read(request(ZONES, True, *outputs))
    response = reader.write("zones:1", asked, batch)
    found = {output.name: output for output in response.outputs}
    assert set(found) >= {"zone", *TENSORS[:2]}
    assert list(found["explanation"].shape) == [ROWS, 3, len(ZONES.feature_names)]
    assert json.loads(found["explanation"].parameters["features"].string_param) == list(ZONES.feature_names)
    values = list(found["explanation"].contents.fp64_contents)
    assert values == batch.explanations.contributions.ravel().tolist()


def test_other_requests_of_grpc_ask_for_none() -> None:
    reader = InferenceMessages(TensorSchema(ZONES.declaration, 100))
    assert not reader.read(request(ZONES, None)).explained
    assert not reader.read(request(ZONES, False)).explained
    with pytest.raises(RequestError, match="`explain` must be true or false"):
        reader.read(request(ZONES, "true"))
    with pytest.raises(RequestError, match="'explanation' is there only with the parameter `explain`"):
        reader.read(request(ZONES, None, "explanation"))
