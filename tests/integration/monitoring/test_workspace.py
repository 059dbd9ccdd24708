"""The Evidently workspace, read by Evidently: its own API, and its own server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.monitoring.drift.job import Judgement
from tabular_bento.monitoring.drift.workspace import PANELS, add_to_workspace, metrics, project_name
from tabular_bento.serving.ports import free_port
from tests.integration.monitoring.test_history import windowed


@pytest.fixture
def folder(tmp_path: Path, july: Judgement) -> Path:
    """A workspace of three days, the second of which was judged twice."""
    folder = tmp_path / "workspace"
    for day, verdict in ((0, "drift"), (1, "drift"), (2, "no_drift"), (1, "no_drift")):
        add_to_workspace(folder, windowed(july.result, day, verdict))  # type: ignore[arg-type]
    return folder


def test_a_window_is_one_snapshot(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace

        workspace = Workspace.create(str(folder))
        (project,) = workspace.list_projects()
        runs = [workspace.get_run(project.id, run) for run in workspace.list_runs(project.id)]
        dashboard = workspace.get_dashboard(project.id)
    assert project.name == "Drift of m by day of time"
    found = sorted((run.timestamp, run.metadata["verdict"]) for run in runs if run)
    assert found == [
        (datetime(2013, 7, 2), "drift"),
        (datetime(2013, 7, 3), "no_drift"),
        (datetime(2013, 7, 4), "no_drift"),
    ]
    assert [tab.title for tab in dashboard.tabs] == ["Drift", "Columns"]
    assert len({panel.id for panel in dashboard.panels}) == len(PANELS) + 1
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".workspace.")] == [".workspace.lock"]


def test_panels_that_a_user_changed_stay(folder: Path, july: Judgement) -> None:
    (board,) = folder.glob("*/dashboard.json")
    board.write_text('{"tabs": [], "panels": []}')
    add_to_workspace(folder, windowed(july.result, 7))
    assert json.loads(board.read_text()) == {"tabs": [], "panels": []}


@pytest.fixture
def ui(folder: Path) -> Iterator[str]:
    """`evidently ui` on the workspace, and its address."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("evidently")), "ui", "--workspace", str(folder), "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "DO_NOT_TRACK": "1"}
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/api/version").close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def asked(address: str, document: Any = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_evidently_draws_the_trend(ui: str, july: Judgement) -> None:
    (project,) = asked(f"{ui}/api/projects")
    dashboard = asked(f"{ui}/api/v2/dashboards/{project['id']}")
    (panel,) = (one for one in dashboard["panels"] if one["title"] == "Share of features drifted")
    keys = ("metric", "metric_labels", "tags", "metadata")
    query = {"series_filter": [{key: value[key] for key in keys} for value in panel["values"]]}
    series = asked(f"{ui}/api/v2/snapshots/{project['id']}/data_series_batch", query)
    drawn = {one["params"]["figure"]: one["values"] for one in series["series"]}
    assert drawn["drifted_share"] == pytest.approx([metrics(july.result)["drifted_share"]] * 3)
    assert drawn["max_drifted_share"] == [0.1] * 3


def test_windows_of_a_length_are_a_project(july: Judgement) -> None:
    names = [project_name(windowed(july.result, 0, length=length)) for length in (1, 7, 10, 28, 30, 31)]
    assert names == [f"Drift of m by {span} of time" for span in ("day", "week", "10 days", "month", "month", "month")]
