"""A new project of each kind of table: its demo, its tests and its bento, without an edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabular_bento.client import PROTOCOLS
from tests.integration.examples.projects import Project, run_tests
from tests.models import run_command
from tests.tables import customers, rentals, wines, written

TABLES = {
    "rentals.csv": (rentals, ("--target", "rented", "--time", "when", "--id", "ride_no")),
    "customers.csv": (customers, ("--target", "Leaves?")),
    "wines.parquet": (wines, ("--target", "kind")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_new_project_trains_serves_reports_is_tested_and_is_built(name: str, tmp_path: Path) -> None:
    table, options = TABLES[name]
    data, folder = written(table(), tmp_path / name), tmp_path / "project"
    made = run_command("new", str(folder), "--from", str(data), *options)
    assert made.returncode == 0, made.stderr
    project = Project(folder, tmp_path / "bentoml", tmp_path / "demo")
    demo = project.demo()
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    sent = sum(part["rows"] for part in demo["replay"])
    assert sent > 100
    assert sum(part["rows_served"] for part in demo["replay"]) == sent
    assert sum(part["labels_sent"] for part in demo["replay"]) == sent
    assert demo["skew"]["differing"] == 0
    assert Path(demo["drift"]["report"]).is_file()
    tested = run_tests(folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert project.bento(project.build()).is_dir()
