"""Networks of `.keras` files, which are read without Keras: nothing in them is built, imported or executed.

A `.keras` file is a ZIP archive of `config.json`, the layers and how they are joined, and `model.weights.h5`, arrays in
HDF5. Both are read with limits on their sizes, and only as far as `tabular_bento.scoring.network` knows what they say.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import NetworkError, TrainingError
from tabular_bento.features import Extractor
from tabular_bento.problem import Problem
from tabular_bento.scoring.network import Network, PlainInput, layers_of, network_of
from tabular_bento.scoring.runners import install_command
from tabular_bento.scoring.runners.keras import KerasRunner

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_MOST_BYTES = {_CONFIG: 20_000_000, _WEIGHTS: 1 << 30, _METADATA: 1_000_000}
_MOST_RATIO = 200
"""Bytes that one byte of the archive may become; Keras does not compress."""

_GROUPS = ("layers", "_layer_checkpoint_dependencies")
"""Where the weights of layers are, the latter in files of Keras before 3.2."""

_ACTIVATIONS = {"squared_error": (), "log_loss": ("sigmoid", "softmax"), "multiclass_log_loss": ("softmax",)}
"""By what a task minimises, the activations that make probabilities of its raw scores, which are left out."""

_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def import_keras(path: Path, problem: Problem, dataset: Dataset | None = None, **_others: Any) -> KerasRunner:
    """The runner of a `.keras` file.

    Its input is the matrix of the problem's features, or inputs of one number each that are named as features. Its
    output is the target, less the offset where there is one; of classes probabilities or their log-odds, in the order
    in which the problem declares the classes. A missing number becomes the mean of the training rows, and a missing
    code that of unknown values.

    Parameters
    ----------
    path : Path
        The file.
    problem : Problem
        What it predicts.
    dataset : Dataset, optional
        The split data, for the means of its training part; without it what is missing stays so. A warning names the
        features that are missing there.

    Raises
    ------
    NetworkError
        For a file that is damaged or too large, a layer that cannot be served, weights that are not those of the
        layers, inputs that are not the problem's features, and outputs that are not its task's.
    TrainingError
        Where h5py is not installed.
    """
    network = _raw_scores(read_keras(path), problem)
    inputs, missing = _inputs(network, problem), set[int]()
    if dataset is not None:
        means, missing = _means(problem, dataset)
        fills = {name: tuple(means[column] for column in each.columns) for name, each in inputs.items()}
        inputs = {name: each.model_copy(update={"fill": fills[name]}) for name, each in inputs.items()}
    if used := sorted(missing & {column for each in inputs.values() for column in each.columns}):
        names = ", ".join(problem.feature_names[column] for column in used)
        warnings.warn(
            f"{path.name} takes no missing numbers: the mean of the training rows stands for those of {names}.",
            stacklevel=2,
        )
    return KerasRunner(inputs, network)


def read_keras(path: Path) -> Network:
    """The network of a `.keras` file, as it is there.

    Raises
    ------
    NetworkError
        For a file that is damaged or too large, a layer that cannot be served, and weights that are not those of the
        layers.
    """
    return _read(path, _content(path))


def _content(path: Path) -> bytes:
    most = sum(_MOST_BYTES.values())
    try:
        if path.stat().st_size > most:
            raise NetworkError(f"{path} has {path.stat().st_size:,} bytes; a .keras file may have {most:,}.")
        return path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path} cannot be read: {error.strerror}.") from error


def _read(path: Path, content: bytes) -> Network:
    files = _unpacked(path, content)
    try:
        config = json.loads(files[_CONFIG])
    except (ValueError, RecursionError) as error:
        raise NetworkError(f"{path}: {_CONFIG} is no JSON: {error}.") from None
    try:
        layers = layers_of(config)  # a layer that cannot be served is refused before the weights are opened
        return network_of(config, _weights(files[_WEIGHTS], layers))
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None


def _unpacked(path: Path, content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_entries(path, entries)
            files = {}
            for entry in entries:
                with archive.open(entry) as file:
                    files[entry.filename] = file.read(_MOST_BYTES[entry.filename])
                    if file.read(1):
                        raise NetworkError(f"{path}: {entry.filename} has more bytes than it says.")
    except _ARCHIVE_ERRORS as error:
        raise NetworkError(f"{path} is no whole .keras file, which is a ZIP archive: {error}.") from None
    return files


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if foreign := [name for name in names if name not in _MOST_BYTES]:
        raise NetworkError(f"{path} holds {foreign[0]!r}, which no network that can be served has.")
    if len(set(names)) < len(names):
        raise NetworkError(f"{path} holds a file twice.")
    if missing := [name for name in (_CONFIG, _WEIGHTS) if name not in names]:
        raise NetworkError(f"{path} holds no {missing[0]}: it is no .keras file of Keras 3.")
    for entry in entries:
        most = _MOST_BYTES[entry.filename]
        if entry.file_size > most or entry.file_size > _MOST_RATIO * max(entry.compress_size, 1):
            raise NetworkError(
                f"{path}: {entry.filename} unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes; it may "
                f"have {most:,}, and {_MOST_RATIO} times of what is packed."
            )


def _weights(content: bytes, layers: Mapping[str, str]) -> dict[str, list[NDArray[Any]]]:
    """The arrays of each layer, by its name, of an HDF5 file; `layers` are their classes.

    Keras names the groups by the classes, numbered in the order of the configuration. Attributes are not read: HDF5
    does not return from some that are damaged.
    """
    try:
        import h5py
    except ImportError:
        raise TrainingError(
            f"Reading a .keras file needs h5py, which is not installed: {install_command('keras')}"
        ) from None
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            name = next((name for name in _GROUPS if name in file), _GROUPS[0])
            home = _member(file, name, h5py.Group)
            counts: Counter[str] = Counter()
            arrays = {}
            for layer, kind in layers.items():
                snake = _snake_case(kind)
                numbered = snake if not counts[snake] else f"{snake}_{counts[snake]}"
                counts[snake] += 1
                if numbered in home:
                    arrays[layer] = _arrays(home, numbered, len(content))
            return arrays
    except NetworkError:
        raise
    except Exception as error:  # whatever h5py makes of a damaged file
        raise NetworkError(f"{_WEIGHTS} cannot be read: {error}.") from None


def _arrays(home: Any, key: str, most: int) -> list[NDArray[Any]]:
    import h5py

    group = _member(home, key, h5py.Group)
    if not _is_group(group, "vars"):
        return []
    variables = group["vars"]
    return [_array(variables, str(place), most) for place in range(len(variables))]


def _array(group: Any, key: str, most: int) -> NDArray[Any]:
    """A dataset that is held in the file as it is: no other file, no virtual dataset, no filter, nothing made up."""
    import h5py

    dataset = _member(group, key, h5py.Dataset)
    filters = dataset.id.get_create_plist().get_nfilters()
    if dataset.is_virtual or dataset.external or filters or dataset.dtype.kind not in "fiu" or dataset.nbytes > most:
        raise NetworkError(f"{_WEIGHTS}: {dataset.name} is no plain array of numbers.")
    values: NDArray[Any] = np.asarray(dataset[()])
    return values


def _member(group: Any, key: str, kind: type) -> Any:
    """What a group itself holds; a link to somewhere else is not followed."""
    import h5py

    link = group.get(key, getlink=True)
    if not isinstance(link, h5py.HardLink) or group.get(key, getclass=True) is not kind:
        raise NetworkError(f"{_WEIGHTS}: {group.name}/{key} is no {kind.__name__.lower()} of the file itself.")
    return group[key]


def _is_group(group: Any, key: str) -> bool:
    import h5py

    return key in group and _member(group, key, h5py.Group) is not None


def _snake_case(name: str) -> str:
    """The name of a class as Keras writes it in a file of weights."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _means(problem: Problem, dataset: Dataset) -> tuple[list[float], set[int]]:
    """The mean of each feature in the training part, 0 of codes, and the columns that are missing somewhere."""
    train = dataset.part("train")
    extractor = Extractor.fit(problem.fields, problem.features, [train.fit_data], train.tables)
    X = extractor.transform_columns(train.columns)
    known = ~np.isnan(X)
    means = np.where(known, X, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
    means[list(problem.features.coded)] = 0.0
    return means.tolist(), set(np.flatnonzero(~known.all(axis=0)).tolist())


def _inputs(network: Network, problem: Problem) -> dict[str, PlainInput]:
    """What each input of the network is given."""
    names = problem.feature_names
    if len(network.inputs) == 1 and network.inputs[0].width == len(names):
        return {network.inputs[0].name: PlainInput(columns=tuple(range(len(names))))}
    if all(each.name in names and each.width == 1 for each in network.inputs):
        return {each.name: PlainInput(columns=(names.index(each.name),)) for each in network.inputs}
    given = ", ".join(f"{each.name} of {each.width}" for each in network.inputs)
    raise NetworkError(
        f"The network has the inputs {given}. It must have one of all {len(names)} features, or one of width 1 for "
        f"each feature that it uses, named as the feature: {', '.join(names)}."
    )


def _raw_scores(network: Network, problem: Problem) -> Network:
    """The network without the activation that makes probabilities of its raw scores."""
    task = problem.task
    known, document, weights = _ACTIVATIONS[task.loss], network.document(), dict(network.weights)
    if task.classes:
        last = next(layer for layer in document["layers"] if layer["name"] == document["output"])
        activation = "softmax" if last["type"] == "Softmax" else last.get("activation", last["type"])
        if activation not in ("linear", *known):
            raise NetworkError(
                f"The network ends with the activation {activation!r}; of a {task.kind} task it must end with "
                f"{' or '.join(known)}, or with none where it gives log-odds."
            )
        if activation == "sigmoid" and network.width != 1:
            raise NetworkError(f"The network gives {network.width} probabilities that do not add up to 1.")
        if last["type"] in ("Softmax", "Activation"):
            document["output"] = last["inputs"][0]
            document["layers"].remove(last)
        elif activation != "linear":
            last["activation"] = "linear"
    if task.raw_columns == 1 and len(task.classes) == network.width == 2:  # log-odds of the second class
        document["layers"].append(
            {"name": "odds", "type": "Dense", "inputs": [document["output"]], "units": 1, "use_bias": False}
        )
        document["output"] = "odds"
        weights["odds/kernel"] = np.array([[-1.0], [1.0]], dtype=np.float32)
    elif network.width != task.raw_columns:
        expected = f"{task.raw_columns}" + (f", one of each class of {task.listed}" if task.raw_columns > 1 else "")
        raise NetworkError(f"The network has {network.width} outputs, and the task needs {expected}.")
    return Network(document, weights)
