"""What is measured of each row that has a label: the errors of the model and of both baselines.

The pass knows no task. It reads the columns that a `RowErrors` names as numbers, the label as what `codes` makes of it,
joins both, and adds up what `row_values` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import Outputs, evaluator_of
from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.tasks import Task
from tabular_bento.traffic.schema import feature_column, input_column, output_column

Array = NDArray[np.float64]

MODEL, NAIVE, HISTORICAL = 0, 3, 6
"""Whose errors: the first of three values each."""

ERROR, ABSOLUTE, SQUARE = 0, 1, 2
"""The residual, the second loss, and the first loss: for a regression the error, its absolute value, its square."""

INSIDE = 9
"""Whether the label is inside of the prediction's interval: 1 or 0, and 0 of a problem that has none."""

VALUES = 10

LARGEST = 1e30
"""Numbers beyond it, of either sign, are none that an error can be measured by: sums of squares must stay finite."""


@dataclass(frozen=True)
class RowValues:
    """What n rows with a label come to.

    Parameters
    ----------
    values : ndarray of shape [10, n]
        Row `MODEL + SQUARE` has the first loss of the model's predictions, and so on, and row `INSIDE` whether the
        label is inside of the interval. NaN where a baseline, or a bound, is not known.
    historical : ndarray of shape [n]
        Which rows have a historical baseline of their own; the others have the naive one.
    """

    values: Array
    historical: NDArray[np.bool_]

    @classmethod
    def of_errors(
        cls,
        model: Array,
        naive: Array,
        historical: Array,
        known: NDArray[np.bool_],
        inside: Array | float = 0.0,
    ) -> Self:
        """Errors of the three, prediction less label, with their absolute values and squares."""
        values = np.empty((VALUES, len(model)))
        values[INSIDE] = inside
        for first, error in ((MODEL, model), (NAIVE, naive), (HISTORICAL, historical)):
            values[first + ERROR] = error
            np.abs(error, out=values[first + ABSOLUTE])
            np.square(error, out=values[first + SQUARE])
        return cls(values, known)


class RowErrors(Protocol):
    """How the rows of one problem are measured.

    Attributes
    ----------
    columns : tuple of str
        The columns of the log, all of numbers, that values are computed from.
    required : tuple of str
        Those of them that must hold a number that an error can be measured by, or the row counts as without a label.
        One of the others is NaN where the log does not hold it.
    scales : tuple of three floats
        The usual sizes of residual, second loss and first loss. What is far below them is rounded away when values are
        summed, so that sums do not depend on the order of the rows.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def required(self) -> tuple[str, ...]: ...
    @property
    def scales(self) -> tuple[float, float, float]: ...

    def codes(self, labels: pa.Array) -> Array:
        """Labels as the log holds them as numbers, shape [n]; NaN where one is missing or cannot be used."""
        ...

    def row_values(self, columns: Mapping[str, Array], label: Array) -> RowValues:
        """What n rows come to; `columns` by name in the log and the label's codes, shape [n] each."""
        ...


@dataclass(frozen=True)
class RegressionErrors:
    """Errors are prediction less label.

    Parameters
    ----------
    predicted : str, optional
        The column of the prediction; None of rows that name no model, of which nothing is known.
    offset : str, optional
        The column of the offset, which is the naive baseline.
    naive : float
        The naive baseline where there is no offset; NaN where it is not known.
    historical : str, optional
        The column of the feature that is a baseline, less the offset.
    scale : float
        The usual size of an error.
    bounds : tuple of str
        The columns of the lower and the upper bound of the interval; empty where there is none.
    """

    predicted: str | None = None
    offset: str | None = None
    naive: float = float("nan")
    historical: str | None = None
    scale: float = 1.0
    bounds: tuple[str, ...] = ()

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Those of the problem that the reference was made for."""
        declaration, naive = reference.declaration, reference.naive_baseline
        if declaration is None:
            return cls()
        offset, history = declaration.offset, declaration.baseline_features
        bounds = reference.label.bins.bounds if reference.label else None
        return cls(
            output_column(declaration.outputs[0].columns[0]),
            None if offset is None else input_column(offset),
            float("nan") if naive is None else naive,
            feature_column(history[0]) if history else None,
            (bounds[-1] - bounds[0]) if bounds and bounds[-1] > bounds[0] else 1.0,
            tuple(map(output_column, declaration.task.bound_names)),
        )

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(name for name in (self.predicted, self.offset) if name is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        more = () if self.historical is None else (self.historical,)
        return (*self.required, *more, *self.bounds)

    @property
    def scales(self) -> tuple[float, float, float]:
        return self.scale, self.scale, self.scale**2

    def codes(self, labels: pa.Array) -> Array:
        """The labels themselves."""
        numbers = numbers_of(labels)
        return np.where(measurable(numbers), numbers, np.nan)

    def row_values(self, columns: Mapping[str, Array], label: Array) -> RowValues:
        """The error, its absolute value and its square, of model, naive baseline and historical baseline."""

        def column(name: str | None, otherwise: float) -> Array:
            return np.full(len(label), otherwise) if name is None else columns[name]

        naive, gain = column(self.offset, self.naive), column(self.historical, np.nan)
        known = measurable(gain)
        gain = np.where(known, gain, 0.0).astype(np.float32).astype(np.float64)
        historical = gain + naive if self.offset is not None else np.where(known, gain, naive)
        predicted = column(self.predicted, np.nan)
        inside: Array | float = 0.0
        if self.bounds:
            lower, upper = (columns[name] for name in self.bounds)
            inside = np.where(np.isnan(lower) | np.isnan(upper), np.nan, (lower <= label) & (label <= upper))
        return RowValues.of_errors(predicted - label, naive - label, historical - label, known, inside)


@dataclass(frozen=True)
class ClassificationErrors:
    """The residual, the Brier score and the log loss of predicted probabilities, see the task's evaluator.

    Parameters
    ----------
    task : Task
        The task.
    probabilities : tuple of str
        The columns of the probabilities, in the order of the classes.
    naive : sequence of float, optional
        The share of each class, which is the naive baseline; None where it is not known.
    historical : tuple of str
        The columns of the features that are a baseline.
    """

    task: Task
    probabilities: tuple[str, ...]
    naive: tuple[float, ...] | None = None
    historical: tuple[str, ...] = ()

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Those of the problem that the reference was made for."""
        declaration, naive = reference.declaration, reference.naive_baseline
        assert declaration is not None
        (output,) = (each for each in declaration.outputs if each.parts)
        return cls(
            declaration.task,
            tuple(map(output_column, output.columns)),
            tuple(naive) if isinstance(naive, list | tuple) else None,
            tuple(map(feature_column, declaration.baseline_features)),
        )

    @property
    def required(self) -> tuple[str, ...]:
        return self.probabilities

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.required, *self.historical)

    @property
    def scales(self) -> tuple[float, float, float]:
        return 1.0, 1.0, 1.0

    def codes(self, labels: pa.Array) -> Array:
        """The numbers of the labels' classes; NaN for a label that is no class."""
        found = labels.dictionary_encode()
        codes = np.array([*(self._code(value) for value in found.dictionary.to_pylist()), np.nan])
        return np.asarray(codes[found.indices.fill_null(len(codes) - 1).to_numpy()])

    def _code(self, value: Any) -> float:
        try:
            return float(self.task.encode(np.array([value], dtype=object if isinstance(value, str) else float))[0])
        except (TypeError, ValueError):
            return float("nan")

    def row_values(self, columns: Mapping[str, Array], label: Array) -> RowValues:
        """Of the probabilities, the shares of the classes, and the feature that is a baseline."""
        n, evaluator = len(label), evaluator_of(self.task)
        values, known = np.full((VALUES, n), np.nan), np.zeros(n, dtype=np.bool_)
        values[INSIDE] = 0.0
        of: list[tuple[int, Outputs]] = [
            (MODEL, {"probability": np.column_stack([columns[name] for name in self.probabilities])})
        ]
        if self.naive is not None:
            of.append((NAIVE, evaluator.naive_outputs(self.naive, n)))
            history = np.column_stack([columns[name] for name in self.historical]) if self.historical else None
            if history is not None:
                known = np.asarray(measurable(history).all(axis=1))
            if history is not None and known.any():
                history = np.where(known[:, None], history, np.nan)
                of.append((HISTORICAL, evaluator.historical_outputs(history, self.naive)))
            else:
                of.append((HISTORICAL, of[-1][1]))
        for first, outputs in of:
            values[first + ERROR] = evaluator.residual(outputs, label)
            values[first + SQUARE], values[first + ABSOLUTE] = evaluator.row_losses(outputs, label).T
        return RowValues(values, known)


def errors_of(reference: Reference) -> RowErrors:
    """How the rows of the reference's problem are measured."""
    if reference.declaration is None:
        return RegressionErrors()
    makers: dict[str, Callable[[Reference], RowErrors]] = {
        "regression": RegressionErrors.of,
        "binary": ClassificationErrors.of,
        "multiclass": ClassificationErrors.of,
    }
    return makers[reference.declaration.task.evaluator](reference)


def measurable(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of n numbers an error can be measured by: neither missing, nor infinite, nor beyond LARGEST; shape [n]."""
    return np.asarray(np.abs(values) <= LARGEST)
