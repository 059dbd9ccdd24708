"""What is measured of each row that has a label: the errors of the model and of both baselines.

The pass knows no task. It reads the columns that `RowErrors` names as numbers, the label as what `codes` makes of it,
joins both, and adds up what `row_values` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import Outputs, evaluator_of
from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.problem import Declaration
from tabular_bento.tasks import Output
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


@dataclass(frozen=True)
class RowErrors:
    """How the rows of one problem are measured: by the losses of its task's evaluator.

    Parameters
    ----------
    declaration : Declaration, optional
        Of the problem; None of rows that name no model, of which nothing is known.
    naive : float or sequence of float, optional
        What the naive baseline predicts beside the offset; None where it is not known.
    scales : tuple of three floats
        The usual sizes of residual, second loss and first loss. What is far below them is rounded away when values are
        summed, so that sums do not depend on the order of the rows.
    """

    declaration: Declaration | None = None
    naive: float | tuple[float, ...] | None = None
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Those of the problem that the reference was made for."""
        declaration, naive = reference.declaration, reference.naive_baseline
        if declaration is None:
            return cls()
        bounds = reference.label.bins.bounds if reference.label else None
        scale = bounds[-1] - bounds[0] if bounds and bounds[-1] > bounds[0] else 1.0
        in_unit = evaluator_of(declaration.task).in_target_unit
        return cls(
            declaration,
            0.0 if declaration.offset is not None else tuple(naive) if isinstance(naive, list) else naive,
            (scale, scale, scale**2) if in_unit else (1.0, 1.0, 1.0),
        )

    @property
    def required(self) -> tuple[str, ...]:
        """The columns of the log that must hold a number that an error can be measured by, or the row counts as without
        a label.
        """
        if self.declaration is None:
            return ()
        offset = self.declaration.offset
        return (*map(output_column, self._outputs[0].columns), *(() if offset is None else (input_column(offset),)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that values are computed from, all of numbers. One that is not required is NaN where the log does
        not hold it.
        """
        if self.declaration is None:
            return ()
        bounds = (name for output in self._outputs[1:] for name in output.columns)
        return (*self.required, *map(feature_column, self.declaration.baseline_features), *map(output_column, bounds))

    @property
    def _outputs(self) -> tuple[Output, ...]:
        """The outputs that are measured."""
        if self.declaration is None:
            return ()
        measured = evaluator_of(self.declaration.task).measured
        return tuple(output for output in self.declaration.outputs if output.name in measured)

    def codes(self, labels: pa.Array) -> Array:
        """Labels as the log holds them as numbers, shape [n]; NaN where one is missing or cannot be used."""
        if self.declaration is None or not self.declaration.task.classes:
            numbers = numbers_of(labels)
            return np.where(measurable(numbers), numbers, np.nan)
        found = labels.dictionary_encode()
        known = evaluator_of(self.declaration.task).known_codes(np.array(found.dictionary.to_pylist(), dtype=object))
        return np.asarray(np.append(known, np.nan)[found.indices.fill_null(len(known)).to_numpy()])

    def row_values(self, columns: Mapping[str, Array], label: Array) -> RowValues:
        """What n rows come to; `columns` by name in the log and the label's codes, shape [n] each."""
        n, declaration = len(label), self.declaration
        values, known = np.full((VALUES, n), np.nan), np.zeros(n, dtype=np.bool_)
        values[INSIDE] = 0.0
        if declaration is None:
            return RowValues(values, known)
        evaluator = evaluator_of(declaration.task)
        found: dict[str, Array] = {}
        for output in self._outputs:
            parts = [columns[output_column(name)] for name in output.columns]
            found[output.name] = np.column_stack(parts) if output.parts else parts[0]
        of: list[tuple[int, Outputs]] = [(MODEL, found)]
        if self.naive is not None:
            offset = None if declaration.offset is None else columns[input_column(declaration.offset)]
            naive = evaluator.naive_outputs(self.naive, n, offset)
            historical = naive
            if names := declaration.baseline_features:
                history = np.column_stack([columns[feature_column(name)] for name in names])
                known = np.asarray(measurable(history).all(axis=1))
                if known.any():
                    history = np.where(known[:, None], history, np.nan).astype(np.float32)
                    historical = evaluator.historical_outputs(history, self.naive, offset)
            of += [(NAIVE, naive), (HISTORICAL, historical)]
        for first, outputs in of:
            values[first + ERROR] = evaluator.residual(outputs, label)
            values[first + SQUARE], values[first + ABSOLUTE] = evaluator.row_losses(outputs, label).T
        if (inside := evaluator.interval_values(found, label)) is not None:
            values[INSIDE] = inside[:, 0]
        return RowValues(values, known)


def measurable(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of n numbers an error can be measured by: neither missing, nor infinite, nor beyond LARGEST; shape [n]."""
    return np.asarray(np.abs(values) <= LARGEST)
