"""The guides, run: what they say is typed, and their Python is executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests.integration.examples.projects import Project, run_tests
from tests.models import ROOT, run_command
from tests.tables import written

ROWS = 400


def flats() -> pd.DataFrame:
    """The table of the guides: flats and their rents."""
    rng = np.random.default_rng(5)
    city = rng.choice(["Ulm", "Bonn", "Kiel"], ROWS)
    area = rng.normal(75, 25, ROWS).clip(18, 180).round(1)
    rent = 200 + 8 * area + 150 * (city == "Bonn") + rng.normal(0, 60, ROWS)
    return pd.DataFrame(
        {
            "area": pd.Series(area).mask(rng.random(ROWS) < 0.05),
            "rooms": rng.integers(1, 6, ROWS),
            "city": city,
            "signed": pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(ROWS) // 2, unit="D"),
            "rent": rent.round(2),
        }
    )


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language on a page of docs/."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_ten_lines_of_python_train_serve_and_query(tmp_path: Path) -> None:
    (script,) = (block for block in blocks("first-project.md", "python") if "publish(model)" in block)
    assert len([line for line in script.splitlines() if line.strip()]) <= 11
    imports = [line for line in script.splitlines() if "import" in line]
    assert all(line.startswith("from tabular_bento import") for line in imports), "only public names are imported"
    written(flats(), tmp_path / "flats.csv")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENTOML_HOME": str(tmp_path / "store")}
    command = [sys.executable, "-W", "ignore", "-c", script]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 300 < float(result.stdout.splitlines()[-1]) < 1_500


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the first guide makes, by its own command."""
    folder = tmp_path_factory.mktemp("guide")
    written(flats(), folder / "flats.csv")
    command = re.search(r"\$ tabular-bento (new .*)", blocks("first-project.md", "console")[0])
    assert command
    result = run_command(*command[1].split(), cwd=folder, PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stderr
    return folder / "rents"


@pytest.mark.slow
def test_the_declaration_that_the_guide_shows_is_that_of_a_project(project: Path) -> None:
    text = (project / "features" / "problem.py").read_text()
    shown = next(block for block in blocks("first-project.md", "python") if block.startswith("FIELDS"))
    for line in shown.splitlines():
        kept = re.sub(r"[\d.,]+", "N", line.strip())
        assert kept in ("N", ")", "...") or kept in re.sub(r"[\d.,]+", "N", text), line


@pytest.mark.slow
def test_the_commands_of_the_guide_train_release_serve_label_and_watch(project: Path, tmp_path: Path) -> None:
    made, curls, watch = blocks("first-project.md", "console")[1:4]
    here = Project(project, tmp_path / "store", tmp_path)
    *steps, last = re.findall(r"^\$ make (\w+)", made, re.MULTILINE)
    assert (steps, last) == (["train", "release"], "serve")
    assert "is the champion" in here.make(*steps)
    settings = {**here.environment, "TABULAR_BENTO_GRPC_PORT": "0", "TABULAR_BENTO_TRAFFIC_DIR": str(tmp_path / "log")}
    with ServerProcess(free_port(), tmp_path / "server.log", directory=project, environment=settings) as server:
        predict, feedback = (line.removeprefix("$ ") for line in curls.strip().splitlines())
        (prediction,) = shell(predict, server.port)
        assert 300 < prediction["rent"] < 1_500
        assert shell(feedback.replace("...", prediction["prediction_id"]), server.port) == {"accepted": 1}
    assert watch.startswith("$ make drift ")
    command = ["make", "--no-print-directory", "-o", ".venv/.locked", f"PY={sys.executable}", "drift"]
    drift = subprocess.run(
        command, cwd=project, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert "not_enough_data" in drift.stdout, drift.stdout + drift.stderr
    assert (project / "var" / "drift" / "report.html").is_file()


def shell(command: str, port: int) -> Any:
    """What a command of a guide prints as JSON, sent to a port in the place of the guide's."""
    command = command.replace("localhost:3000", f"localhost:{port}")
    return json.loads(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_a_feature_is_written_as_the_guide_says(project: Path, tmp_path: Path) -> None:
    functions, added, *_ = blocks("write-a-feature.md", "python")
    (project / "features" / "functions.py").write_text(functions)
    imported, features = added.strip().split("\n\n")
    path = project / "features" / "problem.py"
    text = re.sub(r"^FEATURES = \(.*?^\)$", features, path.read_text(), flags=re.DOTALL | re.MULTILINE)
    path.write_text(text.replace("from tabular_bento import", f"{imported}\nfrom tabular_bento import", 1))
    tested = run_tests(project)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    listed = run_command("features", cwd=project, PYTHONPATH=str(ROOT))
    assert listed.returncode == 0, listed.stderr
    for name in ("area_per_room", "area_beside_city"):
        assert name in listed.stdout
    worth = blocks("write-a-feature.md", "console")[1]
    (withheld,) = re.findall(r"# (withheld = .*)", worth)
    (project / "without.toml").write_text(withheld)
    here = Project(project, tmp_path / "store", tmp_path)
    commands = [shlex.split(line) for line in re.findall(r"^\$ make (.*?)(?: +#.*)?$", worth, re.MULTILINE)]
    assert [command[0] for command in commands] == ["train", "train"]
    errors = [float(re.findall(r"^  model +([\d.]+)", here.make(*command), re.MULTILINE)[1]) for command in commands]
    assert errors[0] != errors[1], "the model that is not shown the feature is another"
