"""The demo, from data to the report in a browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tabular_bento.serving.ports import free_port
from tests.browser import rendered
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the demo filled, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    environment = {**os.environ, "PORT": str(free_port()), "GRPC_PORT": str(free_port())}
    command = [sys.executable, "demo.py", "--folder", str(folder)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def test_it_ends_with_a_table_of_what_happened(demo: tuple[Path, str]) -> None:
    table = dict(re.findall(r"^(\S.*?)  +(\S.*)$", demo[1].split("== done")[1], re.MULTILINE))

    assert int(table["flights served"].replace(",", "")) >= 5000
    assert table["errors"] == "0"
    assert float(table["RMSE, ratio"]) < 0.92
    assert table["drift"] == "drift"
    assert Path(table["report"]).exists()
    assert table["rows that differ offline"] == "0 of 6,000"


def test_every_flight_served_is_in_the_log(demo: tuple[Path, str]) -> None:
    lines = [
        json.loads(line)
        for path in (demo[0] / "traffic" / "predictions").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]

    assert len(lines) == len({line["prediction_id"] for line in lines}) == 6000
    assert {line["sched_dep"][:7] for line in lines} == {"2013-07", "2013-08", "2013-09"}


def test_the_report_shows_the_drift_in_a_browser_without_a_network(demo: tuple[Path, str], tmp_path: Path) -> None:
    page = demo[0] / "drift" / "report.html"
    result = json.loads((demo[0] / "drift" / "result.json").read_text())
    drifted = [column["name"] for column in result["columns"] if column["drifted"]]
    html = rendered(page, tmp_path)

    assert page.stat().st_size < 8 << 20
    assert result["verdict"] == "drift"
    assert "temp" in drifted
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    for name in drifted:
        assert f"Drift in column '{name}'" in text, f"Evidently's plot of {name} is not rendered"
    assert text.index("Findings") < text.index("Drift in column")
    assert text.count('class="main-svg"') > len(drifted)


def test_a_port_in_use_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "demo.py", "--port", str(port), "--folder", str(tmp_path / "demo")]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert f"Port {port} is in use" in result.stderr
    assert "Traceback" not in result.stderr
