"""Explanations: what each feature contributed to the raw score of a prediction, in JSON and as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any, Self, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.tensors import CLASSES, Tensor

EXPLAIN = "explain"
"""The key of a request in JSON, and the parameter of one in the Open Inference Protocol, that asks for explanations."""

EXPLANATION = "explanation"
BASE_VALUE = "base_value"
OFFSET = "offset"
CONTRIBUTIONS = "contributions"

FEATURES = "features"
"""The parameter of the tensor of contributions that names its last axis."""

TENSORS = (EXPLANATION, f"{EXPLANATION}_{BASE_VALUE}", f"{EXPLANATION}_{OFFSET}")
"""The tensors of an explanation: contributions, base values and, where the task has one, the offset."""


@dataclass(frozen=True)
class Explanations:
    """What n predictions are made of.

    The base value and the contributions of a row add up to its raw score: of a regression the prediction less the
    offset, of a binary task the log-odds of the positive class before calibration, of a multiclass one those of each
    class, up to a constant of the row.

    Parameters
    ----------
    features : tuple of str
        The names of the features.
    classes : tuple of str
        The text of each class, where a row has a raw score for each; empty where it has one.
    base_values : ndarray of shape [n, scores]
        The raw score of a row of which nothing is known; one score, or one for each class.
    contributions : ndarray of shape [n, scores, features]
        What each feature adds to it.
    offsets : ndarray of shape [n], optional
        What the task adds to the raw score; None where it adds nothing.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    base_values: NDArray[np.float64]
    contributions: NDArray[np.float64]
    offsets: NDArray[np.float64] | None = None

    @classmethod
    def of_scores(
        cls, declaration: Declaration, scores: NDArray[np.float64], offsets: NDArray[np.float64] | None
    ) -> Self:
        """Explanations of what a runner's `explain` gives, shape [n, scores, features + 1]."""
        names = declaration.task.score_names
        return cls(declaration.feature_names, names, scores[:, :, -1], scores[:, :, :-1], offsets)

    @classmethod
    def of_objects(cls, objects: Sequence[Mapping[str, Any]]) -> Self:
        """The inverse of `objects`, for one prediction or more.

        Raises
        ------
        KeyError, TypeError, ValueError
            For other objects.
        """
        base_value, contributions = objects[0][BASE_VALUE], objects[0][CONTRIBUTIONS]
        classes = tuple(base_value) if isinstance(base_value, Mapping) else ()
        features = tuple(contributions[classes[0]] if classes else contributions)
        bases, parts = [], []
        for item in objects:
            base, found = item[BASE_VALUE], item[CONTRIBUTIONS]
            bases.append([base[name] for name in classes] if classes else [base])
            scores = [found[name] for name in classes] if classes else [found]
            parts.append([[values[name] for name in features] for values in scores])
        offsets = np.array([item[OFFSET] for item in objects], np.float64) if OFFSET in objects[0] else None
        return cls(features, classes, np.array(bases, np.float64), np.array(parts, np.float64), offsets)

    @classmethod
    def of_tensors(cls, found: Mapping[str, Sequence[float]], names: Mapping[str, Sequence[str]]) -> Self:
        """The inverse of `tensors`: their flat values by name, and the parameters of that of the contributions.

        Raises
        ------
        KeyError, TypeError, ValueError
            For other tensors.
        """
        features, classes = tuple(names[FEATURES]), tuple(names.get(CLASSES, ()))
        scores = len(classes) or 1
        values, base_values, offset = (found.get(name) for name in TENSORS)
        bases = np.array(base_values, np.float64).reshape(-1, scores)
        contributions = np.array(values, np.float64).reshape(len(bases), scores, len(features))
        return cls(features, classes, bases, contributions, None if offset is None else np.array(offset, np.float64))

    def objects(self) -> list[dict[str, Any]]:
        """The explanation of each row as JSON values."""
        bases, parts = self.base_values.tolist(), self.contributions.tolist()
        offsets = [{}] * len(self) if self.offsets is None else [{OFFSET: value} for value in self.offsets.tolist()]
        return [
            {
                BASE_VALUE: self._by_class(base),
                **offset,
                CONTRIBUTIONS: self._by_class([dict(zip(self.features, values, strict=True)) for values in scores]),
            }
            for base, offset, scores in zip(bases, offsets, parts, strict=True)
        ]

    def tensors(self) -> list[Tensor]:
        """The explanations as tensors of FP64: `TENSORS`, of shape [n, features], [n] and [n].

        Where a row has a raw score for each class, the first two are of shape [n, classes, features] and [n, classes].
        """
        scores = (len(self.classes),) if self.classes else ()
        named = {CLASSES: list(self.classes)} if self.classes else {}
        contributions, base_value, offset = TENSORS
        shape, by_class = (len(self), *scores, len(self.features)), (len(self), *scores)
        found = [
            Tensor(
                contributions,
                "FP64",
                shape,
                self.contributions.ravel().tolist(),
                {FEATURES: list(self.features), **named},
            ),
            Tensor(base_value, "FP64", by_class, self.base_values.ravel().tolist(), named or None),
        ]
        if self.offsets is not None:
            found.append(Tensor(offset, "FP64", (len(self),), self.offsets.tolist()))
        return found

    def part(self, index: slice) -> Explanations:
        """Those of some of the rows."""
        offsets = None if self.offsets is None else self.offsets[index]
        return Explanations(self.features, self.classes, self.base_values[index], self.contributions[index], offsets)

    def __len__(self) -> int:
        return len(self.base_values)

    def _by_class(self, values: list[Any]) -> Any:
        return dict(zip(self.classes, values, strict=True)) if self.classes else values[0]


class ExplainedBatch(PredictionBatch):
    """Predictions with their explanations, each under the key `explanation`.

    Attributes
    ----------
    explanations : Explanations
        The explanations of the n predictions.
    """

    explanations: Explanations

    @classmethod
    def of(cls, batch: PredictionBatch, explanations: Explanations) -> ExplainedBatch:
        """Predictions beside their explanations."""
        explained = cls.__new__(cls)
        explained.form, explained.columns, explained.model = batch.form, batch.columns, batch.model
        explained.explanations = explanations
        return explained

    def json(self) -> bytes:
        return msgspec.json.encode(list(self))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> PredictionBatch: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | PredictionBatch:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        return self.of(super().__getitem__(index), self.explanations.part(index))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for prediction, explanation in zip(super().__iter__(), self.explanations.objects(), strict=True):
            yield {**prediction, EXPLANATION: explanation}


def described_parameters(tensor: Tensor) -> dict[str, str]:
    """The parameters of a tensor as messages of gRPC have them: lists are JSON."""
    return {name: dumps(value, ensure_ascii=False) for name, value in (tensor.parameters or {}).items()}
