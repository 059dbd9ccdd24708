"""What a package says of its training, and what differs now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tabular_bento.errors import ConfigError, PackageError, SnapshotError
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.training import load_config, train
from tabular_bento.training.repeating import PastTraining
from tests.unit import classes, models
from tests.unit.models import DATED, PARCELS, SMALL, parcels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of `PARCELS`, `parcels:first`, in a store of its own."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    folder = models.folder_of(tmp_path, "parcels:first")
    models.write(folder, models.trained("parcels"))
    return folder


def alter(path: Path, **values: object) -> None:
    """Write other values into a document of a package."""
    document = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
    write_manifest(path.parent)


def test_the_same_settings_and_data_make_the_same_package(folder: Path, tmp_path: Path) -> None:
    past = PastTraining.read("first", PARCELS)
    assert past.tag == "parcels:first"
    assert past.config == models.trained("parcels").config
    past.check_data(parcels())
    assert past.notes(PARCELS) == []
    again = train(PARCELS, parcels(), load_config(problem=PARCELS, **past.config.model_dump()))
    assert models.write(tmp_path / "again", again) == past.fingerprint
    assert folder.is_dir()


def test_other_data_are_refused_with_what_differs(folder: Path) -> None:
    past = PastTraining.read("parcels:first", PARCELS)
    with pytest.raises(SnapshotError, match="data are not those that parcels:first was trained on") as error:
        past.check_data(parcels(310))
    assert "\n- rows: 310 where there were 300\n" in str(error.value)
    assert folder.is_dir()


def test_code_and_libraries_that_differ_are_noted(folder: Path) -> None:
    provenance = json.loads((folder / "provenance.json").read_text())
    alter(folder / "provenance.json", libraries={**provenance["libraries"], "numpy": "1.0"}, python="3.8.0")
    changed = replace(PARCELS, rows="parcels", example={})
    notes = PastTraining.read("parcels:first", PARCELS).notes(changed)
    assert notes[0] == "the declaration of the problem has changed"
    assert any(note.startswith("Python is ") and note.endswith("was 3.8.0") for note in notes)
    assert any(note.startswith("numpy is ") and note.endswith("was 1.0") for note in notes)


def test_a_package_that_cannot_be_repeated_says_why(folder: Path) -> None:
    with pytest.raises(PackageError, match="a model of 'parcels', and this project's problem is 'dated'"):
        PastTraining.read("parcels:first", DATED)
    with pytest.raises(PackageError, match="There is no model parcels:second"):
        PastTraining.read("second", PARCELS)
    config = json.loads((folder / "provenance.json").read_text())["config"]
    alter(folder / "provenance.json", config={**config, "rounds": 3})
    with pytest.raises(ConfigError, match="settings of parcels:first are not this version's: rounds"):
        PastTraining.read("first", PARCELS)
    alter(folder / "provenance.json", snapshot=None)
    with pytest.raises(PackageError, match="has no snapshot of its data"):
        PastTraining.read("first", PARCELS)
    (folder / "provenance.json").write_text("{}")
    with pytest.raises(PackageError, match="is damaged"):
        PastTraining.read("first", PARCELS)


def test_a_model_of_classes_is_repeated_with_its_weights_and_its_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    split = {"train": 0.5, "validation": 0.2, "calibration": 0.15, "test": 0.15}
    settings = {"class_weight": {"true": 2.0}, "calibration": "platt", "threshold": 0.4, "split": split}
    problem, rows = classes.LATE, classes.dataset("late", count=400)
    model = train(problem, rows, load_config(problem=problem, **SMALL, **settings))
    fingerprint = models.write(models.folder_of(tmp_path, "late:first"), model)
    past = PastTraining.read("late:first", problem)
    assert past.config.class_weight == {"true": 2.0}
    past.check_data(rows)
    again = train(problem, rows, load_config(problem=problem, **past.config.model_dump()))
    assert models.write(tmp_path / "again", again) == fingerprint == past.fingerprint
    with pytest.raises(SnapshotError, match="rows: 399 where there were 400"):
        past.check_data(rows.where(slice(1, None)))
