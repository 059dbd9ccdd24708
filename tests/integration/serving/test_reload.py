"""A server that takes another champion while it serves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.problem import PROBLEM
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests.callers import Callers
from tests.flights.rows import EXAMPLE, from_json
from tests.integration.serving.bodies import logged_rows
from tests.integration.serving.clients import (
    PREDICTION_ID,
    TARGET,
    call,
    infer,
    json_body,
    outputs_of,
    raw,
    stub,
    values_of,
)
from tests.models import ROOT
from tests.releases import CANDIDATE, command, eventually, folder_of, log_of, release, store_of_two
from tests.serving import ServedPort, refused, serve


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, of which the session's is the champion."""
    store = store_of_two(trained["tag"], tmp_path / "store")
    release(store, trained["tag"])
    return store


def hang_up(served: ServedPort) -> None:
    os.kill(served.process.process.pid, signal.SIGHUP)


def reloads(served: ServedPort) -> dict[str, float]:
    """Reloads of all workers, by what came of them."""
    _, _, content = call(served, "/metrics")
    return {
        sample.labels["status"]: sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
        if sample.name == "tabular_bento_model_reloads_total"
    }


def await_reloads(served: ServedPort, status: str, count: int) -> None:
    eventually(lambda: reloads(served).get(status) == count, lambda: (reloads(served), log_of(served)))


Predicted = tuple[str, float]
"""prediction_id and prediction."""


class Calls(Callers):
    """Callers at the three endpoints, who go on until the end and keep each response, and each failure."""

    def __init__(self, served: ServedPort) -> None:
        self._served = served
        self.responses: dict[str, float] = {}
        self.models: dict[str, str] = {}
        self.by_endpoint: dict[str, int] = {}
        self.failures: list[str] = []
        endpoints = {"http": self._http, "rest": self._rest, "grpc": self._grpc}
        super().__init__(
            [partial(self._call, endpoint, ask, number) for endpoint, ask in endpoints.items() for number in range(2)]
        )

    def more(self, count: int) -> None:
        """Wait for so many responses more."""
        wanted = len(self.responses) + count
        eventually(lambda: len(self.responses) >= wanted, lambda: (len(self.responses), self.failures[:3]))

    def _call(self, endpoint: str, connect: Callable[[ExitStack], Any], number: int) -> None:
        with ExitStack() as stack:
            ask = connect(stack)
            turn = 0
            while not self.stop.is_set():
                rows = [
                    {**EXAMPLE, "id": f"{endpoint}-{number}-{turn}", "dep_delay": float((turn + i) % 300)}
                    for i in range(3)
                ]
                try:
                    for prediction_id, target, model in ask(rows):
                        self.responses[prediction_id] = target
                        self.models[prediction_id] = model
                    self.by_endpoint[endpoint] = self.by_endpoint.get(endpoint, 0) + 1
                except Exception as error:
                    self.failures.append(f"{endpoint}: {error!r}")
                turn += 1
                time.sleep(0.002)

    def _http(self, stack: ExitStack) -> Any:
        client = stack.enter_context(httpx.Client(base_url=self._served.process.url, timeout=60))

        def ask(rows: list[dict[str, Any]]) -> Any:
            response = client.post("/predict", json={PROBLEM.rows: rows}).raise_for_status().json()
            return [(item[PREDICTION_ID], item[TARGET], item["model"]) for item in response]

        return ask

    def _rest(self, stack: ExitStack) -> Any:
        client = stack.enter_context(httpx.Client(base_url=self._served.process.url, timeout=60))

        def ask(rows: list[dict[str, Any]]) -> Any:
            response = client.post("/v2/models/flights/infer", json=json_body(rows)).raise_for_status().json()
            values = values_of(response)
            model = f"{response['model_name']}:{response['model_version']}"
            return [(*pair, model) for pair in zip(values[PREDICTION_ID], values[TARGET], strict=True)]

        return ask

    def _grpc(self, stack: ExitStack) -> Any:
        calls = stack.enter_context(stub(self._served))

        def ask(rows: list[dict[str, Any]]) -> Any:
            response = calls.ModelInfer(raw(rows), timeout=60)
            values = outputs_of(response)
            model = f"{response.model_name}:{response.model_version}"
            return [(*pair, model) for pair in zip(values[PREDICTION_ID], values[TARGET], strict=True)]

        return ask


@pytest.mark.slow
def test_release_and_rollback_under_load_lose_no_request_and_each_row_names_the_model_that_scored_it(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    tag = trained["tag"]
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        with Calls(served) as calls:
            calls.more(300)
            assert set(calls.models.values()) == {tag}
            release(store, CANDIDATE)
            hang_up(served)
            await_reloads(served, "exchanged", 2)
            calls.more(300)
            command(store, "rollback")
            hang_up(served)
            await_reloads(served, "exchanged", 4)
            calls.more(300)
        last = {model for _, model in list(calls.models.items())[-50:]}
        lines = {line["prediction_id"]: line for line in logged_rows(served.traffic)}

    assert not calls.failures
    assert set(calls.by_endpoint) == {"http", "rest", "grpc"}
    assert last == {tag}
    assert {model: model in calls.models.values() for model in (tag, CANDIDATE)} == {tag: True, CANDIDATE: True}
    assert {id_: (line[TARGET], line["model"]) for id_, line in lines.items()} == {
        id_: (calls.responses[id_], calls.models[id_]) for id_ in calls.responses
    }
    for model in (tag, CANDIDATE):
        scored = [line for line in lines.values() if line["model"] == model]
        rows = from_json(*({name: line[name] for name in PROBLEM.field_names} for line in scored))
        offline = ModelPackage.load(folder_of(store, model), model, PROBLEM).predictor.predict(rows)
        assert [line[TARGET] for line in scored] == offline.value.tolist()


def test_the_endpoints_name_and_check_the_version_that_serves_now(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    old, new = trained["tag"].split(":")[1], CANDIDATE.split(":")[1]

    def status(version: str) -> tuple[int, int, Any]:
        metadata = served.get(f"/v2/models/flights/versions/{version}")[0]
        inferred = infer(served, json_body([EXAMPLE]), f"/v2/models/flights/versions/{version}/infer")[0]
        try:
            calls.ModelMetadata(messages.ModelMetadataRequest(name="flights", version=version), timeout=30)
            over_grpc = grpc.StatusCode.OK
        except grpc.RpcError as error:
            over_grpc = error.code()
        return metadata, inferred, over_grpc

    served_one, unknown = (200, 200, grpc.StatusCode.OK), (404, 404, grpc.StatusCode.NOT_FOUND)
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_DRAIN_SECONDS="0") as served, stub(served) as calls:
        before = served.get("/model")[1]
        assert (status(old), status(new)) == (served_one, unknown)
        record = release(store, CANDIDATE)
        hang_up(served)
        await_reloads(served, "exchanged", 1)
        after = served.get("/model")[1]
        assert (status(old), status(new)) == (unknown, served_one)

    assert before["tag"] == trained["tag"]
    assert before["release"]["number"] == 1
    assert after["tag"] == CANDIDATE
    assert after["release"] == {"number": record.number, "time": record.time, "by": record.by}
    assert after["fingerprint"] == record.fingerprint != before["fingerprint"]
    assert after["serving_since"] >= record.time >= before["serving_since"]
    assert after["shadow"] is None


def test_a_champion_that_cannot_be_served_leaves_the_old_one_serving_and_says_so(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        release(store, CANDIDATE)
        path = folder_of(store, CANDIDATE) / "runner/model.ubj"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        hang_up(served)
        await_reloads(served, "refused", 2)
        assert {response["model"] for _ in range(20) for response in served.predict([EXAMPLE])} == {trained["tag"]}
        assert served.get("/model")[1]["tag"] == trained["tag"]

    reported = [line for line in log_of(served).splitlines() if "ERROR" in line]
    assert len(reported) == 2
    assert all(
        f"{trained['tag']} goes on serving" in line and "runner/model.ubj is damaged" in line for line in reported
    )
    assert "Traceback" not in log_of(served)


@pytest.mark.slow
def test_a_damaged_record_of_the_champion_leaves_the_old_one_serving(store: Path, tmp_path: Path) -> None:
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        (store / "releases" / "flights" / "champion.json").write_text("{")
        hang_up(served)
        await_reloads(served, "refused", 1)
        assert served.predict([EXAMPLE])
    assert "champion.json is damaged" in log_of(served)


@pytest.mark.slow
def test_hang_ups_while_it_starts_and_many_at_once_end_nothing(store: Path, tmp_path: Path) -> None:
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        (workers,) = {tuple(sorted(pids_of(served)))}
        release(store, CANDIDATE)
        for _ in range(50):
            hang_up(served)
            time.sleep(0.01)
        await_reloads(served, "exchanged", 2)
        os.kill(workers[0], signal.SIGKILL)
        eventually(lambda: len(set(pids_of(served)) - set(workers)) == 1)  # the manager starts another
        for _ in range(40):  # from before it can take the signal, until it serves
            hang_up(served)
            time.sleep(0.1)
        assert set(pids_of(served)) - set(workers) == set(pids_of(served)) - {workers[1]}
        assert workers[1] in pids_of(served)
        assert len(pids_of(served)) == 2
        assert {response["model"] for _ in range(20) for response in served.predict([EXAMPLE])} == {CANDIDATE}


def pids_of(served: ServedPort) -> list[int]:
    return [
        child.pid
        for child in psutil.Process(served.process.process.pid).children()
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_champion_whose_package_was_deleted_is_reported_at_start(trained: dict[str, Any], store: Path) -> None:
    shutil.rmtree(folder_of(store, trained["tag"]))
    result = refused(ROOT, BENTOML_HOME=str(store))
    assert result.returncode != 0
    assert f"The champion {trained['tag']}" in result.stderr
    assert "is not in the store any more" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_another_package_under_the_champion_s_tag_is_not_served(trained: dict[str, Any], store: Path) -> None:
    folder = folder_of(store, trained["tag"])
    shutil.rmtree(folder)
    shutil.copytree(folder_of(store, CANDIDATE), folder)
    result = refused(ROOT, BENTOML_HOME=str(store))
    assert "is not the one that was released" in result.stderr


@pytest.mark.slow
def test_where_nothing_was_released_the_latest_model_serves_with_one_warning(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    store = store_of_two(trained["tag"], tmp_path / "store")
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        assert served.get("/model")[1]["tag"] == trained["tag"]
        release(store, CANDIDATE)
        hang_up(served)
        await_reloads(served, "exchanged", 2)
        assert served.get("/model")[1]["tag"] == CANDIDATE
    assert log_of(served).count("No model was released yet") == 1


@pytest.mark.slow
def test_a_model_that_is_named_stays_whatever_is_released(trained: dict[str, Any], store: Path, tmp_path: Path) -> None:
    settings = {"BENTOML_HOME": str(store), "TABULAR_BENTO_MODEL": trained["tag"], "TABULAR_BENTO_DRAIN_SECONDS": "0"}
    with serve(tmp_path, **settings) as served:
        release(store, CANDIDATE)
        hang_up(served)
        await_reloads(served, "unchanged", 1)
        assert served.get("/model")[1]["tag"] == trained["tag"]


@pytest.mark.slow
def test_the_first_process_of_a_container_takes_the_signal_too(store: Path, tmp_path: Path) -> None:
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process namespace cannot be made here")
    settings = {
        "BENTOML_HOME": str(store),
        "TABULAR_BENTO_TRAFFIC_DIR": str(tmp_path / "traffic"),
        "TABULAR_BENTO_DRAIN_SECONDS": "0",
    }
    environment = {**settings, "TABULAR_BENTO_GRPC_PORT": str(free_port()), "TABULAR_BENTO_WORKERS": "2"}
    command = [*alone, sys.executable, "-m", "bentoml", "serve", "service:Service"]
    with ServerProcess(free_port(), tmp_path / "log", "", ROOT, environment, command) as process:
        served = ServedPort(process, tmp_path / "traffic", int(environment["TABULAR_BENTO_GRPC_PORT"]))
        (first,) = psutil.Process(process.process.pid).children()
        assert "NSpid:" in Path(f"/proc/{first.pid}/status").read_text()
        assert Path(f"/proc/{first.pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
        release(store, CANDIDATE)
        first.send_signal(signal.SIGHUP)
        await_reloads(served, "exchanged", 2)
        assert served.predict([EXAMPLE])[0]["model"] == CANDIDATE
        first.send_signal(signal.SIGTERM)
        assert process.process.wait(60) == 0
