from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flights.rows import EXAMPLE
from tabular_bento.protocol.requests import ErrorResponse
from tabular_bento.traffic.log import PREDICTIONS
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tests.callers import Callers
from tests.models import ROOT
from tests.serving import ServedPort, logged, serve

ANSWERED = ("prediction_id", "id", "model", TARGET)


def requests_of(name: str, count: int) -> str:
    return json.dumps(
        {"flights": [{**EXAMPLE, "id": f"{name}-{i}", "dep_delay": float(i % 1000)} for i in range(count)]}
    )


class Load(Callers):
    """Callers that ask until the server is gone, and keep what they were answered in full."""

    def __init__(self, url: str, callers: int = 12, rows: int = 5) -> None:
        self.answers: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self._url = url
        self._rows = rows
        super().__init__([partial(self._call, caller) for caller in range(callers)])

    def wait_for(self, answers: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.answers) < answers:
            assert time.monotonic() < deadline, f"{len(self.answers)} answers in a minute"
            time.sleep(0.01)

    def _call(self, caller: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            turn = 0
            while not self.stop.is_set():
                try:
                    answer = client.post("/predict", content=requests_of(f"{caller}-{turn}", self._rows))
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.answers.extend(answer.json())
                else:
                    self.refused.append(answer.status_code)
                turn += 1


def in_log(answers: list[dict[str, Any]], lines: list[dict[str, Any]]) -> bool:
    """Whether each answer has one line that agrees with it in all its fields."""
    by_id = {line["prediction_id"]: line for line in lines}
    assert len(by_id) == len(lines), "a prediction is in the log twice"
    lines = [by_id.get(answer["prediction_id"], {}) for answer in answers]
    return [{name: line.get(name) for name in ANSWERED} for line in lines] == answers


def test_every_answered_prediction_is_in_the_log_with_what_was_answered(server: ServedPort) -> None:
    answers = [answer for turn in range(20) for answer in server.predict([{**EXAMPLE, "id": f"log-{turn}"}] * 3)]
    assert len(answers) == 60
    assert in_log(answers, logged(server.traffic))


def test_at_any_moment_of_a_load_the_log_holds_what_is_answered(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"]) as served, Load(served.process.url) as load:
        for answers in range(100, 1001, 100):
            load.wait_for(answers)
            so_far = list(load.answers)
            assert in_log(so_far, logged(served.traffic)), f"after {answers} answers"


def test_a_killed_server_loses_no_prediction_that_it_answered(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"]) as served, Load(served.process.url) as load:
        load.wait_for(500)
        served.process.kill()

    assert len(load.answers) >= 500
    assert not load.refused
    assert in_log(load.answers, logged(served.traffic))
    counts = ScanCounts()
    assert EventLog(served.traffic / PREDICTIONS).read(counts=counts).num_rows >= len(load.answers)
    assert counts.bad == 0
    assert counts.truncated <= 1


def test_a_server_told_to_end_answers_what_it_has_begun_and_ends_with_0(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    with (
        serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0.5") as served,
        ThreadPoolExecutor(4) as pool,
    ):
        body = requests_of("large", 10_000)
        before = [pool.submit(httpx.post, served.process.url + "/predict", content=body, timeout=60) for _ in range(4)]
        time.sleep(0.3)
        assert not any(future.done() for future in before), "nothing is in flight"
        served.process.process.send_signal(signal.SIGTERM)
        answers = [future.result() for future in before]
        assert served.process.process.wait(30) == 0

    assert [answer.status_code for answer in answers] == [200] * 4
    assert in_log([one for answer in answers for one in answer.json()], logged(served.traffic))


def test_two_workers_write_segments_of_their_own_and_lose_nothing(trained: dict[str, Any], tmp_path: Path) -> None:
    settings = {"TABULAR_BENTO_MODEL": trained["tag"], "TABULAR_BENTO_WORKERS": "2", "TABULAR_BENTO_DRAIN_SECONDS": "0"}
    with serve(tmp_path, **settings) as served:
        deadline = time.monotonic() + 30
        answers: list[dict[str, Any]] = []
        while len(list((served.traffic / PREDICTIONS).glob("*.jsonl"))) < 2 and time.monotonic() < deadline:
            with Load(served.process.url) as load:
                load.wait_for(200)
            answers += load.answers
        segments = list((served.traffic / PREDICTIONS).glob("*.jsonl"))

    assert len(segments) == 2
    assert len({path.name.split("-")[-2] for path in segments}) == 2, "the names hold the process ids"
    assert in_log(answers, logged(served.traffic))


def assert_unanswered(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert "could not be logged" in ErrorResponse.model_validate_json(answer.content).error


def test_without_a_log_nothing_is_answered_until_there_is_one(trained: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "not-a-folder"
    folder.write_text("")
    outcome = {"labels": [{"prediction_id": "a", TARGET: 1.0}]}
    with (
        serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_TRAFFIC_DIR=str(folder), TABULAR_BENTO_DRAIN_SECONDS="0") as served,
        httpx.Client(base_url=served.process.url, timeout=30) as client,
    ):
        assert_unanswered(client.post("/predict", content=requests_of("a", 3)))
        assert_unanswered(client.post("/feedback", json=outcome))
        folder.unlink()
        answer = client.post("/predict", content=requests_of("b", 3))
        assert answer.status_code == 200
        assert in_log(answer.json(), logged(folder))
        assert len(logged(folder)) == 3


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


def test_on_a_full_disk_what_is_answered_is_logged_and_the_rest_is_refused(
    trained: dict[str, Any], tmp_path: Path, full_disk: Path
) -> None:
    traffic = full_disk / "traffic"
    with (
        serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_TRAFFIC_DIR=str(traffic), TABULAR_BENTO_DRAIN_SECONDS="0") as served,
        httpx.Client(base_url=served.process.url, timeout=30) as client,
    ):
        answers = [client.post("/predict", content=requests_of(f"disk-{turn}", 7)) for turn in range(30)]
        answered = [one for answer in answers if answer.status_code == 200 for one in answer.json()]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert answered
        assert refused
        for answer in refused:
            assert_unanswered(answer)
        assert in_log(answered, logged(traffic))
        assert {line["prediction_id"] for line in logged(traffic)} == {one["prediction_id"] for one in answered}
