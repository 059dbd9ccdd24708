"""A real server of a problem with intervals: every protocol, the log, labels, and the drift report on them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tabular_bento.client import PROTOCOLS, Client, Protocol
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import read_window
from tabular_bento.protocol.explanations import ExplainedBatch
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import PREDICTIONS
from tests.models import ROOT
from tests.serving import ServedPort, serve
from tests.unit import models, wide
from tests.unit.classes import ENTRY

TAG = "parcels:one"
NAMES = ("cost", "cost_lower", "cost_upper")
COUNT = 600
ALL_TIME = (datetime(2000, 1, 1), datetime(2100, 1, 1))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("wide") / "store"
    folder = models.folder_of(store, TAG)
    models.write(folder, wide.trained("parcels"))
    (folder / "model.yaml").write_text(ENTRY.format(name="parcels", version="one"))
    write_manifest(folder)
    (store / "models" / "parcels" / "latest").write_text("one")
    return store


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[ServedPort]:
    project = store.parent / "project"
    (project / "features").mkdir(parents=True)
    (project / "features" / "__init__.py").touch()
    (project / "features" / "problem.py").write_text("from tests.unit.wide import WIDE as PROBLEM\n")
    (project / "pyproject.toml").write_text('[tool.tabular-bento]\nproblem = "features.problem:PROBLEM"\n')
    shutil.copy(ROOT / "examples" / "diabetes" / "service.py", project)
    settings = {
        "BENTOML_HOME": str(store),
        "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
        "TABULAR_BENTO_DRAIN_SECONDS": "0",
    }
    with serve(store.parent, cwd=project, **settings) as port:
        yield port


def client_of(served: ServedPort) -> Client:
    return Client(served.process.url, f"127.0.0.1:{served.grpc_port}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_returns_the_bounds_to_the_bit(served: ServedPort, protocol: Protocol) -> None:
    model = wide.trained("parcels")
    columns = {name: values[:20] for name, values in model.parts["test"].columns.items()}
    with client_of(served) as client:
        batch = client.predict(columns, protocol)
        alone = client.predict({name: values[:1] for name, values in columns.items()}, protocol, explain=True)
    assert list(batch[0]) == ["prediction_id", *NAMES, "model"]
    for name in NAMES:
        wanted = model.predictions["test"].outputs[name][:20]
        assert np.array(batch.column(name)).tobytes() == wanted.tobytes()
        assert alone[0][name] == wanted[0]
    assert isinstance(alone, ExplainedBatch)


def test_what_the_server_says_of_itself_names_them(served: ServedPort) -> None:
    _, metadata = served.get("/v2/models/parcels")
    assert [output["name"] for output in metadata["outputs"]] == [*NAMES, "prediction_id"]
    _, document = served.get("/docs.json")
    prediction = document["components"]["schemas"]["Prediction"]
    assert set(NAMES) <= set(prediction["required"])
    assert prediction["properties"]["cost_upper"]["description"] == "Upper bound of the 0.9 interval of: Cost, in EUR"
    _, model = served.get("/model")
    assert model["interval"]["level"] == 0.9
    assert model["declaration"]["task"]["interval"] == 0.9
    assert model["metrics"]["intervals"]["test"]["n"]
    with Client(grpc=f"127.0.0.1:{served.grpc_port}") as client:
        assert client.predict([{"weight": 1.0, "pieces": 1, "kind": "box"}], "grpc")[0]["cost_lower"]


def test_they_are_logged_and_their_coverage_is_observed(
    served: ServedPort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = wide.trained("parcels")
    test = model.parts["test"].where(slice(0, COUNT))
    with client_of(served) as client:
        batch = client.predict(test.columns)
        client.send_labels(list(zip(batch.column("prediction_id"), test.target.tolist(), strict=True)))
    table = EventLog(served.traffic / PREDICTIONS).read().to_pylist()
    own = {row["prediction_id"]: row["output.cost_upper"] for row in table}
    assert [own[key] for key in batch.column("prediction_id")] == batch.column("cost_upper")
    monkeypatch.setenv("BENTOML_HOME", str(store))
    reference, query = Reference.load(TAG), Query(served.traffic, *ALL_TIME)
    settings = DriftSettings(maturity_hours=0.0, min_coverage=0.1)
    data = read_window(query, reference, sample=settings.sample, seed=0, maturity_hours=0.0)
    result = judge_window(query, reference, data, settings).result
    lower, upper = (np.array(batch.column(name)) for name in NAMES[1:])
    assert result.labels.interval is not None
    assert result.labels.interval.n == COUNT
    assert result.labels.interval.coverage == ((lower <= test.target) & (test.target <= upper)).mean()
    assert {"cost_lower", "cost_upper"} <= {column.name for column in result.columns}
    assert json.loads(result.to_json())["labels"]["interval"]["level"] == 0.9
