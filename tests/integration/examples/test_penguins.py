"""The example of three classes, with measurements that are missing in some rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.client import PROTOCOLS
from tests.browser import browser
from tests.environments import environment
from tests.integration.examples.projects import Project, run_tests, shown
from tests.models import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "penguins"
SPECIES = ("Adelie", "Chinstrap", "Gentoo")
PENGUIN = {"island": "Dream", "bill_length": 46.5, "bill_depth": 17.9, "flipper_length": 192.0, "body_mass": 3500.0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("penguins")
    return Project(FOLDER, folder / "bentoml", folder / "demo")


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return project.demo()


def test_the_demo_sends_every_row_and_its_label_over_some_protocol(demo: dict[str, Any]) -> None:
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    served, labels = (sum(part[name] for part in demo["replay"]) for name in ("rows_served", "labels_sent"))
    assert served == labels
    assert 80 <= served <= 90  # a quarter of each species
    assert not any(part["errors"] for part in demo["replay"])


def test_its_reports_say_what_so_few_rows_cannot_show(demo: dict[str, Any]) -> None:
    assert demo["drift"]["verdict"] == "not_enough_data"
    found = " ".join(demo["drift"]["findings"])
    assert "500 are needed" in found
    assert "without labels no metric is estimated: " in found
    assert demo["compare"]["verdict"] == "cannot_tell"
    assert demo["skew"]["differing"] == 0
    result = json.loads(Path(demo["drift"]["result"]).read_text())
    assert result["metric"] == "log_loss"
    page = re.sub(r"<script.*?</script>", "", Path(demo["drift"]["report"]).read_text(), flags=re.DOTALL)
    assert "log loss" in page
    assert "RMSE" not in page


def test_every_page_opens_in_a_browser(project: Project, demo: dict[str, Any]) -> None:
    with browser() as opened:
        texts = {kind: shown(opened, page) for kind, page in project.pages(demo).items()}
    for chart in ("Calibration", "Confusion matrix", "ROC curve", "Precision and recall"):
        assert chart in texts["training"]
    for kind in ("training", "drift", "runs", "skew"):
        assert "No event time: " in texts[kind], kind


def test_its_bento_returns_a_species_and_a_probability_of_each_over_every_protocol(
    project: Project, demo: dict[str, Any], tmp_path: Path
) -> None:
    assert demo["model"]
    bento = project.build()
    with project.serve(bento, environment("serving", "xgboost"), tmp_path) as client:
        predicted = {name: client.predict([PENGUIN, PENGUIN], protocol=name) for name in PROTOCOLS}
    for rows in predicted.values():
        for row in rows:
            assert row["species"] in SPECIES
            assert tuple(row["probability"]) == SPECIES
            assert sum(row["probability"].values()) == pytest.approx(1)
            assert row["probability"][row["species"]] == max(row["probability"].values())
    assert len({json.dumps([row["probability"] for row in rows]) for rows in predicted.values()}) == 1


def test_its_own_tests_pass() -> None:
    result = run_tests(FOLDER)
    assert result.returncode == 0, result.stdout + result.stderr
