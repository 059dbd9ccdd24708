"""A network: its layers in the order of computing, checked when it is made, and its weights.

It is kept as a document of plain JSON values and as arrays. Nothing in them is code, and what they may say is what
`tabular_bento.scoring.network.layers` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tabular_bento.errors import NetworkError
from tabular_bento.scoring.network.layers import LAYERS, AnyLayer, Compute, Layer, Shape, Values

MOST_LAYERS = 2_000
MOST_NUMBERS = 100_000_000
"""Numbers in all weights."""
MOST_VALUES = 1_000_000
"""Values of one row in one layer."""

_BLOCK = 64
"""Rows that are computed at once, so that their values stay in the cache."""

_SEPARATOR = "/"


class NetworkInput(BaseModel):
    """An input of a network: numbers of a row, or codes.

    Parameters
    ----------
    name : str
        Its name.
    width : int
        How many numbers a row has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    width: int = Field(ge=1, le=MOST_VALUES)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[NetworkInput, ...] = Field(min_length=1)
    layers: tuple[AnyLayer, ...] = Field(min_length=1, max_length=MOST_LAYERS)
    output: str


class Network:
    """A network that computes the values of its last layer.

    Parameters
    ----------
    document : mapping
        `inputs`, a list of name and width; `layers`, a list of settings with `name`, `type` and `inputs`, each after
        those whose values it is given; `output`, the name of the layer whose values are the network's.
    weights : mapping
        Arrays by `LAYER/WEIGHT`.

    Raises
    ------
    NetworkError
        For a layer that is not known, one that reads what is not before it, or weights that are missing, of another
        shape or not finite.
    """

    def __init__(self, document: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> None:
        parsed = _parsed(document)
        self.inputs: tuple[NetworkInput, ...] = parsed.inputs
        self.layers: tuple[Layer, ...] = parsed.layers
        self.output = parsed.output
        shapes: dict[str, Shape] = {each.name: (each.width,) for each in self.inputs}
        if len(shapes) < len(self.inputs):
            raise NetworkError("Two inputs of the network have the same name.")
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._steps: list[tuple[int, Compute, tuple[int, ...]]] = []
        places = {name: index for index, name in enumerate(shapes)}
        for layer in self.layers:
            own = _checked(layer, shapes, weights, MOST_NUMBERS - sum(each.size for each in self.weights.values()))
            self.weights |= {f"{layer.name}{_SEPARATOR}{name}": values for name, values in own.items()}
            sources = tuple(places[name] for name in layer.inputs)
            places[layer.name] = len(places)
            self._steps.append((places[layer.name], _prepared(layer, own), sources))
        if unknown := sorted(set(weights) - set(self.weights)):
            raise NetworkError(f"The network has no layer for the weights {unknown[0]!r}.")
        if self.output not in shapes:
            raise NetworkError(f"The output of the network is {self.output!r}, and no layer has that name.")
        if len(shapes[self.output]) != 1:
            raise NetworkError(
                f"The layer {self.output!r} gives values of shape {list(shapes[self.output])} for a row, and the "
                "output of the network must be a list of numbers."
            )
        self.width = shapes[self.output][0]
        self._place, self._count = places[self.output], len(places)

    def document(self) -> dict[str, Any]:
        """The network as plain JSON values, without its weights."""
        return {
            "inputs": [each.model_dump() for each in self.inputs],
            "layers": [layer.model_dump(mode="json") for layer in self.layers],
            "output": self.output,
        }

    def predict(self, values: Sequence[Values]) -> Values:
        """The values of the output; bit-identical row by row and in batches.

        Parameters
        ----------
        values : sequence of ndarray
            Of each input the numbers of n rows, float32 of shape [n, width].

        Returns
        -------
        ndarray of shape [n, outputs], float32
        """
        count = len(values[0])
        with np.errstate(all="ignore"):  # what is not finite is refused as a prediction
            if count <= _BLOCK:
                return self._block(values)
            blocks = [
                self._block([each[start : start + _BLOCK] for each in values]) for start in range(0, count, _BLOCK)
            ]
        return np.concatenate(blocks)

    def _block(self, values: Sequence[Values]) -> Values:
        found: list[Any] = [*values, *[None] * (self._count - len(values))]
        for place, compute, sources in self._steps:
            found[place] = compute(*[found[source] for source in sources])
        result: Values = found[self._place]
        return result


def _parsed(document: Mapping[str, Any]) -> _Document:
    try:
        return _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "union_tag_invalid":
            given = first["input"]
            raise NetworkError(
                f"The layer {given.get('name')!r} is of the type {given.get('type')!r}, which cannot be served; "
                f"these can: {', '.join(LAYERS)}."
            ) from None
        where = ".".join(str(part) for part in first["loc"])
        raise NetworkError(f"The network cannot be read: {where}: {first['msg']}.") from None


def _checked(
    layer: Layer, shapes: dict[str, Shape], weights: Mapping[str, NDArray[Any]], most: int
) -> dict[str, NDArray[np.float32]]:
    """The weights of a layer, once they are right; adds the shape of its values to `shapes`."""
    if layer.name in shapes:
        raise NetworkError(f"Two layers or inputs of the network are named {layer.name!r}.")
    if unknown := [name for name in layer.inputs if name not in shapes]:
        raise NetworkError(f"The layer {layer.name!r} reads {unknown[0]!r}, which is no input and no layer before it.")
    if not layer.least_inputs <= len(layer.inputs) <= layer.most_inputs:
        raise NetworkError(f"The layer {layer.name!r} has {len(layer.inputs)} inputs.")
    given = tuple(shapes[name] for name in layer.inputs)
    try:
        shape = layer.output_shape(given)
    except ValueError as error:
        raise NetworkError(f"The layer {layer.name!r}: {error}.") from None
    if np.prod(shape, dtype=float) > MOST_VALUES:
        raise NetworkError(f"The layer {layer.name!r} has more than {MOST_VALUES:,} values a row.")
    shapes[layer.name] = shape
    wanted = layer.weight_shapes(given)
    if sum(np.prod(each, dtype=float) for each in wanted.values()) > most:
        raise NetworkError(f"The network has more than {MOST_NUMBERS:,} weights.")
    return {name: _weight(f"{layer.name}{_SEPARATOR}{name}", of, weights) for name, of in wanted.items()}


def _weight(key: str, shape: Shape, weights: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    if key not in weights:
        raise NetworkError(f"The weights {key!r} of the network are missing.")
    values = np.asarray(weights[key])
    if values.shape != shape:
        raise NetworkError(
            f"The weights {key!r} have the shape {list(values.shape)}, and the layer's is {list(shape)}."
        )
    if values.dtype.kind != "f":
        raise NetworkError(f"The weights {key!r} are of the type {values.dtype}, and must be floats.")
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise NetworkError(f"The weights {key!r} hold a number that is not finite.")
    return narrow


def _prepared(layer: Layer, weights: dict[str, NDArray[np.float32]]) -> Compute:
    try:
        return layer.prepare(weights)
    except ValueError as error:
        raise NetworkError(f"The layer {layer.name!r}: {error}.") from None
