"""What every kind of prediction has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind

Array = NDArray[np.float64]

RESERVED = ("prediction_id", "model", "probability", "explanation")
"""Names that a response has for itself."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a prediction.

    Parameters
    ----------
    name : str
        Its key in JSON.
    kind : Kind
        What it holds.
    description : str
        One line for readers of schemas and reports.
    unit : str, optional
        Unit of the values.
    parts : tuple of str
        The keys, where the output is an object of several numbers; then its values have shape [n, parts].
    tensor : str, optional
        Its name in the Open Inference Protocol, where that is not `name`.
    """

    name: str
    kind: Kind
    description: str = ""
    unit: str | None = None
    parts: tuple[str, ...] = ()
    tensor: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns in a table, one a part."""
        return tuple(f"{self.name}.{part}" for part in self.parts) if self.parts else (self.name,)

    @property
    def tensor_name(self) -> str:
        """Its name in the Open Inference Protocol."""
        return self.tensor or self.name


@dataclass(frozen=True)
class Task(ABC):
    """A kind of prediction; subclasses are `Regression` and, in time, others.

    Everything that differs between kinds of prediction is here or in the evaluator that `evaluator` names.
    """

    target: Field

    kind: ClassVar[str]
    """Its name in packages."""
    evaluator: ClassVar[str]
    """The evaluator of `tabular_bento.evaluation` that measures its predictions."""
    loss: ClassVar[str]
    """What a learner minimises, in scikit-learn's words: runners translate it."""
    raw_columns: ClassVar[int] = 1
    """Columns of a runner's raw scores."""

    @property
    def offset(self) -> str | None:
        """The field that is added to the raw score and subtracted from the target; None where there is none."""
        return None

    @property
    @abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of a prediction, in their order; the first is the one that labels are compared with."""

    @abstractmethod
    def encode(self, target: NDArray[Any], offset: Array | None) -> Array:
        """What a runner learns.

        Parameters
        ----------
        target : ndarray of shape [n]
            Labels.
        offset : ndarray of shape [n], optional
            The values of the offset field.

        Returns
        -------
        ndarray of shape [n]
        """

    @abstractmethod
    def decode(self, raw: Array, offset: Array | None) -> dict[str, NDArray[Any]]:
        """Outputs by name.

        Parameters
        ----------
        raw : ndarray of shape [n, raw_columns]
            A runner's raw scores.
        offset : ndarray of shape [n], optional
            The values of the offset field.

        Returns
        -------
        dict
            An array for each of `outputs`, of shape [n], or [n, parts].
        """

    def faults(self, fields: dict[str, Field]) -> list[str]:
        """What is wrong with the task beside request fields of these names."""
        found = self.target.faults()
        if self.target.name in fields:
            found.append(f"target {self.target.name!r}: a field of the request has that name")
        found += [
            f"output {output.name!r}: the name is reserved"
            for output in self.outputs
            if output.name in RESERVED and not output.parts
        ]
        return found

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The task as plain JSON values, with its `kind`."""
