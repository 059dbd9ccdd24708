"""Explanations of a real server: over every protocol, in the log, and what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tabular_bento.client import PROTOCOLS, AsyncClient, Client, Protocol
from tabular_bento.errors import RefusedError
from tabular_bento.protocol.explanations import ExplainedBatch
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import runner_class
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.serving import application
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.explanations import EXPLANATIONS, explanation_columns
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.sealing import seal
from tests.flights.rows import EXAMPLE, SECOND, from_json
from tests.integration.serving.clients import INFER, binary_body, binary_outputs, call, infer, json_body
from tests.serving import ServedPort, count_logged, logged
from tests.unit import classes
from training.source import SOURCE

ROWS = [EXAMPLE, SECOND]
LIMIT = ServingSettings().explain_max_rows


def client_of(server: ServedPort) -> Client:
    return Client(server.process.url, f"127.0.0.1:{server.grpc_port}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_gives_the_contributions_of_the_package(
    server: ServedPort, package: ModelPackage, protocol: Protocol
) -> None:
    wanted = package.predictor.explain(from_json(*ROWS))
    with client_of(server) as client:
        batch = client.predict(ROWS, protocol, explain=True)
        assert "explanation" not in client.predict(ROWS, protocol)[0]
    assert isinstance(batch, ExplainedBatch)
    assert batch.explanations.contributions.tobytes() == wanted.contributions.tobytes()
    assert batch.explanations.base_values.tobytes() == wanted.base_values.tobytes()
    assert batch.explanations.features == package.declaration.feature_names
    first = batch[0]["explanation"]
    assert first["offset"] == EXAMPLE["dep_delay"]
    total = first["offset"] + first["base_value"] + sum(first["contributions"].values())
    assert total == pytest.approx(batch[0]["arrival_delay"], abs=1e-4)
    ids = {line["prediction_id"] for line in logged(server.traffic)}
    assert ids >= set(batch.column("prediction_id"))


def test_contributions_of_a_thousand_flights_add_up(server: ServedPort) -> None:
    columns = SOURCE.load().where(slice(0, 300_000, 300)).columns
    with client_of(server) as client:
        batch = client.predict(columns, "grpc", explain=True)
    assert isinstance(batch, ExplainedBatch)
    found = batch.explanations
    assert found.offsets is not None
    total = found.offsets + found.base_values[:, 0] + found.contributions[:, 0].sum(axis=1)
    assert len(total) == 1000
    assert np.abs(total - np.array(batch.column("arrival_delay"))).max() < 1e-4


def test_the_other_clients_and_streams_get_them_too(server: ServedPort) -> None:
    grpc = f"127.0.0.1:{server.grpc_port}"

    async def ask() -> list[dict[str, Any]]:
        async with AsyncClient(grpc=grpc) as client:
            streamed = [batch async for batch in client.stream([ROWS], explain=True)]
            return [*await client.predict(ROWS, "grpc", explain=True), *streamed[0]]

    with Client(server.process.url, grpc) as client:
        wanted = [item["explanation"] for item in client.predict(ROWS, explain=True)]
        streamed = list(client.stream([ROWS, ROWS[1:]], explain=True))
    assert [item["explanation"] for item in asyncio.run(ask())] == wanted * 2
    assert [item["explanation"] for batch in streamed for item in batch] == [*wanted, wanted[1]]


def test_tensors_of_rest_are_described_and_may_be_listed(server: ServedPort, package: ModelPackage) -> None:
    names = package.declaration.feature_names
    parameters = {"explain": True}
    status, response = infer(server, json_body(ROWS, parameters=parameters, outputs=[{"name": "arrival_delay"}]))
    assert status == 200
    found = {item["name"]: item for item in response["outputs"]}
    assert list(found) == ["arrival_delay", "explanation", "explanation_base_value", "explanation_offset"]
    assert found["explanation"]["shape"] == [2, len(names)]
    assert found["explanation"]["parameters"] == {"features": list(names)}
    listed = [{"name": "explanation", "parameters": {"binary_data": True}}, {"name": "arrival_delay"}]
    body, headers = binary_body(ROWS, parameters=parameters, outputs=listed)
    status, received, content = call(server, INFER, body, headers)
    assert status == 200
    assert binary_outputs(received, content)["explanation"] == found["explanation"]["data"]


def test_what_is_wrong_or_too_large_is_refused_and_not_logged(server: ServedPort) -> None:
    before = count_logged(server.traffic)
    status, response = server.post("/predict", json.dumps({"flights": ROWS, "explain": 1}).encode())
    assert (status, response["error"]) == (400, "explain: Input should be a valid boolean")
    status, response = infer(server, json_body(ROWS, parameters={"explain": "yes"}))
    assert (status, response["error"]) == (400, "The parameter `explain` must be true or false.")
    status, response = infer(server, json_body(ROWS, outputs=[{"name": "explanation"}]))
    assert (status, response["error"]) == (400, "Output 'explanation' is there only with the parameter `explain`.")
    with client_of(server) as client:
        for protocol in PROTOCOLS:
            with pytest.raises(RefusedError, match="TABULAR_BENTO_EXPLAIN_MAX_ROWS sets: send it in parts"):
                client.predict([EXAMPLE] * (LIMIT + 1), protocol, explain=True)
        assert list(client.predict([], explain=True)) == []
        assert client.model()["explains"] is True
    assert server.post("/predict", b'{"flights": [], "explain": true}') == (200, [])
    assert count_logged(server.traffic) == before


def test_the_description_has_them(server: ServedPort, package: ModelPackage) -> None:
    _, document = server.get("/docs.json")
    schemas = document["components"]["schemas"]
    assert schemas["PredictRequest"]["properties"]["explain"]["type"] == "boolean"
    assert "explanation" not in schemas["Prediction"]["required"]
    assert set(schemas["Explanation"]["properties"]) == {"base_value", "offset", "contributions"}
    assert list(schemas["Contributions"]["properties"]) == list(package.declaration.feature_names)


def responses(
    folder: Path, name: str, model: Predictor | None, *bodies: Any, log_share: float = 0.0
) -> list[httpx.Response]:
    """What an application without BentoML responds to bodies of POST /predict."""
    classes.write(folder / "package", name, model)
    problem = classes.PROBLEMS[name]
    package = ModelPackage.load(folder / "package", f"{name}:1", problem)
    log = TrafficLog(folder / "traffic", problem.declaration, 1 << 30, 3600.0)

    async def ask() -> list[httpx.Response]:
        app = application(problem, package, log, ServingSettings(explain_log_share=log_share))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            found = [await client.post("/predict", json=body) for body in bodies]
        await app.stop()
        return found

    try:
        return asyncio.run(ask())
    finally:
        log.close()


def test_a_runner_without_explanations_is_400_and_goes_on_predicting(tmp_path: Path) -> None:
    rows = classes.requests("zones", 2)
    refused, predicted = responses(
        tmp_path, "zones", None, {"parcels": rows, "explain": True}, {"parcels": rows, "explain": False}
    )
    assert refused.status_code == 400
    assert refused.json()["error"] == "The runner 'sklearn' of zones:1 has no explanations: leave `explain` out."
    assert predicted.status_code == 200
    assert "explanation" not in predicted.json()[0]


def test_classes_are_explained_each(tmp_path: Path) -> None:
    model, rows = classes.predictor("zones"), classes.dataset("zones")
    labelled, runner = rows.where(rows.labelled), runner_class("xgboost")
    X = model.extractor.transform_columns(labelled.columns)
    parameters = runner.Parameters(**classes.PARAMETERS["xgboost"])
    fitted = runner.fit(FittingData(X, labelled.residual), parameters, classes.ZONES.task, seed=1)
    own = Predictor(classes.ZONES, model.extractor, fitted)
    asked = {"parcels": classes.requests("zones", 3), "explain": True}
    (response,) = responses(tmp_path, "zones", own, asked)
    assert response.status_code == 200
    for item in response.json():
        explanation = item["explanation"]
        scores = [
            explanation["base_value"][name] + sum(explanation["contributions"][name].values())
            for name in classes.ZONES.task.class_names
        ]
        shares = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(shares, list(item["probability"].values()), atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_explanations_is_logged(tmp_path: Path, share: float) -> None:
    asked = {"parcels": classes.requests("late", 200), "explain": True}
    (response,) = responses(tmp_path, "late", None, asked, log_share=share)
    explained = {item["prediction_id"]: item["explanation"] for item in response.json()}
    folder = tmp_path / "traffic" / EXPLANATIONS
    assert folder.is_dir() == (share > 0)
    rows = EventLog(folder).read().to_pylist() if share else []
    assert 200 * (share - 0.2) <= len(rows) <= 200 * (share + 0.2)
    assert len(rows) == 200 or share < 1
    for row in rows:
        known = explained[row["prediction_id"]]
        assert row["base_value"] == known["base_value"]
        assert {name: row[f"contribution.{name}"] for name in known["contributions"]} == known["contributions"]
        assert row["model"] == "late:1"
    if share:
        report = seal(folder)
        assert (report.rows, report.bad) == (len(rows), 0)


def test_the_columns_of_logged_explanations_of_classes_name_the_class() -> None:
    names = [column.name for column in explanation_columns(classes.ZONES.declaration)]
    assert names[4:8] == ["base_value.30", "base_value.10", "base_value.20", "contribution.30.weight"]
