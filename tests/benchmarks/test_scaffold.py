"""The comparison's arithmetic, its verdict, and what it says when it cannot be made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from benchmarks import accuracy
from benchmarks.__main__ import BENCHMARKS
from benchmarks.__main__ import main as benchmarks
from benchmarks.accuracy import measure_rmse
from benchmarks.errors import BenchmarkError
from benchmarks.flights import Sample
from benchmarks.report import CLASSIC, OURS, Comparison
from benchmarks.rounds import SCENARIOS, median
from benchmarks.scaffold import judge
from benchmarks.servers import PinnedServer, choose_cores, pinned

ROOT = Path(__file__).resolve().parents[2]

HTTP_SERVER = """
import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""
"""A server with a worker in a session of its own, as BentoML's are, that does not end with it."""


def measured(rate: float, latency: float | None, reasons: dict[str, int] | None = None) -> dict[str, Any]:
    reasons = reasons or {}
    return {
        "requests_per_second": rate,
        "rows_per_second": rate,
        "p50": latency,
        "p90": latency,
        "p99": latency,
        "errors": sum(reasons.values()),
        "reasons": reasons,
    }


def comparison(ours: list[float], classic: list[float], reasons: dict[str, int] | None = None) -> Comparison:
    rounds = {
        OURS: [dict.fromkeys(SCENARIOS, measured(rate, 1000 / rate)) for rate in ours],
        CLASSIC: [dict.fromkeys(SCENARIOS, measured(rate, 1000 / rate)) for rate in classic],
    }
    rounds[OURS][0] = {**rounds[OURS][0], "one_row": measured(ours[0], 1000 / ours[0], reasons)}
    return Comparison(rounds, {OURS: 15.7, CLASSIC: 15.8}, (None, None))


def test_the_ratio_is_of_medians() -> None:
    made = comparison([100, 3000, 2000], [50, 1, 100])
    assert median(made.rounds[OURS], "one_row", "requests_per_second") == 2000
    assert made.ratio == 40
    assert made.document()["one_row_ratio"] == 40
    json.dumps(made.document(), allow_nan=False)


def test_the_table_shows_every_figure() -> None:
    table = comparison([2000], [50], {"status 500": 7}).table()
    assert "2,000" in table
    assert "40.0" in table
    assert "15.70" in table
    assert "7" in next(line for line in table.splitlines() if line.startswith("errors"))


def test_a_server_that_returned_nothing_has_no_ratio() -> None:
    made = comparison([2000], [50])
    made.rounds[CLASSIC][0]["one_row"] = measured(0, None)
    assert made.ratio is None
    assert "-" in made.table()
    assert judge(made, None) == 0
    assert judge(made, 10) == 1


@pytest.mark.parametrize(("required", "code"), [(None, 0), (40, 0), (40.5, 1)])
def test_the_required_ratio(required: float | None, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison([2000], [50]), required) == code
    assert ("40.0, below 40.5" in capsys.readouterr().err) == bool(code)


def test_errors_fail_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison([2000], [50], {"status 500": 7}), None) == 1
    assert "this service: 7 requests failed: status 500" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "refused"), [(3.0, False), (30.0, True)])
def test_predictions_worse_than_the_baseline_are_refused(
    error: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(50, dtype=np.float64)
    sample = Sample([str(n).encode() for n in range(50)], labels, labels - 10)
    monkeypatch.setattr(accuracy, "_predict", lambda _name, _url, rows: np.array([float(row) + error for row in rows]))
    if refused:
        with pytest.raises(BenchmarkError, match=r"RMSE 30\.00 minutes, where dep_delay has 10\.00"):
            measure_rmse("service", "", sample)
    else:
        assert measure_rmse("service", "", sample) == pytest.approx(error)


def test_a_server_that_is_not_there_is_named() -> None:
    sample = Sample([b"{}"], np.zeros(1), np.zeros(1))
    with pytest.raises(BenchmarkError, match="The classic scaffold cannot be reached"):
        measure_rmse("classic scaffold", "http://127.0.0.1:9/predict", sample)


def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
    server, load = choose_cores()
    assert (server is None) == (load is None) == (len(before) == 1)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nobody_outlives_a_server(end: str, tmp_path: Path) -> None:
    server = PinnedServer(choose_cores()[0], tmp_path / "log", {}, [sys.executable, "-c", HTTP_SERVER]).start()
    with urllib.request.urlopen(f"{server.url}/readyz") as response:
        assert response.status == 200
    workers = psutil.Process(server.process.pid).children(recursive=True)
    assert workers
    if server._core is not None:
        assert all(process.cpu_affinity() == [server._core] for process in workers)
    getattr(server, end)()
    psutil.wait_procs(workers, timeout=5)
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--classic-python", "no/such/python"], 3, "There is no no/such/python: run `make bench`"),
        (
            ["--classic-python", sys.executable],
            3,
            "There is no model no-such:latest in the store",
        ),
        (["--check", "much"], 2, "invalid float value: 'much'"),
    ],
)
def test_what_is_missing_is_reported_in_one_line(arguments: list[str], code: int, message: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "classic", "--quick", *arguments]
    environment = {**os.environ, "TABULAR_BENTO_MODEL": "no-such:latest"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_lists_the_benchmarks_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks([]) == benchmarks(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (module, _) in BENCHMARKS.items():
        assert f"  {name} " in shown
        assert find_spec(module) is not None
    assert benchmarks(["no-such"]) == 2
    assert "there is no 'no-such'" in capsys.readouterr().err
