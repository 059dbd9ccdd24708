"""`tabular-bento import` of files that Keras and scikit-learn wrote, in a project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from tabular_bento.scoring.package import ModelPackage
from tests.models import ROOT, run_command
from tests.unit.models import PARCELS, folder_of, parcels

PROBLEM = "from tests.unit.models import PARCELS as PROBLEM\n"
SOURCE = """\
from tests.unit.models import parcels


class Parcels:
    def load(self, uri=None):
        return parcels()


SOURCE = Parcels()
"""
SETTINGS = "report = false\nresamples = 100\n[gate]\nmax_rmse = 1e-6\n"
PYPROJECT = """\
[tool.tabular-bento]
problem = "features.problem:PROBLEM"
source = "training.source:SOURCE"
training = "training/config.toml"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": PYPROJECT,
        "features/__init__.py": "",
        "features/problem.py": PROBLEM,
        "training/__init__.py": "",
        "training/source.py": SOURCE,
        "training/config.toml": SETTINGS,
    }
    for name, text in files.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


def run(project: Path, *arguments: str) -> Any:
    environment = {
        "BENTOML_HOME": str(project.parent / "store"),
        "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
    }
    return run_command("import", *arguments, cwd=project, **environment)


@pytest.mark.slow
def test_a_keras_file_becomes_a_package(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="gelu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((len(PARCELS.feature_names),)), *layers])
    model.save(tmp_path / "model.keras")
    refused = run(project, str(tmp_path / "model.keras"))
    assert refused.returncode == 1
    assert "The model is not saved: on the test part RMSE" in refused.stderr
    result = run(project, str(tmp_path / "model.keras"), "--force", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout.splitlines()[-1])
    folder = folder_of(tmp_path / "store", document["tag"])
    package = ModelPackage.load(folder, document["tag"], PARCELS)
    assert package.fingerprint == document["fingerprint"]
    assert package.parity_rows > 10
    assert package.provenance["imported"]["file"] == "model.keras"
    assert package.provenance["parameters"] == {}
    predictions = package.predictor.predict_columns(parcels().columns)
    theirs = np.asarray(model(predictions.features))[:, 0]
    np.testing.assert_allclose(predictions.outputs["cost"], theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_a_file_that_cannot_be_imported_ends_the_command_with_one_line(project: Path, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK")
    for name, code, message in (
        ("model.keras", 3, "is no whole .keras file, which is a ZIP archive"),
        ("nothing.keras", 3, "cannot be read: No such file or directory"),
        ("model.h5", 2, "models are imported from files that end in .keras"),
    ):
        result = run(project, str(tmp_path / name))
        assert result.returncode == code, result.stderr
        (line,) = result.stderr.splitlines()
        assert message in line


CLASSES = """\
from tabular_bento import Binary, Field, Kind, Problem

PROBLEM = Problem(
    name="claims",
    rows="claims",
    fields=(Field("age", Kind.NUMBER, "Age"), Field("power", Kind.NUMBER, "Power")),
    task=Binary(Field("late", Kind.TEXT, "Late"), classes=("no", "yes")),
)
"""
TABLE = """\
from features.problem import PROBLEM
from tabular_bento.data import TableSource

SOURCE = TableSource(PROBLEM, "claims.parquet")
"""
CALIBRATED = """\
report = false
resamples = 100
calibration = "platt"
[split]
train = 0.5
validation = 0.1
calibration = 0.2
test = 0.2
"""


@pytest.mark.slow
@pytest.mark.parametrize("calibrate", [False, True])
def test_the_probabilities_are_those_of_the_file_unless_they_are_to_be_calibrated(
    project: Path, tmp_path: Path, calibrate: bool
) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"age": random.uniform(18, 80, 900), "power": random.normal(80, 9, 900)})
    labels = np.where(frame["age"] + random.normal(0, 30, 900) > 50, "yes", "no")
    estimator = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(frame[:600], labels[:600])
    joblib.dump(estimator, tmp_path / "overfitted.joblib")
    (project / "features" / "problem.py").write_text(CLASSES)
    (project / "training" / "source.py").write_text(TABLE)
    frame.assign(late=labels).to_parquet(project / "claims.parquet")
    (project / "training" / "config.toml").write_text(CALIBRATED)
    options = ["--trust", "--force", "--json", *(["--calibrate"] if calibrate else [])]
    result = run(project, str(tmp_path / "overfitted.joblib"), *options)
    assert result.returncode == 0, result.stderr
    tag = json.loads(result.stdout.splitlines()[-1])["tag"]
    names: dict[str, Any] = {}
    exec(CLASSES, names)
    package = ModelPackage.load(folder_of(tmp_path / "store", tag), tag, names["PROBLEM"])
    columns = {name: frame[name].to_numpy() for name in frame}
    found = package.predictor.predict_columns(columns).outputs["probability"]
    off = np.abs(found[:, 1] - estimator.predict_proba(frame)[:, 1]).max()
    assert off > 0.05 if calibrate else off < 1e-9
