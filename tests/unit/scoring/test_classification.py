"""Packages of classification: calibration, and parity vectors of labels and probabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import PackageError
from tabular_bento.scoring.package import PACKAGE_FILE, ModelPackage, read_declaration
from tabular_bento.scoring.parity import VECTORS_FILE
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.tasks import Calibration
from tests.unit import classes, models
from tests.unit.classes import CALIBRATIONS, PROBLEMS
from tests.unit.scoring.test_package import reseal


@pytest.fixture(params=list(PROBLEMS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    classes.write(tmp_path / "package", name)
    return tmp_path / "package"


def load(folder: Path, name: str) -> ModelPackage:
    return ModelPackage.load(folder, f"{name}:one", PROBLEMS[name])


def test_a_package_keeps_the_classes_and_the_calibration(folder: Path, name: str) -> None:
    package = load(folder, name)
    assert read_declaration(folder).task == PROBLEMS[name].task
    assert package.predictor.calibration == CALIBRATIONS[name]
    assert package.parity_rows == 40
    described, calibration = package.describe(), CALIBRATIONS[name]
    assert described.get("calibration") == (None if calibration is None else calibration.to_dict())


def test_labels_and_probabilities_are_the_same_bits_alone_and_in_batches(folder: Path, name: str) -> None:
    package, columns = load(folder, name), classes.dataset(name).columns
    whole = package.predictor.predict_columns(columns)
    again = classes.predictor(name).predict_columns(columns)
    alone = [
        package.predictor.predict_columns({field: values[row : row + 1] for field, values in columns.items()})
        for row in range(100)
    ]
    for output in PROBLEMS[name].outputs:
        values = whole.outputs[output.name]
        assert values.tolist() == again.outputs[output.name].tolist()
        assert values[:100].tolist() == np.concatenate([one.outputs[output.name] for one in alone]).tolist()
    assert len(np.unique(whole.value)) == len(PROBLEMS[name].task.classes)


def test_parity_vectors_of_both_outputs_are_compared(folder: Path, name: str) -> None:
    from tabular_bento.scoring.manifest import write_manifest

    target = PROBLEMS[name].target.name
    with np.load(folder / VECTORS_FILE) as stored:
        arrays = {key: stored[key] for key in stored.files}
    for output in (target, "probability"):
        changed = dict(arrays)
        values = arrays[f"output.{output}"].copy()
        first = (values != values[0]).argmax() if output == target else 0
        values[0] = values[first] if output == target else np.nextafter(values[0], 0)
        changed[f"output.{output}"] = values
        with (folder / VECTORS_FILE).open("wb") as file:
            np.savez(file, **changed)
        write_manifest(folder)
        with pytest.raises(PackageError, match=f"Parity fails alone: row 0 is predicted {output} "):
            load(folder, name)


def test_the_calibration_is_a_part_of_the_fingerprint(tmp_path: Path) -> None:
    plain = classes.predictor("late")
    changed = Predictor(plain.problem, plain.extractor, plain.runner, Calibration(threshold=0.3))
    first, second = classes.write(tmp_path / "one", "late", plain), classes.write(tmp_path / "two", "late", changed)
    assert first != second
    assert "calibration" not in json.loads((tmp_path / "one" / PACKAGE_FILE).read_text())


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ({"method": "beta", "arrays": {}, "threshold": 0.5}, "there is no calibration 'beta'"),
        ({"method": "platt", "arrays": {"slope": [1, 1], "intercept": [0, 0]}, "threshold": 0.5}, "2 entries, not 1"),
        ({"method": "none"}, "KeyError: 'arrays'"),
    ],
)
def test_a_calibration_of_other_content_is_refused(tmp_path: Path, calibration: Any, message: str) -> None:
    classes.write(tmp_path / "package", "late")
    reseal(tmp_path / "package", lambda document: document.update(calibration=calibration))
    with pytest.raises(PackageError, match=f"the calibration in package.json of late:one cannot be used.*{message}"):
        load(tmp_path / "package", "late")


def test_a_regression_has_no_calibration() -> None:
    model = models.trained("parcels").predictor
    with pytest.raises(ValueError, match="a regression has no calibration"):
        Predictor(model.problem, model.extractor, model.runner, Calibration())
