from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.tree import DecisionTreeRegressor

from tabular_bento import Field, Kind
from tabular_bento.errors import PackageError, TrainingError
from tabular_bento.features import FeatureSet
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import FORMAT, PACKAGE_FILE, ModelPackage, read_declaration
from tabular_bento.scoring.parity import VECTORS_FILE
from tabular_bento.scoring.runners import fit_kind, load_runner, runner_class
from tabular_bento.scoring.runners.base import FittingData
from tests.unit import models
from tests.unit.models import PRICES
from tests.unit.scoring.test_manifest import flip

FILES = (
    "error_model.ubj",
    "extractor.json",
    "extractor.npz",
    "manifest.json",
    "metrics.json",
    "model_card.html",
    "package.json",
    "parity.json",
    "parity.npz",
    "profile.json",
    "provenance.json",
    "reference.parquet",
    "runner/model.ubj",
)
"""What a package of an XGBoost model holds, outside of a store."""


def load(folder: Path) -> ModelPackage:
    return ModelPackage.load(folder, "prices:copy", PRICES)


def test_the_package_holds_these_files(folder: Path) -> None:
    assert tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())) == FILES


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_of_any_file_is_refused_by_its_name(copy: Path, name: str, where: float) -> None:
    path = copy / name
    flip(path, round(where * (path.stat().st_size - 1)))
    with pytest.raises(PackageError, match=f"{name} is damaged"):
        load(copy)


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Alter package.json as if the package had been made with it."""
    document = json.loads((folder / PACKAGE_FILE).read_text())
    change(document)
    (folder / PACKAGE_FILE).write_text(json.dumps(document))
    write_manifest(folder)


def test_what_package_json_says(folder: Path, prices_package: ModelPackage) -> None:
    document = json.loads((folder / PACKAGE_FILE).read_text())
    assert document["format"] == FORMAT == 2
    assert read_declaration(folder) == PRICES.declaration == prices_package.declaration
    assert document["declaration_fingerprint"] == PRICES.declaration.fingerprint
    assert document["code_fingerprint"] == PRICES.code_fingerprint
    assert [output["name"] for output in document["outputs"]] == ["price"]
    runner = document["runner"]
    assert (runner["kind"], runner["distribution"], runner["folder"]) == ("xgboost", "xgboost-cpu", "runner")
    assert runner["version"]


def test_another_declaration_is_refused_by_the_field_that_differs(folder: Path) -> None:
    fields = tuple(replace(item, maximum=999) if item.name == "area" else item for item in PRICES.fields)
    with pytest.raises(PackageError, match=r"another declaration \(field 'area' differs\).*Train the model again"):
        ModelPackage.load(folder, "prices:copy", replace(PRICES, fields=fields, example={}))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"fields": PRICES.fields[::-1]}, "the order of fields or features differs"),
        ({"segments": ("city",)}, "its segments differs"),
        ({"event_time": "opened"}, "its event time differs"),
        ({"name": "costs"}, "its name differs"),
        ({"fields": (*PRICES.fields, Field("heated", Kind.BOOLEAN, "Heated"))}, "field 'heated' differs"),
        ({"features": FeatureSet(PRICES.features.features[1:], PRICES.features.shared)}, "feature 'city' differs"),
    ],
)
def test_any_other_declaration_is_refused(folder: Path, other: dict[str, Any], what: str) -> None:
    with pytest.raises(PackageError, match=what):
        ModelPackage.load(folder, "prices:copy", replace(PRICES, **other, example={}))


def test_other_feature_code_is_refused(copy: Path) -> None:
    reseal(copy, lambda document: document.update(code_fingerprint="0" * 64))
    with pytest.raises(PackageError, match=r"other feature code.*Train the model again"):
        load(copy)


def test_an_unknown_kind_of_runner_is_refused_with_those_there_are(copy: Path) -> None:
    reseal(copy, lambda document: document["runner"].update(kind="pickle"))
    with pytest.raises(PackageError, match=r"runner 'pickle'.*xgboost, sklearn.*tabular_bento\.runners"):
        load(copy)


@pytest.mark.parametrize("where", ["..", "/tmp", "../package/runner"])
def test_a_runner_outside_of_the_package_is_not_read(copy: Path, where: str) -> None:
    reseal(copy, lambda document: document["runner"].update(folder=where))
    if where.endswith("runner"):  # which is the package's own
        assert load(copy).parity_rows
        return
    with pytest.raises(PackageError, match=r"package\.json of prices:copy cannot be used"):
        load(copy)


@pytest.mark.parametrize("number", [1, 3, None])
def test_another_format_is_refused(copy: Path, number: int | None) -> None:
    reseal(copy, lambda document: document.update(format=number))
    with pytest.raises(PackageError, match=rf"format {number}, and this version reads 2"):
        load(copy)
    with pytest.raises(PackageError, match="this version reads 2"):
        read_declaration(copy)


def test_a_folder_without_a_package_has_no_declaration(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no package\.json.*tabular-bento train"):
        read_declaration(tmp_path)
    (tmp_path / "declaration.json").write_text("{}")
    with pytest.raises(PackageError, match=r"format 1, and this version reads 2"):
        read_declaration(tmp_path)


def rewrite_arrays(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(path) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    change(arrays)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    write_manifest(path.parent)


def test_a_parity_feature_off_by_one_ulp_is_refused_by_row_and_feature(copy: Path) -> None:
    column = PRICES.feature_names.index("area")

    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["features"][6, column] = np.nextafter(arrays["features"][6, column], np.float32(1e9))

    rewrite_arrays(copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"Parity fails alone: row 6 has area"):
        load(copy)


def test_a_parity_prediction_off_by_one_ulp_is_refused_by_row(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["output.price"][9] = np.nextafter(arrays["output.price"][9], 1e9)

    rewrite_arrays(copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"Parity fails alone: row 9 is predicted price"):
        load(copy)


def test_another_output_is_refused(copy: Path) -> None:
    rewrite_arrays(copy / VECTORS_FILE, lambda arrays: arrays.update({"output.more": arrays["output.price"]}))
    with pytest.raises(PackageError, match="outputs price where training had price, more"):
        load(copy)


def test_an_altered_table_of_the_extractor_is_refused_although_the_sums_match(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["mean_by_floor"][1] += 1

    rewrite_arrays(copy / "extractor.npz", change)
    with pytest.raises(PackageError, match="not the one that was fitted"):
        load(copy)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 5000])
def test_a_file_that_is_no_model_is_refused_by_its_name(copy: Path, content: bytes) -> None:
    (copy / "runner" / "model.ubj").write_bytes(content)
    write_manifest(copy)
    with pytest.raises(PackageError, match=r"model\.ubj cannot be read"):
        load(copy)


@pytest.mark.parametrize("name", ["extractor.json", "extractor.npz", "parity.json", "parity.npz", "package.json"])
def test_a_sealed_file_with_other_content_is_refused_in_one_message(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b'{"nothing": 1}')
    write_manifest(copy)
    with pytest.raises(PackageError, match=name.replace(".", r"\.")):
        load(copy)


def test_a_library_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(PackageError, match=r"runner 'sklearn' needs skops.*: pip install 'tabular-bento\[sklearn\]'"):
        load_runner("sklearn", tmp_path)


def test_at_training_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    data = FittingData(np.zeros((4, 1), np.float32), np.arange(4.0))
    with pytest.raises(
        TrainingError, match=r"runner 'sklearn' needs sklearn.*: pip install 'tabular-bento\[sklearn\]'"
    ):
        fit_kind("sklearn", data, runner_class("sklearn").Parameters(), PRICES.task, 0)


class Trap:
    """Leaves a mark where it is built or unpickled."""

    mark = Path()

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.mark.touch()


def test_a_skops_file_with_a_type_that_is_not_listed_is_refused_and_not_built(tmp_path: Path) -> None:
    regressor = DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
    Trap.mark = tmp_path / "built"
    regressor.trap = Trap()
    skops.io.dump(regressor, tmp_path / "model.skops")
    with pytest.raises(PackageError, match=r"model\.skops cannot be read.*Trap"):
        load_runner("sklearn", tmp_path)
    assert not Trap.mark.exists()


def test_a_pickle_in_place_of_the_skops_file_is_refused_and_not_read(tmp_path: Path) -> None:
    Trap.mark = tmp_path / "built"
    (tmp_path / "model.skops").write_bytes(b"c" + f"pathlib\nPath\n(V{Trap.mark}\ntR.".encode())
    with pytest.raises(PackageError, match=r"model\.skops cannot be read"):
        load_runner("sklearn", tmp_path)


def test_arrays_with_pickled_objects_are_refused(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["features"] = np.array([Trap()], dtype=object)

    Trap.mark = copy.parent / "built"
    rewrite_arrays(copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"parity\.npz"):
        load(copy)
    assert not Trap.mark.exists()


def test_the_description_says_what_is_served(prices_package: ModelPackage) -> None:
    description = prices_package.describe()
    assert description["tag"] == "prices:small"
    assert description["declaration_fingerprint"] == PRICES.declaration.fingerprint
    assert description["code_fingerprint"] == PRICES.code_fingerprint
    assert (description["runner"], description["exact"], description["tolerance"]) == ("xgboost", True, 0.0)
    assert description["parity_rows"] == 60
    assert description["metrics"]["metrics"] == models.trained().document()["metrics"]
    assert description["provenance"]["data_fingerprint"] == "300-0"
    json.dumps(description, allow_nan=False)


def test_a_copied_package_predicts_the_same_bits(prices_package: ModelPackage, copy: Path) -> None:
    other = load(copy)
    batch = models.trained().parts["validation"].columns
    assert other.fingerprint == prices_package.fingerprint
    assert other.predictor.predict_columns(batch).value.tobytes() == (
        prices_package.predictor.predict_columns(batch).value.tobytes()
    )
    assert (other.extractor, other.runner) == (other.predictor.extractor, other.predictor.runner)
    assert "output.price" in other.profile["columns"]
