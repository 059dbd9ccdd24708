"""The demo, from data to the reports in a browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.client import PROTOCOLS
from tabular_bento.serving.ports import free_port
from tests.browser import browser
from tests.lines import logged
from tests.models import ROOT

FLIGHTS = 6_000


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python demo.py ARGUMENTS`, as `make demo` does."""
    command = [sys.executable, "demo.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the demo filled, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    store = {"BENTOML_HOME": str(folder.parent / "bentoml"), "TABULAR_BENTO_COMPARE_MAX_LATENCY_RATIO": "1000"}
    ports = {"PORT": str(free_port()), "TABULAR_BENTO_GRPC_PORT": str(free_port())}
    result = run_demo("--folder", str(folder), "--json", **store, **ports)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


@pytest.fixture(scope="module")
def document(demo: tuple[Path, str]) -> dict[str, Any]:
    """What it ended with as JSON."""
    found: dict[str, Any] = json.loads(demo[1].splitlines()[-1])
    return found


@pytest.mark.slow
def test_it_ends_with_a_table_of_what_happened(demo: tuple[Path, str]) -> None:
    table = dict(re.findall(r"^(\S.*?)  +(\S.*)$", demo[1].split("== done")[1], re.MULTILINE))

    assert table["rows served"] == f"{FLIGHTS:,}, over {len(PROTOCOLS)} protocols"
    assert table["errors"] == "0"
    assert float(table["RMSE, ratio"]) < 0.92
    assert table["drift"] == "drift"
    assert Path(table["report"]).exists()
    assert f"\nthe report is {(demo[0] / 'drift' / 'report.html').resolve()}\n" in demo[1]
    assert table["rows that differ offline"] == f"0 of {FLIGHTS:,}"


@pytest.mark.slow
def test_every_flight_served_is_in_the_log(demo: tuple[Path, str], document: dict[str, Any]) -> None:
    lines = logged(demo[0] / "traffic", "predictions")
    assert len(lines) == len({line["prediction_id"] for line in lines}) == FLIGHTS
    first, last = document["replay"][0]["first_event"], document["replay"][0]["last_event"]
    assert (first[:7], last[:7]) == ("2013-07", "2013-09")


@pytest.mark.slow
def test_the_report_shows_the_drift_in_a_browser_without_a_network(demo: tuple[Path, str]) -> None:
    page = demo[0] / "drift" / "report.html"
    result = json.loads((demo[0] / "drift" / "result.json").read_text())
    drifted = [column["name"] for column in result["columns"] if column["drifted"]]

    assert page.stat().st_size < 5 << 20
    assert result["verdict"] == "drift"
    assert "temp" in drifted
    with browser() as opened:
        seen = opened.open(page)
        assert (seen.fetched, seen.errors) == ([], [])
        assert seen.value("document.querySelectorAll('#most-drifted svg.main-svg').length") >= 3
        seen.value("document.querySelector('details.embedded > summary').click()")
        inside = "document.querySelector('iframe')?.contentDocument?.body"
        seen.wait_for(f"{inside}?.querySelectorAll('.js-plotly-plot').length > {len(drifted)}")
        text = seen.value(f"{inside}.innerText")
    for name in drifted:
        assert f"Drift in column '{name}'" in text, f"Evidently's plot of {name} is not rendered"


@pytest.mark.slow
def test_the_model_of_another_seed_is_compared_on_what_was_logged(document: dict[str, Any]) -> None:
    assert document["compare"]["verdict"] in ("accepted", "cannot_tell")
    assert document["compare"]["labels"] > 5_000
    assert Path(document["compare"]["report"]).exists()


def test_a_port_in_use_is_one_line_before_anything_is_trained(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_demo("--port", str(port), "--grpc-port", "0", "--folder", str(tmp_path / "demo"))

    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"tabular-bento demo: Port {port} is in use")
    assert "train" not in result.stdout
