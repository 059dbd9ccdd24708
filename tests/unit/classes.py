"""Small classification problems, of a text, an integer and a boolean target, with packages of fitted models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tabular_bento import Binary, Field, Kind, Multiclass, Problem
from tabular_bento.data import Dataset
from tabular_bento.features import Extractor, FeatureSet
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import METRICS_FILE, PROFILE_FILE, PROVENANCE_FILE, write_json, write_predictor
from tabular_bento.scoring.parity import write_parity
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import runner_class
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.tasks import Calibration, Task
from tests.unit.models import folder_of, kind, kind_code, weight, weight_of_all

ROWS = 200
ENTRY = """\
name: {name}
version: {version}
module: ''
labels: {{runner: xgboost}}
options: {{}}
metadata: {{}}
context: {{framework_name: '', framework_versions: {{}}, bentoml_version: 1.4.39, python_version: 3.11.7}}
signatures: {{}}
api_version: v1
creation_time: '2026-01-01T00:00:00+00:00'
"""
"""BentoML's own description of an entry of its store."""
PARAMETERS: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 8, "min_child_weight": 1.0},
    "sklearn": {"max_iter": 8, "min_samples_leaf": 5},
}


def _problem(name: str, task: Task, identifier: str | None = None) -> Problem:
    own = () if identifier is None else (Field(identifier, Kind.TEXT, "Number of the order", optional=True),)
    return Problem(
        name=name,
        rows="parcels",
        fields=(
            *own,
            Field("weight", Kind.NUMBER, "Weight", unit="kg", minimum=0, maximum=100),
            Field("pieces", Kind.INTEGER, "Pieces", minimum=1, maximum=9),
            Field("kind", Kind.TEXT, "Kind", min_length=1, max_length=8, optional=True),
        ),
        task=task,
        features=FeatureSet((weight, kind, weight_of_all), (kind_code,)),
        identifier=identifier,
    )


RETURNED = _problem(
    "returned", Binary(Field("returned", Kind.TEXT, "Whether it comes back"), classes=("no", "yes, at once")), "order"
)
"""Binary, of texts, with an identifier."""

ZONES = _problem("zones", Multiclass(Field("zone", Kind.INTEGER, "Zone"), classes=(30, 10, 20)))
"""Multiclass, of integers that are in no order."""

LATE = _problem("late", Binary(Field("late", Kind.BOOLEAN, "Whether it is late")))
"""Binary, of booleans."""

PROBLEMS = {problem.name: problem for problem in (RETURNED, ZONES, LATE)}
CALIBRATIONS = {
    "returned": Calibration("platt", {"slope": [0.9], "intercept": [0.1]}, threshold=0.4),
    "zones": Calibration("isotonic", {"x": [[0.0, 0.5, 1.0]] * 3, "y": [[0.01, 0.4, 0.98]] * 3}),
    "late": None,
}
RUNNERS = {"returned": "xgboost", "zones": "sklearn", "late": "xgboost"}


@cache
def dataset(name: str, count: int = ROWS, seed: int = 0) -> Dataset:
    """Rows of a problem, every tenth without a label; the heavier a parcel, the later its class."""
    problem, random = PROBLEMS[name], np.random.default_rng(seed)
    kinds = np.array(["box", "tube", None], dtype=object)[random.integers(0, 3, count)]
    columns: dict[str, Any] = {
        "weight": random.uniform(0, 50, count),
        "pieces": random.integers(1, 10, count),
        "kind": kinds,
    }
    if problem.identifier is not None:
        columns[problem.identifier] = np.array([f"order-{index}" for index in range(count)], dtype=object)
    score = columns["weight"] + 10 * (kinds == "tube") + random.normal(0, 8, count)
    classes = problem.task.classes
    codes = np.minimum(score // (60 / len(classes)), len(classes) - 1).clip(0).astype(int)
    labels = [None if index % 10 == 0 else classes[code] for index, code in enumerate(codes)]
    return Dataset.of_table(problem, {**columns, problem.target.name: np.array(labels, dtype=object)})


@cache
def predictor(name: str) -> Predictor:
    """A fitted model of a problem."""
    problem, rows = PROBLEMS[name], dataset(name)
    labelled = rows.where(rows.labelled)
    extractor = Extractor.fit(problem.fields, problem.features, [labelled.fit_data], labelled.tables)
    runner = runner_class(RUNNERS[name])
    parameters = runner.Parameters(**PARAMETERS[RUNNERS[name]])
    X = extractor.transform_columns(labelled.columns)
    fitted = runner.fit(FittingData(X, labelled.residual), parameters, problem.task, seed=1)
    return Predictor(problem, extractor, fitted, CALIBRATIONS[name])


def write(folder: Path, name: str, model: Predictor | None = None) -> str:
    """The package of a problem's model in a new folder, without what monitoring alone needs; its fingerprint."""
    folder.mkdir(parents=True)
    problem, model = PROBLEMS[name], model or predictor(name)
    write_predictor(folder, model, problem)
    rows = rows_of(dataset(name).where(slice(0, 40)).columns, problem.field_names)
    write_parity(folder, rows, model)
    for file in (METRICS_FILE, PROFILE_FILE, PROVENANCE_FILE):
        write_json(folder / file, {})
    return write_manifest(folder)


def store_of_two(home: Path, name: str, other: Predictor) -> tuple[str, str]:
    """A store of BentoML with a problem's model, the latest, and another; the two tags."""
    for version, model in (("one", predictor(name)), ("two", other)):
        folder = folder_of(home, f"{name}:{version}")
        write(folder, name, model)
        (folder / "model.yaml").write_text(ENTRY.format(name=name, version=version))
        write_manifest(folder)
    (home / "models" / name / "latest").write_text("one")
    return f"{name}:one", f"{name}:two"


def requests(name: str, count: int = 20) -> list[dict[str, Any]]:
    """Rows of a problem as a caller sends them, some without their kind."""
    problem = PROBLEMS[name]
    columns = dataset(name).where(slice(0, count)).columns
    plain = {field: values.tolist() for field, values in columns.items()}
    return [
        {field: plain[field][row] for field in problem.field_names if plain[field][row] is not None}
        for row in range(count)
    ]


def expected(name: str, count: int = 20) -> list[dict[str, Any]]:
    """What is predicted for `requests` offline, as JSON has it."""
    problem = PROBLEMS[name]
    outputs = predictor(name).predict_columns(dataset(name).where(slice(0, count)).columns).outputs
    label = bool if problem.target.kind is Kind.BOOLEAN else lambda value: value
    return [
        {
            problem.target.name: label(outputs[problem.target.name].tolist()[row]),
            "probability": dict(zip(problem.task.class_names, outputs["probability"][row].tolist(), strict=True)),
        }
        for row in range(count)
    ]
