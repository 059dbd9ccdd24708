"""The example of two classes, one of them rare, with an event time and a calibration part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.examples.projects import Project, run_tests
from tests.models import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "disruptions"
ROWS = 6_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("disruptions")
    return Project(FOLDER, folder / "bentoml", folder / "demo")


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return project.demo("--months", "2013-09:2013-09", "--rows", str(ROWS))


def test_the_demo_sends_rows_and_labels_and_recomputes_them_to_the_bit(demo: dict[str, Any]) -> None:
    assert sum(part["rows_served"] for part in demo["replay"]) == ROWS
    assert sum(part["labels_sent"] for part in demo["replay"]) == ROWS
    assert not any(part["errors"] for part in demo["replay"])
    assert demo["skew"]["checked"] > 0
    assert demo["skew"]["differing"] == 0


def test_the_model_beats_the_share_of_disruptions_in_the_months_after_training(
    project: Project, demo: dict[str, Any]
) -> None:
    document = json.loads((project.package(demo["model"]) / "metrics.json").read_text())
    measured, naive = document["metrics"]["test"], document["baselines"]["naive_baseline"]["test"]
    assert measured["log_loss"] < 0.95 * naive["log_loss"]
    assert measured["roc_auc"] > 0.7
    low, high = measured["log_loss_interval"]
    assert low < measured["log_loss"] < high


def test_the_drift_report_measures_log_loss_and_estimates_it_without_labels(demo: dict[str, Any]) -> None:
    result = json.loads(Path(demo["drift"]["result"]).read_text())
    assert result["metric"] == "log_loss"
    assert demo["drift"]["verdict"] in ("no_drift", "warning", "drift")
    columns = {column["name"] for column in result["columns"]}
    assert {"disrupted", "probability.true"} <= columns


def test_its_own_tests_pass() -> None:
    result = run_tests(FOLDER)
    assert result.returncode == 0, result.stdout + result.stderr
