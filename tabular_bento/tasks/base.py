"""What every kind of prediction has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind
from tabular_bento.tasks.calibration import Calibration

Array = NDArray[np.float64]

Label: TypeAlias = str | int | bool
"""A class, in JSON's type."""

_LISTED = 12

RESERVED = (
    "prediction_id",
    "model",
    "probability",
    "explanation",
    "explanation_base_value",
    "explanation_offset",
)
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
    """A kind of prediction; subclasses are `Regression`, `Binary` and `Multiclass`.

    Everything that differs between kinds of prediction is here or in the evaluator that `evaluator` names.
    """

    target: Field

    kind: ClassVar[str]
    """Its name in packages."""
    evaluator: ClassVar[str]
    """The evaluator of `tabular_bento.evaluation` that measures its predictions."""
    loss: ClassVar[str]
    """What a learner minimises, in scikit-learn's words: runners translate it."""

    @property
    def raw_columns(self) -> int:
        """Columns of a runner's raw scores."""
        return 1

    @property
    def score_names(self) -> tuple[str, ...]:
        """The names of a runner's raw scores; empty where there is one."""
        return ()

    @property
    def baseline_size(self) -> int:
        """Features that are together a baseline: their values are a prediction's, or the shares of the classes."""
        return 1

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels that there are; empty where a label is any number."""
        return ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The text of each class."""
        return ()

    @property
    def listed(self) -> str:
        """The classes for a message, the first of them where there are many."""
        shown = ", ".join(json_text(label) for label in self.classes[:_LISTED])
        more = len(self.classes) - _LISTED
        return f"{shown} and {more} more" if more > 0 else shown

    @property
    def offset(self) -> str | None:
        """The field that is added to the raw score and subtracted from the target; None where there is none."""
        return None

    @property
    def interval(self) -> float | None:
        """How often the label is to be inside of a prediction's interval; None where predictions have none."""
        return None

    @property
    def bound_names(self) -> tuple[str, ...]:
        """The names of the outputs of the interval, the lower bound first; empty where there is none."""
        return ()

    @property
    @abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of a prediction, in their order; the first is the one that labels are compared with."""

    @abstractmethod
    def encode(self, target: NDArray[Any], offset: Array | None = None) -> Array:
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
    def decode(
        self, raw: Array, offset: Array | None = None, calibration: Calibration | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name.

        Parameters
        ----------
        raw : ndarray of shape [n, raw_columns]
            A runner's raw scores.
        offset : ndarray of shape [n], optional
            The values of the offset field.
        calibration : Calibration, optional
            Of a classification: what is done to the probabilities, and the decision threshold.

        Returns
        -------
        dict
            An array for each of `outputs`, of shape [n], or [n, parts].
        """

    def bounds(
        self,
        outputs: Mapping[str, NDArray[Any]],  # noqa: ARG002
        half_widths: Array,  # noqa: ARG002
    ) -> dict[str, NDArray[Any]]:
        """The outputs of intervals, of a task that has some.

        Parameters
        ----------
        outputs : mapping
            What `decode` gives.
        half_widths : ndarray of shape [n]
            Half the widths of the intervals.
        """
        raise ValueError(f"a {self.kind} of {self.target.name!r} has no intervals")

    def summary(self, outputs: Mapping[str, NDArray[Any]]) -> Array:
        """One number for each of n predictions, whose distribution is worth a look, shape [n].

        A regression has the prediction itself, a binary task the probability of the positive class, and a multiclass
        one that of the predicted class.

        Parameters
        ----------
        outputs : mapping
            What `decode` gives.
        """
        return np.asarray(outputs[self.target.name], dtype=np.float64)

    def check_calibration(self, calibration: Calibration) -> None:
        """Make sure that a calibration is one of this task.

        Raises
        ------
        ValueError
            Where it is not.
        """
        raise ValueError(f"a {self.kind} has no calibration, and one of method {calibration.method!r} is given")

    def check_learnable(self, codes: Array) -> None:
        """Make sure that encoded labels, shape [n], are enough to learn from.

        Raises
        ------
        ValueError
            Where they are not.
        """
        if np.isnan(codes).all():
            raise ValueError("there are no labels")

    def label_code(self, value: Any) -> float:
        """One label, in JSON's type, as the number that `encode` without an offset makes of it.

        Raises
        ------
        ValueError
            For a label that the task does not know; the message says which there are.
        """
        return float(value)

    def known(self, value: Any) -> bool:
        """Whether the task knows a label, which is in JSON's type."""
        try:
            self.label_code(value)
        except ValueError:
            return False
        return True

    def fit_targets(self, target: NDArray[Any], offset: Array | None = None) -> dict[str, NDArray[Any]]:
        """What look-ups can be fitted on, by name, each of shape [n]; parameters as of `encode`.

        `target` is the label as a number and `residual` what a runner learns. A classification has, for each class,
        `is_` and its text: 1 where that is the label and 0 elsewhere.
        """
        return {"target": target, "residual": self.encode(target, offset)}

    def faults(self, fields: dict[str, Field]) -> list[str]:
        """What is wrong with the task beside request fields of these names."""
        found = self.target.faults()
        if self.target.name in fields:
            found.append(f"target {self.target.name!r}: a field of the request has that name")
        if self.target.name in RESERVED:
            found.append(f"output {self.target.name!r}: the name is reserved")
        return found

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The task as plain JSON values, with its `kind`."""


def class_name(label: Any) -> str:
    """The text of a class, a key in JSON: `true` and `false` for booleans."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def json_text(label: Any) -> str:
    """A label as messages show it: texts in quotes, booleans and nothing as in JSON."""
    if label is None:
        return "null"
    return repr(label) if isinstance(label, str) else class_name(label)
