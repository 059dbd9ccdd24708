"""The example of a Pipeline of scikit-learn that was fitted elsewhere, and has no features."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.client import PROTOCOLS
from tests.environments import environment
from tests.integration.examples.projects import Project, run_tests
from tests.models import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "pipeline"
PREDICT = """
import json, sys
import pandas as pd
import skops.io
pipeline = skops.io.load(sys.argv[1], trusted=skops.io.get_untrusted_types(file=sys.argv[1]))
rows = pd.DataFrame(json.load(sys.stdin))
print(json.dumps([pipeline.predict(rows).tolist(), pipeline.predict_proba(rows).tolist()]))
"""
"""What the Pipeline predicts by itself, in a process that has nothing of this library."""

ROWS: list[dict[str, Any]] = [
    {"species": species, "island": island, "bill_length_mm": bill, "body_mass_g": mass, **rest}
    for species, island in (("Gentoo", "Biscoe"), ("Adelie", "Dream"), ("Emperor", "Torgersen"))
    for bill, mass in ((38.5, 3300.0), (47.25, None), (None, 5700.0))
    for rest in (
        {"bill_depth_mm": 15.5, "flipper_length_mm": 199.0},
        {"bill_depth_mm": 19.0, "flipper_length_mm": None},
    )
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with the imported model in its store."""
    folder = tmp_path_factory.mktemp("pipeline")
    subprocess.run([sys.executable, FOLDER / "elsewhere" / "fit.py", folder], check=True)
    found = Project(FOLDER, folder / "bentoml", folder / "demo")
    file, rows = str(folder / "pipeline.skops"), str(folder / "sample.parquet")
    refused = found.run("import", file, "--rows", rows, expect=3)
    assert "sklearn.tree._tree.Tree" in refused.stderr
    assert "--trust" in refused.stderr
    found.run("import", file, "--rows", rows, "--trust")
    return found


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return project.demo("--model", "latest")


def test_the_demo_serves_the_imported_model_and_recomputes_its_predictions(
    project: Project, demo: dict[str, Any]
) -> None:
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    served = sum(part["rows_served"] for part in demo["replay"])
    assert served == sum(part["labels_sent"] for part in demo["replay"]) > 50
    assert not any(part["errors"] for part in demo["replay"])
    assert (demo["compare"], demo["skew"]["differing"], demo["skew"]["checked"]) == (None, 0, served)
    result = json.loads(Path(demo["drift"]["result"]).read_text())
    roles = {column["name"]: column["role"] for column in result["columns"]}
    assert roles["body_mass_g"] == "input"
    provenance = json.loads((project.package(demo["model"]) / "provenance.json").read_text())
    assert provenance["imported"]["file"] == "pipeline.skops"


def test_its_bento_predicts_over_every_protocol_what_the_pipeline_does(
    project: Project, demo: dict[str, Any], tmp_path: Path
) -> None:
    assert demo["model"]
    file = project.out.parent / "pipeline.skops"
    command = [sys.executable, "-c", PREDICT, str(file)]
    direct = subprocess.run(command, input=json.dumps(ROWS), capture_output=True, text=True, check=True, cwd=tmp_path)
    labels, probabilities = json.loads(direct.stdout)
    bento = project.build()
    with project.serve(bento, environment("serving-pipeline", "pipeline"), tmp_path) as client:
        predicted = {name: client.predict(ROWS, protocol=name) for name in PROTOCOLS}
    for name, rows in predicted.items():
        assert [row["sex"] for row in rows] == labels, name
        found = [list(row["probability"].values()) for row in rows]
        np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-14)


def test_its_own_tests_pass() -> None:
    result = run_tests(FOLDER)
    assert result.returncode == 0, result.stdout + result.stderr
