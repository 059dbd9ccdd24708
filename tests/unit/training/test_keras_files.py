"""`.keras` files that the real Keras writes, whole and damaged."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tabular_bento import Binary, Field, Kind, Multiclass, Problem
from tabular_bento.data.splits import Split
from tabular_bento.errors import NetworkError, TrainingError
from tabular_bento.scoring.network import PlainInput
from tabular_bento.training.keras_files import import_keras, read_keras
from tests.unit.models import DATED, PARCELS, prices

FEATURES = len(PARCELS.feature_names)
ZONES = replace(PARCELS, task=Multiclass(Field("zone", Kind.TEXT), classes=("a", "b", "c")))
LATE = replace(PARCELS, task=Binary(Field("late", Kind.BOOLEAN)))


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        yield pytest.importorskip("keras")


@pytest.fixture(scope="module")
def model(keras: Any) -> Any:
    """A network whose layers are not named in the order of their classes' numbers."""
    keras.utils.set_random_seed(0)
    x = keras.Input((FEATURES,), name="x")
    values = keras.layers.Dense(4, activation="relu", name="zz")(keras.layers.Normalization(mean=1.0, variance=4.0)(x))
    values = keras.layers.Add()([values, keras.layers.Dense(4, activation="tanh", name="aa")(values)])
    return keras.Model(x, keras.layers.Dense(1, name="out")(values))


@pytest.fixture(scope="module")
def path(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "model.keras"
    model.save(path)
    return path


def rows() -> Any:
    return np.random.default_rng(0).normal(2, 3, (40, FEATURES)).astype(np.float32)


def test_a_file_gives_the_predictions_of_its_model(path: Path, model: Any) -> None:
    runner = import_keras(path, PARCELS, rows=None, trust=False)
    theirs = np.asarray(model(rows()))
    np.testing.assert_allclose(runner.predict(rows()), theirs, rtol=1e-5, atol=1e-5)


def test_a_missing_number_becomes_the_mean_of_the_training_rows(keras: Any, tmp_path: Path) -> None:
    names = DATED.feature_names
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((len(names),)), keras.layers.Dense(1)]).save(path)
    with pytest.warns(UserWarning, match=r"model\.keras takes no missing numbers: the mean .* for those of .*floor"):
        runner = import_keras(path, DATED, prices(DATED).split(Split()))
    (given,) = runner.inputs.values()
    assert isinstance(given, PlainInput)
    gaps = np.full((1, len(names)), np.nan, dtype=np.float32)
    assert runner.predict(gaps).tobytes() == runner.predict(np.array([given.fill], dtype=np.float32)).tobytes()
    assert [given.fill[column] for column in DATED.features.coded] == [0.0] * len(DATED.features.coded)


def saved(keras: Any, folder: Path, *layers: Any) -> Path:
    path = folder / "model.keras"
    keras.Sequential([keras.Input((FEATURES,)), *layers]).save(path)
    return path


@pytest.mark.parametrize("apart", [False, True], ids=["in the last layer", "in a layer of its own"])
@pytest.mark.parametrize(
    ("problem", "units", "last"),
    [(LATE, 1, "sigmoid"), (LATE, 2, "softmax"), (ZONES, 3, "softmax")],
    ids=lambda value: str(value) if isinstance(value, int | str) else value.task.kind,
)
def test_probabilities_become_log_odds(
    keras: Any, tmp_path: Path, problem: Problem, units: int, last: str, apart: bool
) -> None:
    dense, activation = keras.layers.Dense, keras.layers.Activation
    layers = [dense(units), activation(last)] if apart else [dense(units, activation=last)]
    path = saved(keras, tmp_path, *layers)
    runner, task = import_keras(path, problem), problem.task
    raw = runner.predict(rows())
    assert raw.shape == (40, task.raw_columns)
    theirs = np.asarray(keras.Sequential(layers)(rows()))
    ours = task.decode(raw)["probability"]
    np.testing.assert_allclose(ours[:, 1:] if units == 1 else ours, theirs, atol=1e-5)


def test_inputs_may_be_named_as_features(keras: Any, tmp_path: Path) -> None:
    first, _, third = PARCELS.feature_names
    inputs = [keras.Input((1,), name=third), keras.Input((1,), name=first)]
    path = tmp_path / "model.keras"
    built = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(inputs)))
    built.save(path)
    theirs = np.asarray(built([rows()[:, 2:3], rows()[:, :1]]))
    np.testing.assert_allclose(import_keras(path, PARCELS).predict(rows()), theirs, rtol=1e-5)


def test_inputs_and_outputs_that_are_not_the_problems_are_refused(keras: Any, tmp_path: Path) -> None:
    dense = keras.layers.Dense

    def refused(problem: Problem, message: str, *layers: Any) -> None:
        with pytest.raises(NetworkError, match=message):
            import_keras(saved(keras, tmp_path, *layers), problem)

    refused(PARCELS, "The network has 2 outputs, and the task needs 1", dense(2))
    refused(ZONES, "has 2 outputs, and the task needs 3, one of each class of 'a', 'b', 'c'", dense(2))
    refused(ZONES, "ends with the activation 'sigmoid'; of a multiclass task", dense(3, activation="sigmoid"))
    refused(LATE, "ends with the activation 'relu'; of a binary task it must end", dense(1, activation="relu"))
    refused(LATE, "ends with the activation 'ELU'", dense(1), keras.layers.ELU())
    refused(LATE, "gives 2 probabilities that do not add up to 1", dense(2, activation="sigmoid"))
    wide = tmp_path / "wide.keras"
    keras.Sequential([keras.Input((7,), name="all"), dense(1)]).save(wide)
    with pytest.raises(
        NetworkError, match=r"inputs all of 7\. It must have one of all 3 features, .*: weight, kind, we"
    ):
        import_keras(wide, PARCELS)


def packed(path: Path, to: Path, compression: int = zipfile.ZIP_STORED, **files: bytes | None) -> Path:
    """A copy of a file with other members: `config`, `weights` or `more`."""
    names = {"config": "config.json", "weights": "model.weights.h5", "more": "assets/run.py"}
    with zipfile.ZipFile(path) as archive:
        members: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    members |= {names[name]: content for name, content in files.items()}
    with zipfile.ZipFile(to, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return to


def weights(change: Callable[[Any], None], path: Path) -> bytes:
    """The weights of a file, changed."""
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        change(file["layers"])
    return content.getvalue()


def config(path: Path, **settings: Any) -> bytes:
    """The configuration of a file with other settings of the layer `zz`."""
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("config.json"))
    layer = next(each for each in document["config"]["layers"] if each["config"]["name"] == "zz")
    layer.update({name: value for name, value in settings.items() if name in layer})
    layer["config"] |= {name: value for name, value in settings.items() if name not in layer}
    return json.dumps(document).encode()


def without(key: str) -> Callable[[Any], None]:
    return lambda layers: layers.__delitem__(key)


def holding(make: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Put something else where the kernel of the first dense layer is."""

    def change(layers: Any) -> None:
        del layers["dense/vars/0"]
        make(layers["dense/vars"])

    return change


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((FEATURES, 4), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(FEATURES, 4))
    group.create_virtual_dataset("0", layout)


CHANGED: list[tuple[Callable[[Any], None], str]] = [
    (without("dense"), "'zz' has 0 weights, and 2 are expected"),
    (holding(lambda g: g.create_dataset("0", (4, 4), "f4")), r"'zz/kernel' have the shape \[4, 4\]"),
    (holding(lambda g: g.create_dataset("0", data=np.full((3, 4), np.nan))), "'zz/kernel' hold a number that is not f"),
    (holding(lambda g: g.create_dataset("0", data=np.array([b"x"] * 3))), "is no plain array of numbers"),
    (holding(lambda g: g.create_dataset("0", (3, 4), "f4", compression="gzip")), "is no plain array of numbers"),
    (holding(lambda g: g.create_dataset("0", (30_000, 40_000), "f8")), "is no plain array of numbers"),
    (holding(virtual), "is no plain array of numbers"),
    (holding(lambda g: g.create_dataset("0", (3, 4), "f4", external=[("/etc/passwd", 0, 48)])), "is no plain array"),
    (holding(lambda g: g.__setitem__("0", h5py.ExternalLink("/etc/passwd", "/x"))), "is no dataset of the file itself"),
    (holding(lambda g: g.__setitem__("0", h5py.SoftLink("/layers/dense_1/vars/0"))), "no dataset of the file itself"),
]


@pytest.mark.parametrize(("change", "message"), CHANGED)
def test_weights_that_are_not_plain_arrays_of_their_layers_are_refused(
    path: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        read_keras(packed(path, tmp_path / "model.keras", weights=weights(change, path)))


def test_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    def refused(message: str, **files: bytes | None) -> None:
        with pytest.raises(NetworkError, match=message):
            read_keras(packed(path, tmp_path / "model.keras", **files))

    refused("config.json is no JSON", config=b"{")
    refused("is no JSON", config=b"[" * 100_000)
    refused("The configuration is not that of a model of Keras 3", config=b"[]")
    refused("model.weights.h5 cannot be read", weights=b"no HDF5")
    plain = weights(lambda _: None, path)
    for place in (24, 40, 60):  # addresses in the first block of HDF5
        refused("model.weights.h5 cannot be read", weights=plain[:place] + b"\xfe" * 16 + plain[place + 16 :])
    refused("holds no config.json: it is no .keras file of Keras 3", config=None)
    refused("holds 'assets/run.py', which no network that can be served has", more=b"print()")
    refused("'zz' is keras.layers.Lambda, which cannot be served", config=config(path, class_name="Lambda"))
    refused("'zz' is the custom layer project>Own", config=config(path, module="own", registered_name="project>Own"))
    refused("'zz' has the activation 'system', which", config=config(path, activation="system"))
    called = {"module": "builtins", "class_name": "function", "config": "system", "registered_name": "os"}
    refused("'zz' has the activation 'system', which", config=config(path, activation=called))


def test_a_zip_bomb_is_refused(path: Path, tmp_path: Path) -> None:
    for files in ({"config": b" " * 1_000_000}, {"weights": bytes(1_000_000)}):
        bomb = packed(path, tmp_path / "bomb.keras", zipfile.ZIP_DEFLATED, **files)
        with pytest.raises(NetworkError, match=r"unpacks from [\d,]+ to 1,000,000 bytes"):
            read_keras(bomb)
    bomb = packed(path, tmp_path / "bomb.keras", config=b" " * 21_000_000)
    with pytest.raises(NetworkError, match=r"to 21,000,000 bytes; it may have 20,000,000"):
        read_keras(bomb)


def test_truncated_files_are_refused(path: Path, tmp_path: Path) -> None:
    content, cut = path.read_bytes(), tmp_path / "cut.keras"
    for size in (0, 10, len(content) // 2, len(content) - 10):
        cut.write_bytes(content[:size])
        with pytest.raises(NetworkError, match=r"is no whole \.keras file, which is a ZIP archive"):
            read_keras(cut)
    with pytest.raises(NetworkError, match="cannot be read: No such file"):
        read_keras(tmp_path / "nothing.keras")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TrainingError, match=r"needs h5py, .*: pip install 'tabular-bento\[keras\]'"):
        read_keras(path)


def test_bytes_that_were_changed_are_refused(path: Path, tmp_path: Path) -> None:
    content, changed = path.read_bytes(), tmp_path / "changed.keras"
    place = content.index(b"\x89HDF") + 4_000
    changed.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    with pytest.raises(NetworkError, match=r"is no whole \.keras file"):
        read_keras(changed)
