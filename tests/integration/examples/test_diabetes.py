"""The example of few rows, without time, offset, segments or look-ups."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.client import PROTOCOLS
from tabular_bento.testing.container import RunningImage
from tabular_bento.testing.served import check_served
from tests.browser import browser
from tests.environments import environment
from tests.integration.container.engine import stand_in
from tests.integration.examples.projects import Project, run_tests, shown
from tests.models import ROOT, run_command

FOLDER = ROOT / "examples" / "diabetes"
MOST_LINES = 120
PATIENT = {"age": 59.0, "sex": 2, "bmi": 32.1, "bp": 101.0, "tc": 157.0, "ldl": 93.2, "hdl": 38.0, "glu": 87.0}


def test_it_is_a_project_of_few_lines() -> None:
    lines = [line for path in FOLDER.rglob("*.py") for line in path.read_text().splitlines()]
    assert 0 < len(lines) <= MOST_LINES
    wanted = {"service.py", "bentofile.yaml", "pyproject.toml", "Makefile", "README.md"}
    assert wanted <= {path.name for path in FOLDER.iterdir()}
    assert (FOLDER / "Makefile").read_text() == "include ../project.mk\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("diabetes")
    return Project(FOLDER, folder / "bentoml", folder / "demo")


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return project.demo()


@pytest.fixture(scope="module")
def bento(project: Project, demo: dict[str, Any]) -> str:  # noqa: ARG001
    return project.build()


@pytest.mark.slow
def test_the_demo_sends_every_row_over_some_protocol(demo: dict[str, Any]) -> None:
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    assert sum(part["rows_served"] for part in demo["replay"]) == 111
    assert sum(part["labels_sent"] for part in demo["replay"]) == 111
    assert not any(part["errors"] for part in demo["replay"])


@pytest.mark.slow
def test_its_reports_say_what_so_few_rows_cannot_show(demo: dict[str, Any]) -> None:
    assert demo["drift"]["verdict"] == "not_enough_data"
    assert "111 rows; 500 are needed" in " ".join(demo["drift"]["findings"])
    assert demo["compare"]["verdict"] == "cannot_tell"
    assert "Not enough data: 111 labels; at this spread about " in " ".join(demo["compare"]["reasons"])
    assert (demo["skew"]["checked"], demo["skew"]["differing"]) == (111, 0)
    pages = [Path(demo["drift"]["report"]), Path(demo["compare"]["report"])]
    drift, comparison = (re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL) for page in pages)
    assert "500 are needed" in drift
    assert "no event time" in comparison
    notes = json.loads(Path(demo["compare"]["result"]).read_text())["notes"]
    assert any("declares no segments" in note for note in notes)


@pytest.mark.slow
def test_every_page_opens_in_a_browser_and_says_what_is_missing(project: Project, demo: dict[str, Any]) -> None:
    """In windows of a laptop and a phone, light and dark, without a network."""
    pages = project.pages(demo)
    with browser() as opened:
        texts = {kind: shown(opened, page) for kind, page in pages.items()}
    missing = {
        "training": ("No event time: ", "No offset: ", "No historical baseline: ", "No segments: "),
        "drift": ("No event time: ", "No offset: ", "No historical baseline: ", "No segments: ", "500 are needed"),
        "runs": ("No event time: ",),
        "comparison": ("no event time", "declares no segments"),
        "skew": ("No event time: ",),
    }
    for kind, lines in missing.items():
        for line in lines:
            assert line in texts[kind], kind
    result = project.run("report", "--dir", str(project.out), "--path")
    assert Path(result.stdout.strip()) == pages["skew"].resolve()


@pytest.mark.slow
def test_its_bento_holds_the_library_and_the_lock_of_its_runner(project: Project, bento: str) -> None:
    folder = project.bento(bento)
    copied = {str(path.relative_to(folder / "src")) for path in (folder / "src" / "tabular_bento").rglob("*.py")}
    tracked = subprocess.run(
        ["git", "ls-files", "tabular_bento/*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= copied
    lock = ROOT / "tabular_bento" / "serving" / "locks" / "xgboost.txt"
    locked, packed = (
        {
            re.sub(r"[\s\"'\\]", "", line)
            for line in path.read_text().splitlines()
            if re.search("^ *--hash|^[^#]*==", line)
        }
        for path in (lock, folder / "env" / "python" / "requirements.txt")
    )
    assert locked <= packed
    assert not (folder / "src" / "training").exists()


@pytest.mark.slow
def test_its_bento_serves_by_tag_where_the_library_is_not_installed(
    project: Project, bento: str, tmp_path: Path
) -> None:
    python = environment("serving", "xgboost")
    without = subprocess.run(
        [python, "-c", "import tabular_bento"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "No module named 'tabular_bento'" in without.stderr
    with project.serve(bento, python, tmp_path) as client:
        predicted = {name: client.predict([PATIENT, PATIENT], protocol=name) for name in PROTOCOLS}
    values = {name: [row["progression"] for row in rows] for name, rows in predicted.items()}
    assert len({tuple(rows) for rows in values.values()}) == 1, values
    assert list((project.out / "served" / "predictions").glob("*.jsonl"))
    assert not list(project.bento(bento).rglob("*.jsonl"))


@pytest.mark.slow
def test_its_own_tests_pass() -> None:
    result = run_tests(FOLDER)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["training", "monitoring"])
def test_its_modules_are_entry_points_of_the_same_commands(module: str, project: Project) -> None:
    result = run_command("--help", module=module, cwd=FOLDER, **project.environment)
    assert result.returncode == 0, result.stderr
    assert f"Usage: python -m {module} " in result.stdout


@pytest.mark.container
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("engine")
def test_its_bento_containerizes(project: Project, demo: dict[str, Any], tmp_path: Path) -> None:
    bento = project.build(BASE_IMAGE=stand_in(tmp_path))
    image = f"localhost/diabetes-test:{bento.split(':')[1]}"
    arguments = ("--backend", "podman", "--image-tag", image, "--opt", "network=host", "--opt", "squash")
    made = run_command("containerize", bento, *arguments, module="bentoml", cwd=FOLDER, **project.environment)
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        with RunningImage(image) as container:
            counts = check_served(project.package(demo["model"]), container.url, container.address)
            assert container.stop() == 0
        assert min(counts.values()) > 10
    finally:
        subprocess.run(["podman", "image", "rm", "--force", image], check=False, stdout=subprocess.DEVNULL)
