from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.tree import DecisionTreeRegressor

from features.definition import TARGET
from features.fingerprint import code_fingerprint, declaration_fingerprint
from features.functions import FEATURE_NAMES
from tabular_bento.errors import PackageError
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import DECLARATION_FILE, ModelPackage
from tabular_bento.scoring.parity import VECTORS_FILE
from tabular_bento.scoring.runners import load_runner
from tests.conftest import ROOT, copy_of_store
from tests.scoring.test_manifest import flip
from tests.serving import refused

FILES = (
    "declaration.json",
    "error_model.ubj",
    "extractor.json",
    "extractor.npz",
    "manifest.json",
    "metrics.json",
    "model.ubj",
    "model.yaml",
    "parity.json",
    "parity.npz",
    "profile.json",
    "provenance.json",
    "reference.parquet",
    "training_report.html",
)
"""What the store's entry of an XGBoost model holds."""


def test_the_package_holds_these_files(package_folder: Path) -> None:
    assert tuple(sorted(path.name for path in package_folder.iterdir())) == FILES


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_of_any_file_is_refused_by_its_name(package_copy: Path, name: str, where: float) -> None:
    path = package_copy / name
    flip(path, round(where * (path.stat().st_size - 1)))
    with pytest.raises(PackageError, match=f"{name} is damaged"):
        ModelPackage.load(package_copy, "flights:copy")


@pytest.fixture(scope="module")
def refusals(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, CompletedProcess[str]]:
    """By file: a real `bentoml serve` from a store in which one byte of that file of the package is another."""

    def run(name: str) -> CompletedProcess[str]:
        folder = tmp_path_factory.mktemp("refusal")
        store = copy_of_store(trained["tag"], folder / "store")
        path = store / "models" / trained["tag"].replace(":", "/") / name
        flip(path, path.stat().st_size // 2)
        return refused(ROOT, BENTOML_HOME=str(store), TRAFFIC_DIR=str(folder / "traffic"))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(FILES, pool.map(run, FILES), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_bentoml_serve_ends_with_one_sentence_about_the_damaged_file(
    refusals: dict[str, CompletedProcess[str]], name: str
) -> None:
    check_one_sentence(refusals[name], name)


def check_one_sentence(run: CompletedProcess[str], *words: str) -> None:
    said = (run.stdout + run.stderr).strip()
    assert run.returncode != 0, said
    assert "Traceback" not in said
    assert said.count("Error: ") == 1, said
    sentence = said.splitlines()[-1]
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("key", ["name", "version", "creation_time", "api_version", "signatures", "bentoml_version"])
def test_bentoml_serve_tells_damage_to_any_part_of_the_store_s_own_file(
    store_copy: Path, trained: dict[str, Any], key: str
) -> None:
    path = store_copy / "models" / trained["tag"].replace(":", "/") / "model.yaml"
    flip(path, path.read_bytes().index(f"{key}:".encode()) + len(key) + 3, bit=1)
    run = refused(ROOT, BENTOML_HOME=str(store_copy), MODEL_TAG=trained["tag"], TRAFFIC_DIR=str(store_copy / "traffic"))
    check_one_sentence(run, "model.yaml")


def test_bentoml_serve_without_a_model_says_to_train_one(tmp_path: Path) -> None:
    run = refused(ROOT, BENTOML_HOME=str(tmp_path / "store"), TRAFFIC_DIR=str(tmp_path / "traffic"))
    check_one_sentence(run, "There is no model flights:latest", "python -m training")


def reseal_declaration(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Alter the declaration of a package as if it had been made with it."""
    document = json.loads((folder / DECLARATION_FILE).read_text())
    change(document)
    (folder / DECLARATION_FILE).write_text(json.dumps(document))
    write_manifest(folder)


def test_another_declaration_is_refused_by_the_field_that_differs(package_copy: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["declaration_fingerprint"] = "0" * 64
        next(field for field in document["declaration"]["fields"] if field["name"] == "temp")["maximum"] = 999

    reseal_declaration(package_copy, change)
    with pytest.raises(PackageError, match=r"another declaration \(field 'temp' differs\).*Train the model again"):
        ModelPackage.load(package_copy, "flights:copy")


def test_another_order_of_fields_is_another_declaration(package_copy: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["declaration_fingerprint"] = "0" * 64
        document["declaration"]["fields"].reverse()

    reseal_declaration(package_copy, change)
    with pytest.raises(PackageError, match="order of fields differs"):
        ModelPackage.load(package_copy, "flights:copy")


def test_other_feature_code_is_refused(package_copy: Path) -> None:
    reseal_declaration(package_copy, lambda document: document.update(code_fingerprint="0" * 64))
    with pytest.raises(PackageError, match=r"other feature code.*Train the model again"):
        ModelPackage.load(package_copy, "flights:copy")


def test_an_unknown_kind_of_runner_is_refused_with_those_there_are(package_copy: Path) -> None:
    reseal_declaration(package_copy, lambda document: document.update(runner="pickle"))
    with pytest.raises(PackageError, match=r"runner 'pickle'.*xgboost, sklearn"):
        ModelPackage.load(package_copy, "flights:copy")


def rewrite_arrays(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    write_manifest(path.parent)


def test_a_parity_feature_off_by_one_ulp_is_refused_by_row_and_feature(package_copy: Path) -> None:
    column = FEATURE_NAMES.index("distance")

    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["features"][6, column] = np.nextafter(arrays["features"][6, column], np.float32(1e9))

    rewrite_arrays(package_copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"Parity fails alone: row 6 has distance"):
        ModelPackage.load(package_copy, "flights:copy")


def test_a_parity_prediction_off_by_one_ulp_is_refused_by_row(package_copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["target"][9] = np.nextafter(arrays["target"][9], 1e9)

    rewrite_arrays(package_copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"Parity fails alone: row 9 is predicted"):
        ModelPackage.load(package_copy, "flights:copy")


def test_an_altered_table_of_the_extractor_is_refused_although_the_sums_match(package_copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["gain_by_dest"][1] += 1

    rewrite_arrays(package_copy / "extractor.npz", change)
    with pytest.raises(PackageError, match="not the one that was fitted"):
        ModelPackage.load(package_copy, "flights:copy")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 5000])
def test_a_file_that_is_no_model_is_refused_by_its_name(package_copy: Path, content: bytes) -> None:
    (package_copy / "model.ubj").write_bytes(content)
    write_manifest(package_copy)
    with pytest.raises(PackageError, match=r"model\.ubj cannot be read"):
        ModelPackage.load(package_copy, "flights:copy")


@pytest.mark.parametrize("name", ["extractor.json", "extractor.npz", "parity.json", "parity.npz", "declaration.json"])
def test_a_sealed_file_with_other_content_is_refused_in_one_sentence(package_copy: Path, name: str) -> None:
    (package_copy / name).write_bytes(b'{"nothing": 1}')
    write_manifest(package_copy)
    with pytest.raises(PackageError, match=name.replace(".", r"\.")):
        ModelPackage.load(package_copy, "flights:copy")


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


def test_arrays_with_pickled_objects_are_refused(package_copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["features"] = np.array([Trap()], dtype=object)

    Trap.mark = package_copy.parent / "built"
    rewrite_arrays(package_copy / VECTORS_FILE, change)
    with pytest.raises(PackageError, match=r"parity\.npz"):
        ModelPackage.load(package_copy, "flights:copy")
    assert not Trap.mark.exists()


def test_the_description_tells_what_is_served(package: ModelPackage, trained: dict[str, Any]) -> None:
    description = package.describe()
    assert description["tag"] == trained["tag"]
    assert description["fingerprint"] == trained["fingerprint"]
    assert description["declaration_fingerprint"] == declaration_fingerprint()
    assert description["code_fingerprint"] == code_fingerprint()
    assert description["runner"] == "xgboost"
    assert description["parity_rows"] >= 100
    assert description["metrics"]["metrics"] == trained["metrics"]
    assert description["provenance"]["data_fingerprint"] == trained["data_fingerprint"]


def test_a_copied_package_predicts_the_same_bits(package: ModelPackage, package_copy: Path) -> None:
    copy = ModelPackage.load(package_copy, "flights:copy")
    assert copy.fingerprint == package.fingerprint
    with np.load(package_copy / VECTORS_FILE) as arrays:
        assert len(arrays["target"]) == copy.parity_rows
        assert arrays["features"].shape == (copy.parity_rows, len(FEATURE_NAMES))
    assert TARGET.name in copy.profile["columns"]
    shutil.rmtree(package_copy)
