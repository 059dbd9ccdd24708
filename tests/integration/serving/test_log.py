from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tabular_bento.protocol.requests import ErrorResponse
from tabular_bento.traffic.log import PREDICTIONS
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tests.callers import Callers
from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import body_of, logged_rows
from tests.integration.serving.clients import PREDICTION_ID, TARGET
from tests.serving import ServedPort, serve

RESPONSE = (PREDICTION_ID, "id", "model", TARGET)


def requests_of(name: str, count: int) -> str:
    return body_of(*[{**EXAMPLE, "id": f"{name}-{i}", "dep_delay": float(i % 1000)} for i in range(count)])


class Load(Callers):
    """Callers that ask until the server is gone, and keep what they were given in full."""

    def __init__(self, url: str, callers: int = 12, rows: int = 5) -> None:
        self.responses: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self._url = url
        self._rows = rows
        super().__init__([partial(self._call, caller) for caller in range(callers)])

    def wait_for(self, responses: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.responses) < responses:
            assert time.monotonic() < deadline, f"{len(self.responses)} responses in a minute"
            time.sleep(0.01)

    def _call(self, caller: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            turn = 0
            while not self.stop.is_set():
                try:
                    response = client.post("/predict", content=requests_of(f"{caller}-{turn}", self._rows))
                except httpx.TransportError:
                    return
                if response.status_code == 200:
                    self.responses.extend(response.json())
                else:
                    self.refused.append(response.status_code)
                turn += 1


def in_log(responses: list[dict[str, Any]], lines: list[dict[str, Any]]) -> bool:
    """Whether each response has one line that agrees with it in all its fields."""
    by_id = {line["prediction_id"]: line for line in lines}
    assert len(by_id) == len(lines), "a prediction is in the log twice"
    lines = [by_id.get(response["prediction_id"], {}) for response in responses]
    return [{name: line.get(name) for name in RESPONSE} for line in lines] == responses


def test_every_returned_prediction_is_in_the_log_with_what_was_returned(server: ServedPort) -> None:
    responses = [response for turn in range(20) for response in server.predict([{**EXAMPLE, "id": f"log-{turn}"}] * 3)]
    assert len(responses) == 60
    assert in_log(responses, logged_rows(server.traffic))


@pytest.mark.slow
def test_at_any_moment_of_a_load_the_log_holds_what_is_returned(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"]) as served, Load(served.process.url) as load:
        for responses in range(100, 1001, 100):
            load.wait_for(responses)
            so_far = list(load.responses)
            assert in_log(so_far, logged_rows(served.traffic)), f"after {responses} responses"


def test_a_killed_server_loses_no_prediction_that_it_returned(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"]) as served, Load(served.process.url) as load:
        load.wait_for(500)
        served.process.kill()

    assert len(load.responses) >= 500
    assert not load.refused
    assert in_log(load.responses, logged_rows(served.traffic))
    counts = ScanCounts()
    assert EventLog(served.traffic / PREDICTIONS).read(counts=counts).num_rows >= len(load.responses)
    assert counts.bad == 0
    assert counts.truncated <= 1


@pytest.mark.slow
def test_a_server_asked_to_end_finishes_what_it_has_begun_and_ends_with_0(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    with (
        serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0.5") as served,
        ThreadPoolExecutor(6) as pool,
    ):
        body = requests_of("large", 10_000)
        before = [pool.submit(httpx.post, served.process.url + "/predict", content=body, timeout=60) for _ in range(6)]
        wait(before, return_when=FIRST_COMPLETED)
        assert not all(future.done() for future in before), "nothing is in progress"
        served.process.process.send_signal(signal.SIGTERM)
        responses = [future.result() for future in before]
        assert served.process.process.wait(30) == 0

    assert [response.status_code for response in responses] == [200] * 6
    assert in_log([one for response in responses for one in response.json()], logged_rows(served.traffic))


@pytest.mark.slow
def test_two_workers_write_log_files_of_their_own_and_lose_nothing(trained: dict[str, Any], tmp_path: Path) -> None:
    settings = {"TABULAR_BENTO_MODEL": trained["tag"], "TABULAR_BENTO_WORKERS": "2", "TABULAR_BENTO_DRAIN_SECONDS": "0"}
    with serve(tmp_path, **settings) as served:
        deadline = time.monotonic() + 30
        responses: list[dict[str, Any]] = []
        while len(list((served.traffic / PREDICTIONS).glob("*.jsonl"))) < 2 and time.monotonic() < deadline:
            with Load(served.process.url) as load:
                load.wait_for(200)
            responses += load.responses
        log_files = list((served.traffic / PREDICTIONS).glob("*.jsonl"))

    assert len(log_files) == 2
    assert len({path.name.split("-")[-2] for path in log_files}) == 2, "the names hold the process ids"
    assert in_log(responses, logged_rows(served.traffic))


def assert_not_returned(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert "could not be logged" in ErrorResponse.model_validate_json(response.content).error


def test_without_a_log_nothing_is_returned_until_there_is_one(trained: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "not-a-folder"
    folder.write_text("")
    labels = {"labels": [{"prediction_id": "a", TARGET: 1.0}]}
    with (
        serve(
            tmp_path,
            TABULAR_BENTO_MODEL=trained["tag"],
            TABULAR_BENTO_TRAFFIC_DIR=str(folder),
            TABULAR_BENTO_DRAIN_SECONDS="0",
        ) as served,
        httpx.Client(base_url=served.process.url, timeout=30) as client,
    ):
        assert_not_returned(client.post("/predict", content=requests_of("a", 3)))
        assert_not_returned(client.post("/feedback", json=labels))
        folder.unlink()
        response = client.post("/predict", content=requests_of("b", 3))
        assert response.status_code == 200
        assert in_log(response.json(), logged_rows(folder))
        assert len(logged_rows(folder)) == 3


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; skipped where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_on_a_full_disk_what_is_returned_is_logged_and_the_rest_is_refused(
    trained: dict[str, Any], tmp_path: Path, full_disk: Path
) -> None:
    traffic = full_disk / "traffic"
    with (
        serve(
            tmp_path,
            TABULAR_BENTO_MODEL=trained["tag"],
            TABULAR_BENTO_TRAFFIC_DIR=str(traffic),
            TABULAR_BENTO_DRAIN_SECONDS="0",
        ) as served,
        httpx.Client(base_url=served.process.url, timeout=30) as client,
    ):
        responses = [client.post("/predict", content=requests_of(f"disk-{turn}", 7)) for turn in range(30)]
        returned = [one for response in responses if response.status_code == 200 for one in response.json()]
        refused = [response for response in responses if response.status_code != 200]
        assert returned
        assert refused
        for response in refused:
            assert_not_returned(response)
        assert in_log(returned, logged_rows(traffic))
        assert {line["prediction_id"] for line in logged_rows(traffic)} == {one["prediction_id"] for one in returned}
