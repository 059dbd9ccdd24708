"""Predicting a class: `Binary` and `Multiclass`."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import LARGEST_INTEGER, Field, Kind
from tabular_bento.tasks.arithmetic import sigmoid, softmax
from tabular_bento.tasks.base import Array, Label, Output, Task, class_name, json_text
from tabular_bento.tasks.calibration import Calibration

PROBABILITY = "probability"
"""The output that holds the probabilities, an object whose keys are the classes' text."""

MOST_CLASSES = 250
"""Each class is a column of every log row and, in boosting, a tree of every round."""

_TYPES: dict[Kind, type] = {Kind.TEXT: str, Kind.INTEGER: int, Kind.BOOLEAN: bool}
_NAMES = {str: "text", int: "integer", bool: "boolean"}


@dataclass(frozen=True)
class Classification(Task):
    """Predicting one of several classes; the base of `Binary` and `Multiclass`.

    A prediction holds the label, in the type of the target, and the probability of each class. Labels are numbered
    from 0 in the order of `classes`; learners see these codes.
    """

    classes: tuple[Label, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' text: the keys of the probabilities, the names of their columns in the log."""
        return tuple(class_name(label) for label in self.classes)

    @property
    def outputs(self) -> tuple[Output, ...]:
        target = self.target
        described = target.description or target.name
        return (
            Output(target.name, target.kind, target.description),
            Output(
                PROBABILITY,
                Kind.NUMBER,
                f"Probability of each class of: {described}",
                parts=self.class_names,
                tensor=f"{target.name}_{PROBABILITY}",
            ),
        )

    @abstractmethod
    def probabilities(self, raw: Array) -> Array:
        """Probabilities of the classes, shape [n, classes], of raw scores, shape [n, raw_columns]."""

    @abstractmethod
    def decide(self, probability: Array, threshold: float = 0.5) -> NDArray[np.int64]:
        """The codes of the predicted classes, shape [n], of probabilities of shape [n, classes]."""

    def encode(self, target: NDArray[Any], offset: Array | None = None) -> Array:  # noqa: ARG002
        """The codes of labels.

        Parameters
        ----------
        target : ndarray of shape [n]
            Labels, as a column of the target is held or in JSON's types.
        offset : None
            A classification has none.

        Returns
        -------
        ndarray of shape [n]
            0, 1, ...; NaN where a label is missing.

        Raises
        ------
        ValueError
            For a label that is no class; the message lists the classes.
        """
        if self.target.kind is Kind.TEXT:
            codes = [self._codes.get(label, None if _missing(label) else -1) for label in np.asarray(target).tolist()]
            found = np.array(codes, dtype=np.float64)
        else:
            values = np.asarray(target, dtype=np.float64)
            places = np.clip(np.searchsorted(self._sorted[0], values), 0, len(self.classes) - 1)
            found = np.where(self._sorted[0][places] == values, self._sorted[1][places], -1.0)
            found = np.where(np.isnan(values), np.nan, found)
        if (unknown := found == -1).any():
            raise ValueError(self._unknown(self._plain(np.asarray(target)[unknown][0])))
        return found

    def decode(
        self,
        raw: Array,
        offset: Array | None = None,  # noqa: ARG002
        calibration: Calibration | None = None,
    ) -> dict[str, NDArray[Any]]:
        probability, threshold = self.probabilities(raw), 0.5
        if calibration is not None:
            probability, threshold = calibration.apply(probability), calibration.threshold
        codes = self.decide(probability, threshold)
        return {self.target.name: self.labels(codes), PROBABILITY: probability}

    def labels(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The labels of codes as a column of the target is held, shape [n].

        Parameters
        ----------
        codes : ndarray of shape [n]
            Codes of known labels.
        """
        labels: NDArray[Any] = self._held[np.asarray(codes, dtype=np.int64)]
        return labels

    def check_calibration(self, calibration: Calibration) -> None:
        calibration.check(len(self.classes))

    def check_learnable(self, codes: Array) -> None:
        present = np.unique(codes[~np.isnan(codes)]).astype(np.int64).tolist()
        if len(present) < 2:
            held = f"all labels are {json_text(self.classes[present[0]])}" if present else "there are no labels"
            raise ValueError(f"{held}, and a {self.kind} model learns from at least two of the classes {self.listed}")

    def label_code(self, value: Any) -> float:
        """The code of one label in JSON's type, which for booleans may be 0 and 1. Raises ValueError as `encode`."""
        code = self._codes.get(value) if self._is_of_kind(value) else None
        if code is None:
            raise ValueError(self._unknown(value))
        return float(code)

    def fit_targets(self, target: NDArray[Any], offset: Array | None = None) -> dict[str, Array]:  # noqa: ARG002
        codes = self.encode(target)
        shares = {
            f"is_{name}": np.where(np.isnan(codes), np.nan, codes == code) for code, name in enumerate(self.class_names)
        }
        return {"target": codes, "residual": codes, **shares}

    def faults(self, fields: dict[str, Field]) -> list[str]:
        found = super().faults(fields)
        if self.target.kind in _TYPES:
            found += [f"classes: {fault}" for fault in self._class_faults()]
        else:
            found.append(
                f"target {self.target.name!r}: a class is a text, an integer or a boolean, not a "
                f"{self.target.kind.value.replace('_', ' ')}; to predict numbers, declare a Regression"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "target": self.target.to_dict(), "classes": list(self.classes)}

    @classmethod
    @abstractmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, less the kind."""

    def _class_faults(self) -> list[str]:
        """What is wrong with the classes for a target whose kind can have some."""
        wanted, found = _TYPES[self.target.kind], []
        types = {type(label) for label in self.classes}
        if len(types) > 1:
            listed = ", ".join(sorted(_NAMES.get(kind, kind.__name__) for kind in types))
            found.append(f"they are of several types, {listed}; all must be {_NAMES[wanted]}, as the target is")
        elif types and types != {wanted}:
            (kind,) = types
            found.append(f"the target is of kind {_NAMES[wanted]}, and they are {_NAMES.get(kind, kind.__name__)}")
        counts = Counter((type(label), label) for label in self.classes)
        found += [f"{label!r} is listed {count} times" for (_, label), count in counts.items() if count > 1]
        names: dict[str, Label] = {}
        for _, label in counts:
            other = names.setdefault(class_name(label).casefold(), label)
            if other is not label and class_name(other) == class_name(label):
                found.append(f"{other!r} and {label!r} have the same text")
            elif other is not label:
                found.append(
                    f"{other!r} and {label!r} differ only in case, and their columns in the log would have one name; "
                    "make one spelling of them, or rename one"
                )
            found += self._label_faults(label)
        if len(self.classes) > MOST_CLASSES:
            found.append(
                f"there are {len(self.classes):,}, and at most {MOST_CLASSES} are possible: each is a column of every "
                "log row, and in boosting a tree of every round; group the rare ones"
            )
        return found

    def _label_faults(self, label: Label) -> list[str]:
        target = self.target
        if isinstance(label, bool):
            return []
        if isinstance(label, int):
            low = -LARGEST_INTEGER if target.minimum is None else target.minimum
            high = LARGEST_INTEGER if target.maximum is None else target.maximum
            return [] if low <= label <= high else [f"{label} is not from {low:g} to {high:g}, as the target is"]
        if not isinstance(label, str):
            return []
        if not label or not label.isprintable():
            return [f"{label!r} is empty or holds characters that cannot be printed"]
        shortest, longest = target.min_length or 0, target.max_length or len(label)
        if not shortest <= len(label) <= longest:
            return [f"{label!r} has {len(label)} characters, and the target from {shortest} to {longest}"]
        return []

    def _is_of_kind(self, value: Any) -> bool:
        kind = type(value)
        return kind is _TYPES[self.target.kind] or (self.target.kind is Kind.BOOLEAN and kind is int)

    @staticmethod
    def _plain(value: Any) -> Any:
        """A value of an array as Python has it, whole numbers without a point."""
        value = value.item() if isinstance(value, np.generic) else value
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _unknown(self, value: Any) -> str:
        text = json_text(value) if value is None or isinstance(value, bool) else repr(value)
        return (
            f"the label {text if len(text) <= 60 else text[:60] + '...'} is no class of {self.target.name!r}; "
            f"the classes are {self.listed}"
        )

    @cached_property
    def _codes(self) -> dict[Any, int]:
        return {label: code for code, label in enumerate(self.classes)}

    @cached_property
    def _held(self) -> NDArray[Any]:
        return np.array(self.classes, dtype=object if self.target.kind is Kind.TEXT else np.int64)

    @cached_property
    def _sorted(self) -> tuple[Array, Array]:
        """The classes as rising numbers, and their codes."""
        order = np.argsort(self._held, kind="stable")
        return self._held[order].astype(np.float64), order.astype(np.float64)


@dataclass(frozen=True)
class Binary(Classification):
    """Predicting one of two classes.

    Parameters
    ----------
    target : Field
        What is predicted, of kind TEXT, INTEGER or BOOLEAN.
    classes : sequence, optional
        The two classes: the negative one, then the positive one, whose probability is compared with the decision
        threshold. By default False and True where the target is BOOLEAN.
    """

    kind: ClassVar[str] = "binary"
    evaluator: ClassVar[str] = "binary"
    loss: ClassVar[str] = "log_loss"

    def __init__(self, target: Field, *, classes: Iterable[Label] | None = None) -> None:
        default = (False, True) if target.kind is Kind.BOOLEAN else ()
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "classes", default if classes is None else _labels(classes))

    @property
    def positive(self) -> Label:
        """The positive class."""
        return self.classes[-1]

    def probabilities(self, raw: Array) -> Array:
        return sigmoid(raw[:, 0])

    def summary(self, outputs: Mapping[str, NDArray[Any]]) -> Array:
        return np.asarray(outputs[PROBABILITY][:, 1])

    def decide(self, probability: Array, threshold: float = 0.5) -> NDArray[np.int64]:
        return (probability[:, 1] >= threshold).astype(np.int64)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(Field.from_dict(values["target"]), classes=values["classes"])

    def _class_faults(self) -> list[str]:
        found, count = super()._class_faults(), len(self.classes)
        if count != 2:
            hint = "; with more, declare a Multiclass" if count > 2 else ""
            listed = f": {self.listed}" if count else ""
            found.append(f"a Binary has two, the negative and the positive one, and {count} are declared{listed}{hint}")
        return found


@dataclass(frozen=True)
class Multiclass(Classification):
    """Predicting one of three or more classes.

    Parameters
    ----------
    target : Field
        What is predicted, of kind TEXT or INTEGER.
    classes : sequence
        The classes, in the order that predictions and reports show them in.
    """

    kind: ClassVar[str] = "multiclass"
    evaluator: ClassVar[str] = "multiclass"
    loss: ClassVar[str] = "multiclass_log_loss"

    def __init__(self, target: Field, *, classes: Iterable[Label]) -> None:
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "classes", _labels(classes))

    @property
    def raw_columns(self) -> int:
        return len(self.classes)

    @property
    def score_names(self) -> tuple[str, ...]:
        return self.class_names

    @property
    def baseline_size(self) -> int:
        """A feature for the share of each class."""
        return len(self.classes)

    def probabilities(self, raw: Array) -> Array:
        return softmax(raw)

    def summary(self, outputs: Mapping[str, NDArray[Any]]) -> Array:
        return np.asarray(outputs[PROBABILITY].max(axis=1, initial=0))

    def decide(self, probability: Array, threshold: float = 0.5) -> NDArray[np.int64]:  # noqa: ARG002
        codes: NDArray[np.int64] = probability.argmax(axis=1)
        return codes

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(Field.from_dict(values["target"]), classes=values["classes"])

    def _class_faults(self) -> list[str]:
        found, count = super()._class_faults(), len(self.classes)
        if self.target.kind is Kind.BOOLEAN:
            found.append("a boolean target has two, false and true; declare a Binary")
        elif count < 3:
            hint = "; with two, declare a Binary" if count == 2 else ""
            listed = f": {self.listed}" if count else ""
            found.append(f"a Multiclass has three or more, and {count} are declared{listed}{hint}")
        return found


def _labels(classes: Iterable[Label]) -> tuple[Label, ...]:
    """The classes as Python's own values; a single text is one class."""
    if isinstance(classes, str):
        return (classes,)
    return tuple(label.item() if isinstance(label, np.generic) else label for label in classes)


def _missing(label: Any) -> bool:
    return label is None or label != label
