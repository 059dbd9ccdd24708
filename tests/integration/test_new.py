"""A new project of each kind of table: its demo, its tests and its bento, without an edit."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from tabular_bento.client import PROTOCOLS
from tabular_bento.testing.served import PROTOCOLS as SERVED
from tests.integration.container.conftest import engine
from tests.integration.container.engine import stand_in
from tests.integration.examples.projects import Project, run_tests
from tests.models import run_command
from tests.tables import customers, rentals, wines, written

__all__ = ["engine"]

TABLES = {
    "rentals.csv": (rentals, ("--target", "rented", "--time", "when", "--id", "ride_no")),
    "customers.csv": (customers, ("--target", "Leaves?")),
    "wines.parquet": (wines, ("--target", "kind")),
}


def new_project(name: str, folder: Path) -> Project:
    """A project of one of the tables, made by the command."""
    table, options = TABLES[name]
    made = run_command("new", str(folder / "project"), "--from", str(written(table(), folder / name)), *options)
    assert made.returncode == 0, made.stderr
    return Project(folder / "project", folder / "bentoml", folder / "demo")


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_new_project_trains_serves_reports_is_tested_and_is_built(name: str, tmp_path: Path) -> None:
    project = new_project(name, tmp_path)
    demo = project.demo()
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    sent = sum(part["rows"] for part in demo["replay"])
    assert sent > 100
    assert sum(part["rows_served"] for part in demo["replay"]) == sent
    assert sum(part["labels_sent"] for part in demo["replay"]) == sent
    assert demo["skew"]["differing"] == 0
    assert Path(demo["drift"]["report"]).is_file()
    tested = run_tests(project.folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert project.bento(project.build()).is_dir()


@pytest.mark.container
@pytest.mark.usefixtures("engine")
def test_the_image_of_a_new_project_returns_the_parity_vectors(tmp_path: Path) -> None:
    project, image = new_project("wines.parquet", tmp_path), f"localhost/wines-test:{uuid.uuid4().hex[:12]}"
    try:
        steps = ("train", "release", "build", "containerize", "smoke")
        printed = project.make(*steps, f"IMAGE={image}", BASE_IMAGE=stand_in(tmp_path))
        for protocol in SERVED:
            assert f"120 parity vectors equal over {protocol}" in printed
    finally:
        subprocess.run(["podman", "image", "rm", "--force", image], check=False, stdout=subprocess.DEVNULL)
