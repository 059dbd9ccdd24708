"""Networks of models of the real Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

from tabular_bento.errors import NetworkError
from tabular_bento.scoring.network import Network, network_of
from tabular_bento.scoring.network.activations import ActivationName


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        yield pytest.importorskip("keras")


def read(model: Any) -> Network:
    weights = {layer.name: [np.asarray(each) for each in layer.weights] for layer in model.layers}
    return network_of(json.loads(model.to_json()), weights)


def compare(model: Any, *values: Any) -> None:
    """The values of NumPy are those of Keras, with every weight drawn."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        drawn = random.normal(0, 0.7, weight.shape)
        weight.assign(abs(drawn) if "variance" in weight.path else drawn)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # what Normalization was adapted to is taken over
            layer.finalize_state()
    network = read(model)
    by_name = {each.name: each_values for each, each_values in zip(model.inputs, values, strict=True)}
    ours = network.predict([by_name[each.name] for each in network.inputs])
    theirs = model.predict(list(values), verbose=0)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def numbers(width: int = 5) -> Any:
    return np.random.default_rng(1).normal(0, 2, (50, width)).astype(np.float32)


@pytest.mark.slow
def test_every_layer_computes_as_in_keras(keras: Any) -> None:
    layers = keras.layers
    x, codes = keras.Input((5,), name="x"), keras.Input((2,), name="codes", dtype="int32")
    scaled = layers.Normalization(mean=[0.0, 1, 2, 3, 4], variance=[1.0, 2, 3, 4, 5])(x)
    table = layers.Flatten()(layers.Dense(4, activation="tanh")(layers.Embedding(7, 3)(codes)))
    values = layers.Concatenate()([scaled, table, layers.Normalization()(x)])
    values = layers.BatchNormalization()(layers.Dense(9, activation=layers.LeakyReLU(negative_slope=0.05))(values))
    beside = layers.LayerNormalization()(layers.Dense(9, use_bias=False)(values))
    values = layers.Add()([values, beside, layers.BatchNormalization(scale=False, center=False)(beside)])
    values = layers.GaussianNoise(0.1)(layers.Dropout(0.3)(values))
    values = layers.ELU(alpha=0.7)(layers.Dense(9)(values))
    values = layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2)(layers.Dense(9)(values))
    values = layers.Softmax()(layers.LeakyReLU()(layers.LayerNormalization(scale=False, center=False)(values)))
    values = layers.Normalization(mean=0.5, variance=2.0, invert=True)(values)
    model = keras.Model([x, codes], layers.Dense(3)(layers.Activation("swish")(values)))
    compare(model, numbers(), np.random.default_rng(2).integers(0, 7, (50, 2)).astype(np.float32))


@pytest.mark.slow
def test_every_activation_computes_as_in_keras(keras: Any) -> None:
    x = keras.Input((5,), name="x")
    names = get_args(ActivationName)
    values = keras.layers.Concatenate()([keras.layers.Dense(7, activation=name)(x) for name in names])
    compare(keras.Model([x], values), numbers())


def of(build: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A functional model whose output is what `build` makes of the layers and an input."""

    def model(keras: Any) -> Any:
        x = keras.Input((3,), name="x")
        return keras.Model(x, build(keras.layers, x))

    return model


def twice(layers: Any, x: Any) -> Any:
    layer = layers.Dense(3, name="own")
    return layer(layer(x))


def own_layer(keras: Any) -> Any:
    @keras.saving.register_keras_serializable(package="project")
    class Own(keras.layers.Dense):  # type: ignore[misc]
        pass

    return keras.Sequential([keras.Input((3,)), Own(1, name="own")])


def inner(keras: Any) -> Any:
    within = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="own")
    return keras.Sequential([keras.Input((3,)), within])


def two_outputs(keras: Any) -> Any:
    x = keras.Input((3,))
    return keras.Model(x, [keras.layers.Dense(1)(x), keras.layers.Dense(1)(x)])


def triple(x: Any) -> Any:
    return 3 * x


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (of(lambda layers, x: layers.Lambda(triple, name="own")(x)), r"'own' is keras.layers.Lambda, which cannot be"),
    (own_layer, "'own' is the custom layer project>Own, which cannot be served"),
    (inner, r"'own' is a model of its own \(Sequential\)"),
    (of(twice), "'own' is used 2 times"),
    (two_outputs, "The model has 2 outputs"),
    (of(lambda _, x: x + x), r"is keras.src.ops.numpy.Add, which cannot be served; these layers of Keras can"),
    (of(lambda layers, x: layers.Reshape((3, 1), name="own")(x)), "'own' is keras.layers.Reshape"),
    (of(lambda layers, x: layers.Dense(1, activation=triple, name="own")(x)), "'own' has the activation 'triple'"),
    (of(lambda layers, x: layers.Dense(1, activation="log_softmax", name="own")(x)), "activation 'log_softmax'"),
    (of(lambda layers, x: layers.Dense(1, dtype="mixed_float16", name="own")(x)), "'own' computes in mixed_float16"),
    (of(lambda layers, x: layers.Dropout(0.1, name="own")(x, training=True)), "'own' is called with training"),
    (of(lambda layers, x: layers.BatchNormalization(renorm=True, name="own")(x)), "'own' has renorm"),
    (
        of(lambda layers, x: layers.BatchNormalization(axis=1, name="own")(layers.Embedding(3, 4)(x))),
        "'own' works along the axis 1, and must work along the last one",
    ),
    (lambda keras: keras.Sequential([keras.Input((3, 4)), keras.layers.Flatten()]), "must have a list of numbers"),
    (of(lambda layers, x: layers.Embedding(3, 4, name="own")(x)), r"'own' gives values of shape \[3, 4\]"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_what_cannot_be_served_is_refused_by_name(keras: Any, build: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        read(build(keras))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"module": "keras", "class_name": "Sequential", "config": {"layers": [{}]}},
        {"module": "keras", "class_name": "Sequential", "config": {"layers": 3}},
        {"module": "keras", "class_name": "Functional", "config": []},
    ],
)
def test_what_is_no_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="The configuration is not that of a model of Keras 3"):
        network_of(config, {})


def test_other_classes_are_refused() -> None:
    with pytest.raises(NetworkError, match="The model is of the class 'Own', which cannot be served"):
        network_of({"module": "project", "class_name": "Own", "config": {}}, {})


def test_the_number_of_weights_is_that_of_the_layer(keras: Any) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="own")])
    with pytest.raises(NetworkError, match="The layer 'own' has 0 weights, and 2 are expected"):
        network_of(json.loads(model.to_json()), {})
