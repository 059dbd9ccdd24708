"""Fitting a network with Keras, which is imported when a model is fitted and nowhere else."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tabular_bento.errors import NetworkError, TrainingError
from tabular_bento.scoring.network import AnyInput, CodeInput, Network, ScaledInput, network_of
from tabular_bento.scoring.runners.base import FittingData, Parameters, Range

if TYPE_CHECKING:
    import keras

Values = NDArray[np.float32]

LOSSES = {
    "squared_error": "mean_squared_error",
    "log_loss": "binary_crossentropy",
    "multiclass_log_loss": "sparse_categorical_crossentropy",
}

NUMBERS = "numbers"
"""The name of the input of all numbers; the inputs of codes are named as their features."""

LARGEST_DIFFERENCE = 1e-4
"""Of a value of the network, relative to the larger one of 1 and its size, between NumPy and Keras."""

EPOCHS, MOST_EPOCHS = 30, 300
"""Passes where no validation part says how many help, and the most of them where one does."""

_FEWEST, _MOST, _STEPS = 16, 1024, 50
"""Rows of a step, and steps of a pass over few rows."""

_RARE = 1e-5
"""The share of a class that no training row has, from which training begins."""

_AT_ONCE = 4096
"""Rows that Keras predicts at once."""


class KerasParameters(Parameters):
    """Parameters of a network of dense layers, or of one that the project builds."""

    units: tuple[int, ...] = (128, 64)
    """Units of each dense layer but the last."""
    activation: Literal["relu", "silu", "gelu", "elu", "selu", "tanh"] = "silu"
    """Activation of those layers."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the values of those layers that is dropped in training."""
    embedding: int = Field(default=8, ge=1)
    """Most numbers that stand for a code; fewer where there are few codes."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW. A third of it where the validation part has not gained for a third of `patience`."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of AdamW."""
    batch_size: int | None = Field(default=None, ge=1)
    """Rows of a step; by default some fiftieth of them, from 16 to 1024."""
    epochs: int | None = Field(default=None, ge=1)
    """Passes over the training rows. By default as many as help on the validation part, and 30 where there is none."""
    patience: int = Field(default=12, ge=1)
    """Passes without a gain on the validation part after which no more are made."""
    build_model: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`module:function` of the project that builds the network in place of the dense layers: see
    `ModelInputs`."""

    search: ClassVar[Mapping[str, Range]] = MappingProxyType(
        {
            "dropout": Range(0.0, 0.5),
            "embedding": Range(2, 32, log=True),
            "learning_rate": Range(1e-4, 1e-2, log=True),
            "weight_decay": Range(1e-6, 1e-1, log=True),
        }
    )

    @property
    def needs_validation(self) -> bool:
        return self.epochs is None


class Comparison(BaseModel):
    """How the scores of NumPy compare with those of Keras.

    Parameters
    ----------
    rows : int
        The training rows that were compared.
    largest_difference : float
        Of a value of the network, relative to the larger one of 1 and its size.
    keras : str
        The version of Keras.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rows: int
    largest_difference: float
    keras: str


@dataclass(frozen=True)
class ModelInputs:
    """What a project's `build_model` is given: the inputs of the network, and the number of its outputs.

    It returns a `keras.Model` of those inputs whose output are raw scores, of shape [n, outputs]: of a regression the
    target in standard deviations from its mean, of classes log-odds, so that the last layer has no activation. The
    runner compiles it.

    Parameters
    ----------
    numbers : tuple of str
        The columns of the input `numbers`: features in standard deviations from their mean, a missing one being the
        mean, and `NAME is missing`, 1 or 0, for each feature that the training rows lack somewhere. Empty where all
        features are codes; then there is no such input.
    codes : mapping
        How many codes each coded feature has, by its name: the input of that name is one code of each row.
    outputs : int
        Raw scores of a row.
    loss : str
        What is minimised, by its name in Keras.

    Examples
    --------
    >>> def build_model(given):  # doctest: +SKIP
    ...     inputs = given.tensors()
    ...     values = keras.layers.Dense(64, activation="relu")(inputs["numbers"])
    ...     return keras.Model(inputs, keras.layers.Dense(given.outputs)(values))
    """

    numbers: tuple[str, ...]
    codes: Mapping[str, int]
    outputs: int
    loss: str

    def tensors(self) -> dict[str, keras.KerasTensor]:
        """New inputs of the network by name."""
        import keras

        found = {NUMBERS: keras.Input((len(self.numbers),), name=NUMBERS)} if self.numbers else {}
        return found | {name: keras.Input((1,), name=name, dtype="int32") for name in self.codes}


@dataclass(frozen=True)
class FittedNetwork:
    """What was learnt.

    Parameters
    ----------
    inputs : dict
        What each input of the network is given, by its name.
    network : Network
        The layers with their weights.
    mean, scale : float
        The raw score is `mean + scale * value` of the network's values.
    comparison : Comparison
        With the values of Keras.
    epochs : int, optional
        The passes that the validation part chose.
    """

    inputs: dict[str, AnyInput]
    network: Network
    mean: float
    scale: float
    comparison: Comparison
    epochs: int | None


def fit(data: FittingData, parameters: KerasParameters, loss: str, outputs: int, seed: int) -> FittedNetwork:
    """A network that learnt from data.

    Parameters
    ----------
    data : FittingData
        The rows, and those to choose by.
    parameters : KerasParameters
        The parameters.
    loss : str
        One of the values of `LOSSES`.
    outputs : int
        Raw scores of a row.
    seed : int
        The same seed gives the same network on the same machine.

    Raises
    ------
    ImportError
        Where Keras or JAX is not installed.
    TrainingError
        For a `build_model` that cannot be called, a layer that cannot be served, training that does not converge, or
        values that are not those of Keras.
    """
    if np.isinf(data.X).any():
        column = int(np.argwhere(np.isinf(data.X))[0, 1])
        raise TrainingError(f"The feature {_names(data)[column]!r} is infinite in a training row.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of Keras 3.15 with NumPy 2
        return _fitted(_keras(), data, parameters, loss, outputs, seed)


def _fitted(
    keras: Any, data: FittingData, parameters: KerasParameters, loss: str, outputs: int, seed: int
) -> FittedNetwork:
    keras.backend.clear_session()  # names of layers would depend on what was fitted before
    keras.utils.set_random_seed(seed)
    available = _inputs(data)
    given = _given(data, available, outputs, loss)
    model = _model(keras, parameters, given)
    network = _served(model)  # a layer that cannot be served is refused before time is spent on it
    inputs = _inputs_of(model, network, available, given)
    if parameters.build_model is None:
        _begin_at_shares(model, data, outputs, loss)
    prepared = [each.prepare() for each in inputs.values()]
    mean, scale = _standard(data) if loss == LOSSES["squared_error"] else (0.0, 1.0)

    def rows_of(part: FittingData) -> tuple[list[Values], Values, Values | None]:
        weights = None if part.weights is None else (part.weights / part.weights.mean()).astype(np.float32)
        return [prepare(part.X) for prepare in prepared], ((part.y - mean) / scale).astype(np.float32)[:, None], weights

    rows, validation = rows_of(data), None if data.validation is None else rows_of(data.validation)
    epochs = _learn(keras, model, parameters, loss, rows, validation)
    network = _served(model)
    comparison = _compared(keras, model, network, dict(zip(inputs, rows[0], strict=True)))
    return FittedNetwork(inputs, network, mean, scale, comparison, epochs)


def _keras() -> Any:
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    return keras


def _names(data: FittingData) -> tuple[str, ...]:
    return data.names or tuple(f"feature_{column}" for column in range(data.X.shape[1]))


def _inputs(data: FittingData) -> dict[str, AnyInput]:
    """What there is to learn from: one input of all numbers, and one of each code."""
    names, found = _names(data), dict[str, AnyInput]()
    numbers = tuple(column for column in range(data.X.shape[1]) if column not in data.coded)
    if numbers:
        found[NUMBERS] = ScaledInput.fit(data.X, numbers, data.weights)
    for column in data.coded:
        if names[column] in found:
            raise TrainingError(f"The runner 'keras' cannot learn from a coded feature named {names[column]!r}.")
        codes = data.X[:, column]
        largest = float(np.nanmax(codes)) if not np.isnan(codes).all() else 0.0
        found[names[column]] = CodeInput(column=column, size=int(largest) + 1)
    return found


def _given(data: FittingData, inputs: Mapping[str, AnyInput], outputs: int, loss: str) -> ModelInputs:
    names, numbers = _names(data), inputs.get(NUMBERS)
    shown: tuple[str, ...] = ()
    if isinstance(numbers, ScaledInput):
        shown = tuple(names[column] for column in numbers.columns)
        shown += tuple(f"{shown[place]} is missing" for place in numbers.indicators)
    codes = {name: each.size for name, each in inputs.items() if isinstance(each, CodeInput)}
    return ModelInputs(shown, codes, outputs, loss)


def _standard(data: FittingData) -> tuple[float, float]:
    """Mean and standard deviation of the target."""
    mean = float(np.average(data.y, weights=data.weights))
    deviation = math.sqrt(float(np.average((data.y - mean) ** 2, weights=data.weights)))
    return mean, deviation or 1.0


def _model(keras: Any, parameters: KerasParameters, given: ModelInputs) -> Any:
    """The model that is to learn, with its inputs in a list."""
    path = parameters.build_model
    if path is None:
        return _dense(keras, parameters, given)
    built = _function(path)(given)
    if not isinstance(built, keras.Model) or not getattr(built, "inputs", None):
        raise TrainingError(
            f"build_model: {path} gave {type(built).__name__}; it must give a keras.Model with inputs, such as "
            "keras.Model(given.tensors(), outputs)."
        )
    shapes = [tuple(each.shape) for each in built.outputs]
    if shapes != [(None, given.outputs)]:
        raise TrainingError(
            f"build_model: {path} gave a model with outputs of shape {', '.join(map(str, shapes))}; there must be one, "
            f"of shape {(None, given.outputs)}."
        )
    return keras.Model(list(built.inputs), built.outputs[0])


def _function(path: str) -> Callable[[ModelInputs], Any]:
    module, _, name = path.partition(":")
    try:
        found: Callable[[ModelInputs], Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"build_model: {path} cannot be imported: {error}.") from error
    if not callable(found):
        raise TrainingError(f"build_model: {path} is not callable: it must be a function of the inputs.")
    return found


def _dense(keras: Any, parameters: KerasParameters, given: ModelInputs) -> Any:
    """Dense layers over the numbers beside what stands for each code."""
    layers, inputs = keras.layers, given.tensors()
    parts = [inputs[NUMBERS]] if given.numbers else []
    for name, size in given.codes.items():
        table = layers.Embedding(size, min(parameters.embedding, (size + 1) // 2), name=f"{name}_embedding")
        parts.append(layers.Flatten(name=f"{name}_flat")(table(inputs[name])))
    values = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in parameters.units:
        values = layers.Dense(units, activation=parameters.activation)(values)
        if parameters.dropout:
            values = layers.Dropout(parameters.dropout)(values)
    return keras.Model(list(inputs.values()), layers.Dense(given.outputs, name="raw_scores")(values))


def _begin_at_shares(model: Any, data: FittingData, outputs: int, loss: str) -> None:
    """Let the first scores of classes be their shares."""
    if loss == LOSSES["squared_error"]:
        return
    counts = np.bincount(data.y.astype(int), weights=data.weights, minlength=max(2, outputs))
    odds = np.log(np.maximum(counts / counts.sum(), _RARE))
    model.layers[-1].bias.assign(odds[1:] - odds[:1] if outputs == 1 else odds - odds.mean())


def _inputs_of(
    model: Any, network: Network, available: Mapping[str, AnyInput], given: ModelInputs
) -> dict[str, AnyInput]:
    """What each input of the model is given, in their order."""
    if len(network.inputs) == 1 and not given.codes:
        return {network.inputs[0].name: available[NUMBERS]}
    names = [each.name for each in model.inputs]
    if unknown := [name for name in names if name not in available]:
        raise TrainingError(f"build_model: the model has an input {unknown[0]!r}; there are {', '.join(available)}.")
    return {name: available[name] for name in names}


def _served(model: Any) -> Network:
    """The network as it is served."""
    weights = {layer.name: [np.asarray(each) for each in layer.weights] for layer in model.layers}
    try:
        return network_of(json.loads(model.to_json()), weights)
    except NetworkError as error:
        raise TrainingError(f"The network cannot be served: {error}") from error


def _learn(
    keras: Any,
    model: Any,
    parameters: KerasParameters,
    loss: str,
    rows: tuple[list[Values], Values, Values | None],
    validation: tuple[list[Values], Values, Values | None] | None,
) -> int | None:
    """Fit the model; the passes that the validation part chose."""
    functions = {
        LOSSES["squared_error"]: keras.losses.MeanSquaredError,
        LOSSES["log_loss"]: lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        LOSSES["multiclass_log_loss"]: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    optimizer = keras.optimizers.AdamW(parameters.learning_rate, weight_decay=parameters.weight_decay)
    model.compile(optimizer=optimizer, loss=functions[loss]())
    values, y, weights = rows
    callbacks, epochs = [keras.callbacks.TerminateOnNaN()], parameters.epochs or EPOCHS
    patience = parameters.patience
    stopping = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    chooses = parameters.epochs is None and validation is not None
    if chooses:
        epochs = MOST_EPOCHS
        callbacks += [
            stopping,
            keras.callbacks.ReduceLROnPlateau(factor=1 / 3, patience=max(1, patience // 3), min_delta=0.0),
        ]
    model.fit(
        values,
        y,
        sample_weight=weights,
        batch_size=parameters.batch_size or _rows_of_a_step(len(y)),
        epochs=epochs,
        validation_data=validation if validation is None or validation[2] is not None else validation[:2],
        validation_batch_size=_AT_ONCE,
        callbacks=callbacks,
        verbose=0,
    )
    if not all(np.isfinite(np.asarray(each)).all() for each in model.weights):
        raise TrainingError(
            f"The network did not converge: it has weights that are not finite. Set a learning_rate below "
            f"{parameters.learning_rate:g}."
        )
    return int(stopping.best_epoch) + 1 if chooses else None


def _rows_of_a_step(count: int) -> int:
    """A power of two."""
    return int(min(max(2 ** round(math.log2(max(count, 1) / _STEPS)), _FEWEST), _MOST))


def _compared(keras: Any, model: Any, network: Network, values: dict[str, Values]) -> Comparison:
    theirs = np.asarray(model.predict(list(values.values()), batch_size=_AT_ONCE, verbose=0), dtype=np.float64)
    ours = network.predict([values[each.name] for each in network.inputs])
    difference = float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)))
    if not difference <= LARGEST_DIFFERENCE:
        raise TrainingError(
            f"The network as it is served differs by {difference:.2g} from Keras' own predictions of the training "
            f"rows, relative to the larger one of 1 and their size; it may be at most {LARGEST_DIFFERENCE:g}."
        )
    return Comparison(rows=len(theirs), largest_difference=difference, keras=str(keras.__version__))
