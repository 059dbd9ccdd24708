"""A network of the configuration that Keras 3 writes of a model, read without Keras.

Only what is known is read: a layer, an activation or an argument that this module does not name is refused. Nothing
that the configuration names is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import NetworkError
from tabular_bento.scoring.network.activations import ActivationName
from tabular_bento.scoring.network.graph import Network
from tabular_bento.scoring.network.layers import LAYERS, Shape

Arrays = Mapping[str, Sequence[NDArray[Any]]]

_SETTINGS: dict[str, tuple[str, ...]] = {
    "Dense": ("units", "use_bias"),
    "Embedding": ("input_dim", "output_dim"),
    "Normalization": ("invert",),
    "BatchNormalization": ("epsilon", "center", "scale"),
    "LayerNormalization": ("epsilon", "center", "scale"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "LeakyReLU": ("negative_slope",),
    "ELU": ("alpha",),
}
"""Settings that are taken as they are."""

_ABSENT = ("renorm", "rms_scaling", "quantization_config")
"""Settings that must be off."""

_LAST_AXIS = {"Normalization", "BatchNormalization", "LayerNormalization", "Concatenate", "Softmax"}
"""Layers that work along an axis, which must be the last one."""

_NOISE = ("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout")
"""Layers that change values in training alone."""

_AS_ACTIVATION = ("ReLU", "LeakyReLU", "ELU", "Softmax")
"""Layers that may be given as the activation of another one."""

_ALIASES = {"swish": "silu"}
_PRECISIONS = ("float32", "float64")
_MODELS = ("Functional", "Sequential", "Model")


def layers_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The class of each layer of a configuration by its name, once each of them can be served.

    Raises
    ------
    NetworkError
        As of `network_of`.
    """
    with _reading():
        _check_model(config)
        found = {}
        for entry in config["config"]["layers"]:
            name = str(entry["config"]["name"])
            if not _is_input(entry):
                _check_kind(name, entry)
            found[name] = str(entry["class_name"])
        return found


def network_of(config: Mapping[str, Any], weights: Arrays) -> Network:
    """The network of a model's configuration.

    Parameters
    ----------
    config : mapping
        What `model.to_json()` gives, which is `config.json` of a `.keras` file.
    weights : mapping
        The arrays of each layer by its name, in the order of Keras; layers without any may be left out.

    Raises
    ------
    NetworkError
        Naming the layer, for one that cannot be served, and for weights that are not those of the layers.
    """
    with _reading():
        _check_model(config)
        return _Reader(config, weights).network()


@contextmanager
def _reading() -> Iterator[None]:
    """Within it a configuration that says something else than expected is refused."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise NetworkError(
            f"The configuration is not that of a model of Keras 3 ({type(error).__name__}: {reason})."
        ) from None


class _Reader:
    def __init__(self, config: Mapping[str, Any], weights: Arrays) -> None:
        self._sequential = config["class_name"] == "Sequential"
        self._config = config["config"]
        self._arrays = weights
        self._inputs: list[dict[str, Any]] = []
        self._layers: list[dict[str, Any]] = []
        self._weights: dict[str, NDArray[Any]] = {}
        self._shapes: dict[str, Shape] = {}
        self._last_of: dict[str, str] = {}
        """Of each layer of Keras the layer here that has its values."""

    def network(self) -> Network:
        previous = ""
        for entry in self._config["layers"]:
            name = str(entry["config"]["name"])
            if _is_input(entry):
                self._input(name, entry["config"])
            else:
                _check_kind(name, entry)
                sources = [previous] if self._sequential else self._sources(name, entry["inbound_nodes"])
                self._layer(name, entry, sources)
            previous = name
        if not self._inputs:
            raise NetworkError("The model has no input layer: it must begin with keras.Input.")
        output = previous if self._sequential else self._output()
        document = {"inputs": self._inputs, "layers": self._layers, "output": self._last_of[output]}
        return Network(document, self._weights)

    def _input(self, name: str, settings: Mapping[str, Any]) -> None:
        shape = settings["batch_shape"]
        if len(shape) != 2 or not isinstance(shape[1], int) or settings.get("sparse") or settings.get("ragged"):
            raise NetworkError(f"The input {name!r} has the shape {shape}, and must have a list of numbers for a row.")
        self._inputs.append({"name": name, "width": shape[1]})
        self._last_of[name], self._shapes[name] = name, (shape[1],)

    def _sources(self, name: str, nodes: Any) -> list[str]:
        if len(nodes) != 1:
            raise NetworkError(f"The layer {name!r} is used {len(nodes)} times, and may be used once.")
        (node,) = nodes
        options = {key: value for key, value in node["kwargs"].items() if value is not None}
        if options.pop("training", False) or options:
            raise NetworkError(
                f"The layer {name!r} is called with {', '.join(node['kwargs'])}, which cannot be served."
            )
        (given,) = node["args"]
        return [self._source(name, each) for each in (given if isinstance(given, list) else [given])]

    def _source(self, name: str, tensor: Any) -> str:
        if tensor["class_name"] != "__keras_tensor__":
            raise NetworkError(f"The layer {name!r} is given a constant, which cannot be served.")
        return str(tensor["config"]["keras_history"][0])

    def _output(self) -> str:
        outputs = self._config["output_layers"]
        listed = list(outputs.values()) if isinstance(outputs, dict) else outputs
        if listed and isinstance(listed[0], str):
            listed = [listed]
        if len(listed) != 1:
            raise NetworkError(f"The model has {len(listed)} outputs, and must have one.")
        return str(listed[0][0])

    def _layer(self, name: str, entry: Mapping[str, Any], sources: list[str]) -> None:
        kind, settings = entry["class_name"], entry["config"]
        kind = "Dropout" if kind in _NOISE else kind
        _check_precision(name, settings)
        for setting in _ABSENT:
            if settings.get(setting):
                raise NetworkError(f"The layer {name!r} has {setting}, which cannot be served.")
        inputs = [self._last_of[source] for source in sources]
        document = {"name": name, "type": kind, "inputs": inputs}
        document |= {setting: settings[setting] for setting in _SETTINGS.get(kind, ()) if setting in settings}
        after: Mapping[str, Any] | None = None
        if kind in ("Dense", "Activation"):
            document["activation"], after = _activation(name, settings["activation"])
        layer = LAYERS[kind].model_validate({key: value for key, value in document.items() if key != "type"})
        shapes = tuple(self._shapes[each] for each in inputs)
        if kind in _LAST_AXIS:
            _check_axis(name, settings["axis"], shapes[0])
        self._read_weights(name, settings, layer.weight_shapes(shapes))
        self._shapes[name] = layer.output_shape(shapes)
        self._layers.append(document)
        self._last_of[name] = name
        if after is not None:
            self._add_activation(name, after)

    def _add_activation(self, name: str, entry: Mapping[str, Any]) -> None:
        own = f"{name}:activation"
        self._layer(own, {**entry, "config": {**entry["config"], "name": own}}, [name])
        self._last_of[name] = own

    def _read_weights(self, name: str, settings: Mapping[str, Any], wanted: dict[str, Shape]) -> None:
        arrays = list(self._arrays.get(name, ()))
        if settings.get("mean") is not None:  # a Normalization that was given its mean has no weights
            (shape,) = set(wanted.values())
            arrays = [np.broadcast_to(np.float64(settings[each]).reshape(-1), shape) for each in wanted]
        elif len(arrays) == 3 and list(wanted) == ["mean", "variance"]:
            arrays.pop()  # the number of rows that it was adapted to
        if len(arrays) != len(wanted):
            raise NetworkError(f"The layer {name!r} has {len(arrays)} weights, and {len(wanted)} are expected.")
        self._weights |= {f"{name}/{weight}": values for weight, values in zip(wanted, arrays, strict=True)}


def _check_model(config: Mapping[str, Any]) -> None:
    if config["class_name"] not in _MODELS or str(config["module"]).split(".")[0] != "keras":
        raise NetworkError(
            f"The model is of the class {config['class_name']!r}, which cannot be served: it must be made by "
            "keras.Sequential or by keras.Model(inputs, outputs)."
        )


def _is_input(entry: Mapping[str, Any]) -> bool:
    return entry["class_name"] == "InputLayer" and _is_built_in(entry)


def _is_built_in(entry: Mapping[str, Any]) -> bool:
    module = str(entry["module"])
    return entry.get("registered_name") is None and (module == "keras.layers" or module.startswith("keras.src.layers."))


def _check_kind(name: str, entry: Mapping[str, Any]) -> None:
    if entry["class_name"] not in (*LAYERS, *_NOISE) or not _is_built_in(entry):
        known = ", ".join(LAYERS)
        raise NetworkError(
            f"The layer {name!r} is {_described(entry)}, which cannot be served; these layers of Keras can: {known}."
        )


def _described(entry: Mapping[str, Any]) -> str:
    """Where a layer is from and of which class."""
    registered, module = entry.get("registered_name"), entry.get("module")
    if entry["class_name"] in _MODELS:
        return f"a model of its own ({entry['class_name']})"
    if module in (None, "builtins") or not str(module).startswith("keras"):
        return f"the custom layer {registered or entry['class_name']}"
    return f"{module}.{entry['class_name']}"


def _activation(name: str, given: Any) -> tuple[str, Mapping[str, Any] | None]:
    """The name of an activation, and the layer that comes after where it is given as one."""
    if isinstance(given, dict) and given["class_name"] in _AS_ACTIVATION and _is_built_in(given):
        return "linear", given
    found = _ALIASES.get(given, given) if isinstance(given, str) else given["config"]
    if not isinstance(given, str) or found not in get_args(ActivationName):
        known = ", ".join(get_args(ActivationName))
        raise NetworkError(f"The layer {name!r} has the activation {found!r}, which cannot be served; {known} can.")
    return str(found), None


def _check_precision(name: str, settings: Mapping[str, Any]) -> None:
    policy = settings.get("dtype", "float32")
    precision = policy["config"]["name"] if isinstance(policy, dict) else policy
    if precision not in _PRECISIONS:
        raise NetworkError(f"The layer {name!r} computes in {precision}, and only {' and '.join(_PRECISIONS)} can be.")


def _check_axis(name: str, axis: Any, shape: Shape) -> None:
    """The axis counts that of the rows, which is 0."""
    (only,) = axis if isinstance(axis, list) else (axis,)
    if only not in (-1, len(shape)):
        raise NetworkError(f"The layer {name!r} works along the axis {axis}, and must work along the last one.")
