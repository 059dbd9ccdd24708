"""The guides, run: what they say is typed, and their Python is executed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.integration.examples.projects import run_tests
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
def test_a_feature_is_written_as_the_guide_says(project: Path) -> None:
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
