"""The runner keras: what is fitted by the real Keras, and is served without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import PackageError, TrainingError
from tabular_bento.scoring.runners import load_runner
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.scoring.runners.keras import KerasRunner
from tabular_bento.scoring.runners.keras_fitting import LARGEST_DIFFERENCE, MOST_EPOCHS, KerasParameters, ModelInputs
from tabular_bento.testing.made_up import TASKS, made_up
from tabular_bento.testing.runners import check_runner
from tests.models import ROOT

REGRESSION, BINARY, MULTICLASS = TASKS
FEW = KerasParameters(units=(16,), epochs=20, learning_rate=0.01)


@pytest.fixture(scope="module")
def data() -> FittingData:
    """Rows of three classes with gaps and a coded column."""
    return made_up(MULTICLASS, True)


@pytest.fixture(scope="module")
def folder(data: FittingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored model of them, chosen by the validation part."""
    folder = tmp_path_factory.mktemp("keras")
    parameters = KerasParameters(units=(16,), learning_rate=0.01, patience=2)
    runner = KerasRunner.fit(data, parameters, MULTICLASS, 3)
    assert 0 < runner.chosen["epochs"] < MOST_EPOCHS
    runner.save(folder)
    return folder


def test_plain_arrays_and_a_list_of_layers_are_stored(folder: Path) -> None:
    document = json.loads((folder / "network.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["network.json", "network.npz"]
    assert [layer["type"] for layer in document["network"]["layers"][-3:]] == ["Dense", "Dropout", "Dense"]
    assert {"Embedding", "Flatten", "Concatenate"} <= {layer["type"] for layer in document["network"]["layers"]}
    with np.load(folder / "network.npz", allow_pickle=False) as arrays:
        assert {values.dtype for values in arrays.values()} == {np.dtype(np.float32)}


def test_scores_are_compared_with_those_of_keras_and_the_difference_is_kept(folder: Path, data: FittingData) -> None:
    comparison = json.loads((folder / "network.json").read_text())["comparison"]
    assert comparison["rows"] == len(data.X)
    assert 0 < comparison["largest_difference"] < 1e-5 < LARGEST_DIFFERENCE
    assert comparison["keras"].startswith("3.")


def test_missing_numbers_unknown_codes_and_extremes_have_scores(folder: Path, data: FittingData) -> None:
    runner = KerasRunner.load(folder)
    code = data.coded[0]
    rows = np.repeat(data.X[:1], 8, axis=0)
    rows[1] = np.nan
    rows[2, code], rows[3, code], rows[4, code] = 0, 1e6, -3
    rows[5] = np.float32(3e38)
    rows[6] = -np.inf
    scores = runner.predict(rows)
    assert np.isfinite(scores).all()
    assert scores[3].tobytes() == scores[4].tobytes() == scores[2].tobytes()


BITS = """
import hashlib, sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class Refused(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "jax", "jaxlib", "h5py", "scipy"):
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Refused())
from tabular_bento.scoring.runners import load_runner
from tabular_bento.testing.made_up import TASKS, made_up

X = made_up(TASKS[2], True).X
scores = load_runner("keras", Path(sys.argv[1])).predict(X)
print(hashlib.sha256(scores.tobytes()).hexdigest())
"""


def test_without_keras_the_scores_are_the_same_bits_on_every_cpu(folder: Path) -> None:
    dispatched = import_module("numpy._core._multiarray_umath").__cpu_dispatch__
    digests = set()
    for core, disabled in (("SkylakeX", []), ("Haswell", dispatched[1:]), ("Nehalem", dispatched)):
        environment = {"OPENBLAS_CORETYPE": core, "NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
        command = [sys.executable, "-W", "ignore", "-c", BITS, str(folder)]
        result = subprocess.run(
            command, env=os.environ | environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        digests.add(result.stdout)
    assert len(digests) == 1


def altered(folder: Path, tmp_path: Path, change: Any = None, **weights: Any) -> Path:
    """A copy with a changed document or changed weights."""
    document = json.loads((folder / "network.json").read_text())
    if change is not None:
        change(document)
    (tmp_path / "network.json").write_text(json.dumps(document))
    with np.load(folder / "network.npz") as arrays:
        np.savez(tmp_path / "network.npz", **{**arrays, **weights})
    return tmp_path


def test_a_damaged_model_is_refused(folder: Path, tmp_path: Path) -> None:
    def refused(message: str, change: Any = None, **weights: Any) -> None:
        with pytest.raises(PackageError, match=message):
            load_runner("keras", altered(folder, tmp_path, change, **weights))

    refused("inputs.numbers", lambda document: document["inputs"]["numbers"].update(columns=[0]))
    refused("The network has the inputs", lambda document: document["inputs"].pop("numbers"))
    refused("is of the type 'Lambda'", lambda document: document["network"]["layers"][0].update(type="Lambda"))
    refused("hold a number that is not finite", **{"raw_scores/bias": np.full(4, np.nan)})
    refused("The network has no layer for", more=np.zeros(1))
    refused("Object arrays cannot be loaded", **{"raw_scores/bias": np.array([print], dtype=object)})


def test_a_truncated_model_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "network.json").write_bytes((folder / "network.json").read_bytes())
    (tmp_path / "network.npz").write_bytes((folder / "network.npz").read_bytes()[:-100])
    with pytest.raises(PackageError, match="cannot be read"):
        load_runner("keras", tmp_path)


def of_the_page(given: ModelInputs) -> Any:
    """The network of docs/networks.md."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "networks.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["build_model"](given)


def with_a_lambda(given: ModelInputs) -> Any:
    import keras

    inputs = given.tensors()
    values = keras.layers.Lambda(lambda x: x, name="mine")(inputs["numbers"])
    return keras.Model(inputs["numbers"], keras.layers.Dense(given.outputs)(values))


def of_other_outputs(given: ModelInputs) -> Any:
    import keras

    inputs = given.tensors()
    return keras.Model(inputs["numbers"], keras.layers.Dense(given.outputs + 1)(inputs["numbers"]))


def of_other_inputs(given: ModelInputs) -> Any:
    import keras

    x, other = given.tensors()["numbers"], keras.Input((1,), name="other")
    return keras.Model([x, other], keras.layers.Dense(given.outputs)(keras.layers.Concatenate()([x, other])))


def test_the_project_builds_the_network(data: FittingData) -> None:
    parameters = KerasParameters(build_model=f"{__name__}:of_the_page", epochs=1)
    runner = KerasRunner.fit(data, parameters, MULTICLASS, 0)
    types = [type(layer).__name__ for layer in runner.network.layers]
    assert types.count("LayerNormalization") == 3
    assert types.count("Add") == 2
    assert set(runner.inputs) == {"numbers", "city_code"}
    assert runner.predict(data.X).shape == (len(data.X), MULTICLASS.raw_columns)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("with_a_lambda", "The network cannot be served: The layer 'mine' is keras.layers.Lambda"),
        ("of_other_outputs", r"outputs of shape \(None, 5\); there must be one, of shape \(None, 4\)"),
        ("of_other_inputs", "the model has an input 'other'; there are numbers"),
        ("BITS", "is not callable"),
        ("nothing", "build_model: .* cannot be imported"),
    ],
)
def test_a_network_that_cannot_be_served_is_not_trained(data: FittingData, name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        KerasRunner.fit(data, KerasParameters(build_model=f"{__name__}:{name}"), MULTICLASS, 0)


@pytest.mark.slow
def test_it_is_a_runner() -> None:
    check_runner(KerasRunner, FEW)
