"""Real servers of classification problems: every protocol, the clients, the log, labels, the shadow, and metrics."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tabular_bento.client import PROTOCOLS, AsyncClient, Client, Protocol
from tabular_bento.errors import RefusedError
from tabular_bento.problem import Problem
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.tasks import Calibration
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABELS, PREDICTIONS, SHADOW
from tests.integration.serving.clients import call
from tests.models import ROOT
from tests.releases import eventually
from tests.serving import ServedPort, serve
from tests.unit import classes
from tests.unit.classes import PROBLEMS

COUNT = 20
PROJECT = '[tool.tabular-bento]\nproblem = "features.problem:PROBLEM"\n'


@dataclass(frozen=True)
class Served:
    """The server of a problem, with a candidate in its shadow."""

    name: str
    port: ServedPort

    @property
    def problem(self) -> Problem:
        return PROBLEMS[self.name]

    @property
    def url(self) -> str:
        return self.port.process.url

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.port.grpc_port}"

    def labels(self, *labels: Any) -> tuple[int, Any]:
        """The response to labels of predictions."""
        target = self.problem.target.name
        items = [{"prediction_id": f"p{place}", target: label} for place, label in enumerate(labels)]
        return self.port.post("/feedback", json.dumps({"labels": items}).encode())

    def metric(self, name: str) -> dict[str, float]:
        """The samples of a metric by the value of their label."""
        _, _, content = call(self.port, "/metrics")
        return {
            next(iter(sample.labels.values()), ""): sample.value
            for family in text_string_to_metric_families(content.decode())
            for sample in family.samples
            if sample.name == f"tabular_bento_{name}"
        }


def candidate(name: str) -> Predictor:
    """A model that predicts the first class more often."""
    model = classes.predictor(name)
    if len(PROBLEMS[name].task.classes) == 2:
        calibration = Calibration("platt", {"slope": [0.5], "intercept": [-1.0]})
    else:
        calibration = Calibration("platt", {"slope": [0.5] * 3, "intercept": [1.0, 0.0, 0.0]})
    return Predictor(model.problem, model.extractor, model.runner, calibration)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("zones", "late")]


@pytest.fixture(scope="module", params=["returned", *SLOW])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    name, folder = str(request.param), tmp_path_factory.mktemp("classes")
    project, store = folder / "project", folder / "store"
    (project / "features").mkdir(parents=True)
    (project / "features" / "__init__.py").touch()
    (project / "features" / "problem.py").write_text(f"from tests.unit.classes import {name.upper()} as PROBLEM\n")
    (project / "pyproject.toml").write_text(PROJECT)
    shutil.copy(ROOT / "examples" / "diabetes" / "service.py", project)
    _, other = classes.store_of_two(store, name, candidate(name))
    settings = {
        "BENTOML_HOME": str(store),
        "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
        "TABULAR_BENTO_SHADOW_MODEL": other,
        "TABULAR_BENTO_SHADOW_CPU_SHARE": "1",
        "TABULAR_BENTO_DRAIN_SECONDS": "0",
    }
    with serve(folder, cwd=project, **settings) as port:
        yield Served(name, port)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_returns_labels_in_their_type_and_the_same_probabilities(
    served: Served, protocol: Protocol
) -> None:
    rows, wanted = classes.requests(served.name, COUNT), classes.expected(served.name, COUNT)
    with Client(served.url, served.grpc) as client:
        batch = client.predict(rows, protocol)
        alone = client.predict(rows[:1], protocol)
    target = served.problem.target.name
    for found, expected in zip(batch, wanted, strict=True):
        assert expected.items() <= found.items()
        assert type(found[target]) is type(served.problem.task.classes[0])
        assert list(found["probability"]) == list(served.problem.task.class_names)
    assert alone[0]["probability"] == wanted[0]["probability"]


def test_a_client_of_grpc_alone_knows_the_classes(served: Served) -> None:
    wanted = classes.expected(served.name, COUNT)

    async def ask() -> list[dict[str, Any]]:
        async with AsyncClient(grpc=served.grpc) as client:
            return list(await client.predict(classes.requests(served.name, COUNT), "grpc"))

    with Client(grpc=served.grpc) as client:
        found = list(client.predict(classes.requests(served.name, COUNT), "grpc"))
    for prediction, other, expected in zip(found, asyncio.run(ask()), wanted, strict=True):
        assert expected.items() <= prediction.items()
        assert expected.items() <= other.items()


def test_columns_are_predicted_as_rows_are(served: Served) -> None:
    columns = classes.dataset(served.name).where(slice(0, COUNT)).columns
    with Client(served.url) as client:
        found = client.predict(columns, "rest")
    assert [one["probability"] for one in found] == [one["probability"] for one in classes.expected(served.name, COUNT)]


def test_metadata_name_the_classes(served: Served) -> None:
    target = served.problem.target.name
    _, document = served.port.get(f"/v2/models/{served.name}")
    outputs = {item["name"]: item for item in document["outputs"]}
    assert outputs[f"{target}_probability"]["parameters"] == {"classes": list(served.problem.task.class_names)}


def test_the_description_lists_the_classes(served: Served) -> None:
    _, document = served.port.get("/docs.json")
    schemas = document["components"]["schemas"]
    for model in ("Prediction", "Label"):
        listed = schemas[model]["properties"][served.problem.target.name]["enum"]
        assert listed == list(served.problem.task.classes)
    assert list(schemas["Probability"]["properties"]) == list(served.problem.task.class_names)


def test_labels_are_logged_in_their_type(served: Served) -> None:
    listed = served.problem.task.classes
    with Client(served.url) as client:
        batch = client.predict(classes.requests(served.name, len(listed)))
        ids = batch.column("prediction_id")
        assert client.send_labels(dict(zip(ids, listed, strict=True))) == len(listed)
        assert client.send_labels([(ids[0], np.array(listed, dtype=object)[-1])]) == 1
    table = EventLog(served.port.traffic / LABELS).read().to_pylist()
    own = [row["label"] for row in table if row["prediction_id"] in ids]
    assert own == [*listed, listed[-1]]


def test_an_unknown_label_is_refused_by_name_and_harms_no_other_request(served: Served) -> None:
    first, target = served.problem.task.classes[0], served.problem.target.name
    status, body = served.labels(first, "maybe", first)
    assert status == 400
    assert body["error"] == f"labels.1.{target}: {body['detail'][0]['msg']}"
    assert "The label 'maybe' is no class of" in body["error"]
    assert all(name in body["error"] for name in served.problem.task.class_names)
    assert served.labels(first, first) == (200, {"accepted": 2})
    with Client(served.url) as client, pytest.raises(RefusedError, match="'maybe' is no class") as refused:
        client.send_labels({"p0": "maybe"})
    assert refused.value.status == "400"


def test_predictions_and_those_of_the_shadow_are_logged(served: Served) -> None:
    rows, target = classes.requests(served.name, COUNT), served.problem.target.name
    with Client(served.url) as client:
        ids = list(client.predict(rows).column("prediction_id"))

    def logged(stream: str) -> list[dict[str, Any]]:
        table = EventLog(served.port.traffic / stream).read().to_pylist()
        return sorted((row for row in table if row["prediction_id"] in ids), key=lambda row: row["prediction_id"])

    def pairs(of: list[dict[str, Any]]) -> list[tuple[Any, list[float]]]:
        names = served.problem.task.class_names
        return [(row[f"output.{target}"], [row[f"output.probability.{name}"] for name in names]) for row in of]

    wanted = [(one[target], list(one["probability"].values())) for one in classes.expected(served.name, COUNT)]
    assert pairs(logged(PREDICTIONS)) == wanted
    eventually(lambda: len(logged(SHADOW)) == COUNT, lambda: served.metric("shadow_rows_total"), 120)
    outputs = candidate(served.name).predict_columns(classes.dataset(served.name).where(slice(0, COUNT)).columns)
    shares = outputs.outputs["probability"].tolist()
    assert pairs(logged(SHADOW)) == list(zip(outputs.value.tolist(), shares, strict=True))
    assert shares != [share for _, share in wanted]


def test_predicted_classes_are_counted(served: Served) -> None:
    target, names = served.problem.target.name, served.problem.task.class_names
    before = served.metric("predicted_class_rows_total")
    assert set(before) == set(names)
    with Client(served.url) as client:
        client.predict(classes.requests(served.name, COUNT))
    classes_of = [served.problem.task.label_code(one[target]) for one in classes.expected(served.name, COUNT)]
    added = {name: float(classes_of.count(code)) for code, name in enumerate(names)}

    def risen() -> bool:
        return {
            name: value - before[name] for name, value in served.metric("predicted_class_rows_total").items()
        } == added

    eventually(risen, lambda: (added, served.metric("predicted_class_rows_total")), 30)
    buckets = served.metric("prediction_bucket")
    assert {"0.05", "1.0"} <= set(buckets)
    assert buckets["+Inf"] == buckets["1.0"] == sum(served.metric("predicted_class_rows_total").values())


TRITON = """
import json, sys
import numpy as np
from tritonclient import grpc, http

asked = json.load(sys.stdin)
found = {}
for name, library in (("grpc", grpc), ("http", http)):
    client, inputs = library.InferenceServerClient(asked[name]), []
    for field, datatype, values in asked["inputs"]:
        inputs.append(library.InferInput(field, [len(values)], datatype))
        kind = {"BYTES": object, "FP64": np.float64, "INT64": np.int64}[datatype]
        inputs[-1].set_data_from_numpy(np.array(values, dtype=kind))
    client.get_model_metadata(asked["model"])
    result = client.infer(asked["model"], inputs)
    labels, shares = (result.as_numpy(output) for output in (asked["target"], asked["target"] + "_probability"))
    labels = [label.decode() if isinstance(label, bytes) else label for label in labels.tolist()]
    found[name] = {"labels": labels, "shares": shares.tolist()}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_tritons_client_gets_labels_in_their_type(served: Served, triton: Path) -> None:
    target, rows = served.problem.target.name, [row for row in classes.requests(served.name) if "kind" in row]
    datatypes = {"weight": "FP64", "pieces": "INT64", "kind": "BYTES"}
    asked = {
        "grpc": served.grpc,
        "http": served.url.removeprefix("http://"),
        "model": served.name,
        "target": target,
        "inputs": [[name, datatype, [row[name] for row in rows]] for name, datatype in datatypes.items()],
    }
    command = [str(triton), "-c", TRITON]
    result = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with Client(served.url) as client:
        batch = client.predict(rows)
    for found in json.loads(result.stdout).values():
        assert found["labels"] == batch.column(target)
        assert found["shares"] == [list(one["probability"].values()) for one in batch]
