"""Two problems are trained, served, logged and monitored in one process, and know nothing of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tabular_bento.client.encoding import Interface
from tabular_bento.features.columns import Row, rows_of
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving import ServingSettings, application
from tabular_bento.traffic.log import TrafficLog, rows_of_lines
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABELS, PREDICTIONS, output_column
from tests.lines import logged
from tests.strategies import to_json
from tests.unit.models import folder_of, parcels, prices, trained, write

ROWS = 60

Responses = tuple[list[dict[str, Any]], dict[str, Any], str]


async def served(app: Any, problem: Problem, rows: Sequence[Row], label: float) -> Responses:
    """The predictions of rows by JSON, what the Open Inference Protocol says of them, and the metrics."""
    requests = [to_json(row, problem.fields) for row in rows]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/readyz")).status_code == 200
        response = await client.post("/predict", json={problem.rows: requests})
        assert response.status_code == 200, response.text
        predictions = response.json()
        path, body, headers = Interface.of(problem.declaration).rest_request(requests, "r", binary=False)
        response = await client.post(path, content=body, headers=headers)
        assert response.status_code == 200, response.text
        labels = [{"prediction_id": one["prediction_id"], problem.target.name: label} for one in predictions]
        receipt = await client.post("/feedback", json={"labels": labels})
        assert receipt.json() == {"accepted": len(rows)}
        schemas = (await client.get("/docs.json")).json()["components"]["schemas"]
        assert set(schemas["Row"]["properties"]) == set(problem.field_names)
        metrics = (await client.get("/metrics")).text
        return predictions, response.json(), metrics


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelPackage]:
    """A store with a model of each problem."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    loaded = {}
    for name in ("prices", "parcels"):
        model, tag = trained(name), f"{trained(name).problem.name}:one"
        write(folder_of(tmp_path / "store", tag), model)
        loaded[name] = ModelPackage.load(folder_of(tmp_path / "store", tag), tag, model.problem)
    return loaded


def test_two_problems_in_one_process(packages: dict[str, ModelPackage], tmp_path: Path) -> None:
    data = {"prices": prices(), "parcels": parcels()}
    rows = {
        name: rows_of({key: column[:ROWS] for key, column in one.columns.items()}, packages[name].problem.field_names)
        for name, one in data.items()
    }
    logs = {name: TrafficLog(tmp_path / name, one.declaration, 1 << 20, 3600) for name, one in packages.items()}

    async def both() -> list[Responses]:
        apps = {name: application(one.problem, one, logs[name], ServingSettings()) for name, one in packages.items()}
        responses = await asyncio.gather(
            *(served(app, packages[name].problem, rows[name], 7.0) for name, app in apps.items())
        )
        for app in apps.values():
            await app.stop()
        return responses

    start = datetime.now(UTC) - timedelta(minutes=1)
    responses = dict(zip(packages, asyncio.run(both()), strict=True))
    end = datetime.now(UTC) + timedelta(minutes=1)
    for name, package in packages.items():
        logs[name].close()
        declaration, (predictions, tensors, metrics) = package.declaration, responses[name]
        expected = package.predict(rows[name]).value.tolist()
        target = declaration.outputs[0].name
        assert [one[target] for one in predictions] == expected
        assert {one["model"] for one in predictions} == {package.tag}
        assert next(one["data"] for one in tensors["outputs"] if one["name"] == target) == expected
        assert f'tabular_bento_predicted_rows_total{{protocol="http"}} {ROWS}.0' in metrics
        assert f'tabular_bento_predicted_rows_total{{protocol="rest"}} {ROWS}.0' in metrics

        lines = logged(tmp_path / name)
        assert len(lines) == 2 * ROWS
        assert {line["declaration"] for line in lines} == {declaration.fingerprint}
        again = package.predict(rows_of_lines(lines[:ROWS], declaration)).value.tolist()
        assert again == expected, "what is logged predicts otherwise"
        table = EventLog(tmp_path / name / PREDICTIONS).read(columns=[output_column(target)])
        assert np.array_equal(np.sort(table.column(0).to_numpy()), np.sort(np.array(2 * expected)))
        assert EventLog(tmp_path / name / LABELS).read().num_rows == ROWS

        result = judge(Query(tmp_path / name, start, end), None, DriftSettings()).result
        assert result.model is not None
        assert package.tag in str(result.model)
