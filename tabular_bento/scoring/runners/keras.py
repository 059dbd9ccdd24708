"""Neural networks fitted by Keras and served by NumPy.

Keras, with JAX, is imported where a model is fitted and nowhere else. What is kept is the list of layers with their
weights as plain arrays, see `tabular_bento.scoring.network`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from tabular_bento.errors import NetworkError
from tabular_bento.scoring.network import AnyInput, Network
from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.keras_fitting import LOSSES, Comparison, KerasParameters, fit
from tabular_bento.tasks import Task

_DOCUMENT = "network.json"
_WEIGHTS = "network.npz"
_MOST_BYTES = 1 << 30
"""Of the weights, when they are read."""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    inputs: dict[str, AnyInput]
    network: dict[str, Any]
    mean: float
    scale: float
    comparison: Comparison | None


class KerasRunner:
    """A network with what was fitted of its inputs.

    Parameters
    ----------
    inputs : mapping
        What each input of the network is given, by its name.
    network : Network
        The layers with their weights.
    mean, scale : float
        The raw score is `mean + scale * value` of the network's values.
    comparison : Comparison, optional
        With the scores of Keras; there is none of a file that was imported.

    Raises
    ------
    NetworkError
        Where the inputs are not those of the network.
    """

    kind: ClassVar[str] = "keras"
    takes: ClassVar[str] = "matrix"
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = tuple(LOSSES)
    tolerance: ClassVar[float] = 0.0
    distribution: ClassVar[str] = "keras"
    Parameters: ClassVar[type[base.Parameters]] = KerasParameters
    file: ClassVar[str] = _DOCUMENT

    def __init__(
        self,
        inputs: Mapping[str, AnyInput],
        network: Network,
        mean: float = 0.0,
        scale: float = 1.0,
        comparison: Comparison | None = None,
    ) -> None:
        self.inputs, self.network, self.mean, self.scale = dict(inputs), network, mean, scale
        self.comparison = comparison
        self.chosen: dict[str, int] = {}
        wanted = {each.name: each.width for each in network.inputs}
        given = {name: each.width for name, each in inputs.items()}
        if wanted != given:
            raise NetworkError(f"The network has the inputs {_widths(wanted)}, and is given {_widths(given)}.")
        self._values = [inputs[each.name].prepare() for each in network.inputs]

    @classmethod
    def fit(cls, data: base.FittingData, parameters: KerasParameters, task: Task, seed: int) -> Self:
        loss = base.objective_of(task, LOSSES, cls.kind, data.y)
        found = fit(data, parameters, loss, task.raw_columns, seed)
        runner = cls(found.inputs, found.network, found.mean, found.scale, found.comparison)
        runner.chosen = {} if found.epochs is None else {"epochs": found.epochs}
        return runner

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        found = self.network.predict([values(X) for values in self._values])
        return self.mean + self.scale * found.astype(np.float64)

    def save(self, directory: Path) -> None:
        stored = _Stored(
            inputs=self.inputs,
            network=self.network.document(),
            mean=self.mean,
            scale=self.scale,
            comparison=self.comparison,
        )
        text = json.dumps(stored.model_dump(mode="json"), indent=1, allow_nan=False)
        (directory / _DOCUMENT).write_text(text + "\n", encoding="utf-8")
        weights: dict[str, Any] = self.network.weights
        with (directory / _WEIGHTS).open("wb") as file:
            np.savez(file, **weights)

    @classmethod
    def load(cls, directory: Path) -> Self:
        stored = _read(directory / _DOCUMENT)
        with zipfile.ZipFile(directory / _WEIGHTS) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise NetworkError(f"{_WEIGHTS} has more than {_MOST_BYTES:,} bytes.")
        with np.load(directory / _WEIGHTS, allow_pickle=False) as arrays:
            network = Network(stored.network, {name: arrays[name] for name in arrays.files})
        return cls(stored.inputs, network, stored.mean, stored.scale, stored.comparison)


def _read(path: Path) -> _Stored:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NetworkError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None


def _widths(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} of {width}" for name, width in widths.items()) or "none"
