# ruff: noqa: ARG002  # layers without weights have the methods of those with
"""The layers that a network may have, by the names that Keras 3 gives them.

Values between layers are float32, as in Keras, and each layer computes in float64 and rounds once. Sums are taken from
the first number to the last: the products of float32 numbers are exact in float64, so that a fused multiplication and
addition rounds as two operations do, and the bits of a row depend neither on its batch nor on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tabular_bento.scoring.network import activations
from tabular_bento.scoring.network.activations import ACTIVATIONS, ActivationName

Values = NDArray[np.float32]
Array = NDArray[np.float64]
Shape = tuple[int, ...]
"""The shape of one row of a layer's values, without the axis of the rows."""

Weights = Mapping[str, NDArray[np.float32]]
Compute = Callable[..., Values]

_NORMALIZATION_EPSILON = 1e-7
"""The least standard deviation of Normalization, Keras' own."""


class Layer(BaseModel):
    """One layer: its settings, the shapes of its weights, and what it computes.

    Subclasses say by `type` which layer they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    least_inputs: ClassVar[int] = 1
    most_inputs: ClassVar[int] = 1

    name: str = Field(min_length=1, max_length=200)
    """Its name, of which there is one in the network."""
    inputs: tuple[str, ...]
    """The inputs of the network and the layers before it whose values it is given."""

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """The shape of a row of its values, for those of its inputs.

        Raises
        ------
        ValueError
            Where it cannot take rows of these shapes.
        """
        return shapes[0]

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        """The shape of each of its weights, by name, in the order of Keras."""
        return {}

    def prepare(self, weights: Weights) -> Compute:
        """The function of its inputs' values, each float32 of shape [n, *shape]."""
        raise NotImplementedError


class Dense(Layer):
    """`activation(x @ kernel + bias)` over the last axis."""

    type: Literal["Dense"] = "Dense"
    units: int = Field(ge=1)
    use_bias: bool = True
    activation: ActivationName = "linear"

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        return (*shapes[0][:-1], self.units)

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        bias: dict[str, Shape] = {"bias": (self.units,)} if self.use_bias else {}
        return {"kernel": (shapes[0][-1], self.units), **bias}

    def prepare(self, weights: Weights) -> Compute:
        kernel = _summable(weights["kernel"])
        bias = weights["bias"].astype(np.float64) if self.use_bias else None
        activate, units = ACTIVATIONS[self.activation], self.units

        def compute(x: Values) -> Values:
            rows = x.astype(np.float64).reshape(-1, x.shape[-1])
            total: Array = _sums(rows, kernel)[:, :units]
            if bias is not None:
                total = total + bias
            if activate is not None:
                total = activate(total)
            return _rounded(total).reshape(*x.shape[:-1], units)

        return compute


class Embedding(Layer):
    """The row of a table for each code; a code that is outside of the table has NaN."""

    type: Literal["Embedding"] = "Embedding"
    input_dim: int = Field(ge=1)
    output_dim: int = Field(ge=1)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        return (*shapes[0], self.output_dim)

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        return {"embeddings": (self.input_dim, self.output_dim)}

    def prepare(self, weights: Weights) -> Compute:
        unknown = np.full((1, self.output_dim), np.nan, dtype=np.float32)
        table, size = np.concatenate([weights["embeddings"], unknown]), self.input_dim

        def compute(x: Values) -> Values:
            known = (x > -1) & (x < size)
            return table[np.where(known, x, size).astype(np.intp)]

        return compute


class Normalization(Layer):
    """`(x - mean) / sqrt(variance)` by number of the last axis."""

    type: Literal["Normalization"] = "Normalization"
    invert: bool = False

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        return {"mean": shapes[0][-1:], "variance": shapes[0][-1:]}

    def prepare(self, weights: Weights) -> Compute:
        mean = weights["mean"].astype(np.float64)
        deviation = np.maximum(np.sqrt(_not_negative(weights["variance"])), _NORMALIZATION_EPSILON)
        if self.invert:
            return lambda x: _rounded(mean + x * deviation)
        return lambda x: _rounded((x - mean) / deviation)


class BatchNormalization(Layer):
    """As Keras serves it: by the means and variances of training."""

    type: Literal["BatchNormalization"] = "BatchNormalization"
    epsilon: float = Field(default=1e-3, ge=0)
    center: bool = True
    scale: bool = True

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        wanted = {"gamma": self.scale, "beta": self.center, "moving_mean": True, "moving_variance": True}
        return {name: shapes[0][-1:] for name, there in wanted.items() if there}

    def prepare(self, weights: Weights) -> Compute:
        mean = weights["moving_mean"].astype(np.float64)
        factor = 1 / np.sqrt(_not_negative(weights["moving_variance"]) + self.epsilon)
        if self.scale:
            factor = factor * weights["gamma"]
        beta = weights["beta"].astype(np.float64) if self.center else np.zeros(len(mean))
        return lambda x: _rounded((x - mean) * factor + beta)


class LayerNormalization(Layer):
    """Each row, less its mean, over its standard deviation along the last axis."""

    type: Literal["LayerNormalization"] = "LayerNormalization"
    epsilon: float = Field(default=1e-3, ge=0)
    center: bool = True
    scale: bool = True

    def weight_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        wanted = {"gamma": self.scale, "beta": self.center}
        return {name: shapes[0][-1:] for name, there in wanted.items() if there}

    def prepare(self, weights: Weights) -> Compute:
        gamma = weights["gamma"].astype(np.float64) if self.scale else np.float64(1)
        beta = weights["beta"].astype(np.float64) if self.center else np.float64(0)
        epsilon = self.epsilon

        def compute(x: Values) -> Values:
            size = x.shape[-1]
            rows, ones = x.astype(np.float64).reshape(-1, size), np.ones((size, 2))
            rest = rows - _sums(rows, ones)[:, :1] / size
            variance = _sums(rest * rest, ones)[:, :1] / size
            return _rounded(rest / np.sqrt(variance + epsilon) * gamma + beta).reshape(x.shape)

        return compute


class Dropout(Layer):
    """Nothing: it drops values in training alone."""

    type: Literal["Dropout"] = "Dropout"

    def prepare(self, weights: Weights) -> Compute:
        return lambda x: x


class Flatten(Layer):
    """The numbers of a row in one axis."""

    type: Literal["Flatten"] = "Flatten"

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        return (math.prod(shapes[0]),)

    def prepare(self, weights: Weights) -> Compute:
        return lambda x: x.reshape(len(x), math.prod(x.shape[1:]))


class Concatenate(Layer):
    """The values of its inputs side by side, along the last axis."""

    type: Literal["Concatenate"] = "Concatenate"
    most_inputs: ClassVar[int] = 10_000

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(f"values of shapes {_listed(shapes)} cannot be put side by side")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def prepare(self, weights: Weights) -> Compute:
        return lambda *values: np.concatenate(values, axis=-1)


class Add(Layer):
    """The sum of its inputs."""

    type: Literal["Add"] = "Add"
    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int] = 10_000

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if len(set(shapes)) > 1:
            raise ValueError(f"values of shapes {_listed(shapes)} cannot be added")
        return shapes[0]

    def prepare(self, weights: Weights) -> Compute:
        def compute(*values: Values) -> Values:
            total = values[0].astype(np.float64)
            for each in values[1:]:
                total = total + each
            return _rounded(total)

        return compute


class Activation(Layer):
    """An activation of its own."""

    type: Literal["Activation"] = "Activation"
    activation: ActivationName

    def prepare(self, weights: Weights) -> Compute:
        activate = ACTIVATIONS[self.activation]
        if activate is None:
            return lambda x: x
        return lambda x: _rounded(activate(x.astype(np.float64)))


class ReLU(Layer):
    """`x` from the threshold to the largest value, and below the threshold `negative_slope * (x - threshold)`."""

    type: Literal["ReLU"] = "ReLU"
    max_value: float | None = Field(default=None, ge=0)
    negative_slope: float = Field(default=0.0, ge=0)
    threshold: float = Field(default=0.0, ge=0)

    def prepare(self, weights: Weights) -> Compute:
        slope, threshold = self.negative_slope, self.threshold
        largest = np.inf if self.max_value is None else self.max_value

        def compute(x: Values) -> Values:
            wide = x.astype(np.float64)
            return _rounded(np.where(wide >= threshold, np.minimum(wide, largest), slope * (wide - threshold)))

        return compute


class LeakyReLU(Layer):
    """`x` above 0, and `negative_slope * x` below it."""

    type: Literal["LeakyReLU"] = "LeakyReLU"
    negative_slope: float = Field(default=0.3, ge=0)

    def prepare(self, weights: Weights) -> Compute:
        return lambda x: _rounded(activations.leaky_relu(x.astype(np.float64), self.negative_slope))


class ELU(Layer):
    """`x` above 0, and `alpha * (exp(x) - 1)` below it."""

    type: Literal["ELU"] = "ELU"
    alpha: float = 1.0

    def prepare(self, weights: Weights) -> Compute:
        return lambda x: _rounded(activations.elu(x.astype(np.float64), self.alpha))


class Softmax(Layer):
    """Softmax over the last axis."""

    type: Literal["Softmax"] = "Softmax"

    def prepare(self, weights: Weights) -> Compute:
        return lambda x: _rounded(activations.last_softmax(x.astype(np.float64)))


AnyLayer = Annotated[
    Dense
    | Embedding
    | Normalization
    | BatchNormalization
    | LayerNormalization
    | Dropout
    | Flatten
    | Concatenate
    | Add
    | Activation
    | ReLU
    | LeakyReLU
    | ELU
    | Softmax,
    Field(discriminator="type"),
]
"""Any layer, as pydantic reads it from a document."""

LAYERS: dict[str, type[Layer]] = {layer.__name__: layer for layer in get_args(get_args(AnyLayer)[0])}
"""The layers that there are, by type."""


def _summable(kernel: NDArray[np.float32]) -> Array:
    """A kernel as `_sums` takes it: float64, and of two columns at least."""
    wide = kernel.astype(np.float64)
    return np.ascontiguousarray(wide if wide.shape[1] > 1 else np.concatenate([wide, np.zeros_like(wide)], axis=1))


def _sums(rows: Array, kernel: Array) -> Array:
    """The products of rows and kernel, added from the first number of a row to the last.

    Of a kernel of one column NumPy would add in groups, whose size is the CPU's.
    """
    total: Array = np.einsum("nj,jk->nk", rows, kernel)
    return total


def _rounded(values: Any) -> Values:
    result: Values = np.asarray(values).astype(np.float32)
    return result


def _not_negative(variance: NDArray[np.float32]) -> Array:
    if (variance < 0).any():
        raise ValueError("a variance is below 0")
    return variance.astype(np.float64)


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)
