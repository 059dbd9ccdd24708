"""Rows to predictions: the extractor, the runner and the task as one, for serving, training and monitoring alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import PredictionError
from tabular_bento.features import Columns, Extractor, Row
from tabular_bento.features.columns import ColumnRows, arrays_of, columns_of
from tabular_bento.problem import Declaration, Problem
from tabular_bento.protocol.explanations import Explanations
from tabular_bento.scoring.runners.base import FIELDS, OneByOne, Runner
from tabular_bento.tasks import Calibration, Conformal, Output


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was predicted for n rows.

    Parameters
    ----------
    features : ndarray of shape [n, features]
        The feature matrix, float32.
    outputs : mapping
        An array for each output of the problem, of shape [n] or [n, parts], by name.
    """

    features: NDArray[np.float32]
    outputs: Mapping[str, NDArray[Any]]

    @property
    def value(self) -> NDArray[Any]:
        """The first output, which labels are compared with, shape [n]."""
        return next(iter(self.outputs.values()))

    def __len__(self) -> int:
        return len(self.features)


NEGLIGIBLE = 1e-6
"""A difference of scores that no metric shows."""


@dataclass(frozen=True, slots=True)
class BatchDifference:
    """How far the raw scores of rows were off in batches, of a runner that is not exact.

    Parameters
    ----------
    difference : float
        The largest difference from the score alone, relative to max(1, |score|).
    rows : int
        The rows that were measured.
    tolerance : float
        What the project allows; 0 has rows scored one by one.
    """

    difference: float
    rows: int
    tolerance: float

    @property
    def allowed(self) -> bool:
        """Whether rows are scored in batches."""
        return self.tolerance > 0 and self.difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "scored": "in batches" if self.allowed else "row by row"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError."""
        return cls(float(values["difference"]), int(values["rows"]), float(values["tolerance"]))


class Predictor:
    """Predicts the outputs of a problem; bit-identical row by row and in batches.

    Parameters
    ----------
    problem : Problem or Declaration
        What is predicted.
    extractor : Extractor
        The fitted features.
    runner : Runner
        The fitted model; one that is not exact scores its rows one by one, unless `batches` allow otherwise.
    calibration : Calibration, optional
        Of a classification: what is done to the probabilities, and the decision threshold.
    batches : BatchDifference, optional
        Of a runner that is not exact: how far scores are off in batches, and what is allowed.
    conformal : Conformal, optional
        Of a task that has intervals: how wide they are. Without it predictions lack them.
    spread : Runner, optional
        Says the scale of a row, by which its interval is wide; by default all are as wide.

    Attributes
    ----------
    score : callable
        The runner's raw scores, shape [n, k], of the features and the rows: `score(features, rows)`. A runner of the
        matrix sees the features alone, one of fields the rows alone. The scale of each row is one more column.

    Raises
    ------
    ValueError
        For a calibration that is none of the task, and for intervals of another level.
    """

    score: Callable[[NDArray[np.float32], Sequence[Row]], NDArray[np.float64]]

    def __init__(
        self,
        problem: Problem | Declaration,
        extractor: Extractor,
        runner: Runner,
        calibration: Calibration | None = None,
        batches: BatchDifference | None = None,
        conformal: Conformal | None = None,
        spread: Runner | None = None,
    ) -> None:
        if calibration is not None:
            problem.task.check_calibration(calibration)
        if conformal is not None and conformal.level != problem.task.interval:
            raise ValueError(f"the intervals are of level {conformal.level}, and the task's {problem.task.interval}")
        self.problem = problem
        self.calibration = calibration
        self.extractor = extractor
        self.batches = batches
        self.runner: Any = runner if runner.exact or self.batch_tolerance > 0 else OneByOne(runner)
        self.takes_fields = self.runner.takes == FIELDS
        self.conformal = conformal
        self.spread: Any = spread if spread is None or spread.exact else OneByOne(spread)
        self._columns = problem.task.raw_columns + (spread is not None)
        predict = self.runner.predict if spread is None else self._score_with_scale
        self.score = self._score_fields if self.takes_fields else lambda features, _: predict(features)
        self._fields = problem.fields
        self._outputs = problem.outputs
        self._task = problem.task
        self._offset = problem.task.offset
        self._offset_index = None if self._offset is None else problem.field_names.index(self._offset)

    @property
    def batch_tolerance(self) -> float:
        """That between a row alone and in a batch; 0 where the bits are the same."""
        return self.batches.tolerance if self.batches is not None and self.batches.allowed else 0.0

    @property
    def tolerance(self) -> float:
        """The largest difference of a raw score, relative to max(1, |score|), between processors and batches."""
        return max(
            float(self.runner.tolerance),
            self.batch_tolerance,
            0.0 if self.spread is None else float(self.spread.tolerance),
        )

    @property
    def measuring(self) -> Predictor:
        """A predictor of the same rows that scores them in batches, for what is measured over many.

        It is this one where it does so anyway, or where that would make a difference that matters.
        """
        if not isinstance(self.runner, OneByOne) or self.batches is None or self.batches.difference > NEGLIGIBLE:
            return self
        batches = replace(self.batches, tolerance=NEGLIGIBLE)
        return Predictor(self.problem, self.extractor, self.runner.runner, *self._fitted(batches))

    def with_intervals_of(self, other: Predictor) -> Predictor:
        """One that predicts as this does, with the intervals of another one of the problem."""
        return Predictor(
            self.problem, self.extractor, self.runner, self.calibration, self.batches, other.conformal, other.spread
        )

    def _fitted(self, batches: BatchDifference | None) -> tuple[Any, ...]:
        """What the constructor takes behind the runner."""
        return self.calibration, batches, self.conformal, self.spread

    @property
    def measured_batches(self) -> dict[str, Any]:
        """`batches` as plain JSON values under that name; empty where the runner is exact."""
        return {} if self.batches is None else {"batches": self.batches.to_dict()}

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """Predict n validated rows.

        Parameters
        ----------
        rows : sequence of Row
            The rows, also as `ColumnRows`.

        Raises
        ------
        PredictionError
            When the model gives scores of another shape, or a prediction that is not a finite number.
        """
        if not len(rows):
            return self._nothing()
        features = self.extractor.transform(rows)
        return Predictions(features, self.outputs(self.score(features, rows), rows))

    def predict_columns(self, columns: Columns) -> Predictions:
        """Predict n rows held as columns, arrays of shape [n] by field name; otherwise as `predict`."""
        if not len(columns[self.problem.fields[0].name]):
            return self._nothing()
        features = self.extractor.transform_columns(columns)
        offset = None if self._offset is None else np.asarray(columns[self._offset], dtype=np.float64)
        return Predictions(features, self._decode(self.score_columns(features, columns), offset, len(features)))

    def score_columns(self, features: NDArray[np.float32], columns: Columns) -> NDArray[np.float64]:
        """Raw scores as of `score`, of n rows held as columns."""
        if self.spread is not None:
            return self._score_with_scale(features)
        given = arrays_of(columns, self._fields) if self.takes_fields else features
        scores: NDArray[np.float64] = self.runner.predict(given)
        return scores

    def outputs(self, raw: NDArray[np.float64], rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """The outputs that raw scores mean for their rows: the offset added, the labels decoded, all checked.

        Parameters
        ----------
        raw : ndarray of shape [n, k]
            A runner's raw scores.
        rows : sequence of Row
            The n rows.

        Returns
        -------
        dict
            An array for each output, of shape [n] or [n, parts], in their order.

        Raises
        ------
        PredictionError
            As of `predict`.
        """
        return self._decode(raw, self._offsets(rows), len(rows))

    @property
    def explains(self) -> bool:
        """Whether its runner explains scores of the feature matrix, so that `explain` works."""
        return not self.takes_fields and bool(getattr(self.runner, "explains", False))

    def explain(self, rows: Sequence[Row]) -> Explanations:
        """What the predictions of n validated rows are made of; the bits of a row do not depend on the others.

        Raises
        ------
        PredictionError
            When the model gives contributions of another shape, or some that are not finite numbers.
        """
        declaration = self.problem.declaration if isinstance(self.problem, Problem) else self.problem
        wanted = (len(rows), self._task.raw_columns, len(declaration.feature_names) + 1)
        scores = self.runner.explain(self.extractor.transform(rows)) if len(rows) else np.empty(wanted)
        if scores.shape != wanted or not np.isfinite(scores).all():
            raise PredictionError(
                f"The model gave contributions of shape {scores.shape} for {len(rows)} rows, or some not finite."
            )
        return Explanations.of_scores(declaration, scores, self._offsets(rows))

    def _score_fields(self, features: NDArray[np.float32], rows: Sequence[Row]) -> NDArray[np.float64]:  # noqa: ARG002
        fields = self._fields
        columns = arrays_of(rows.columns, fields) if isinstance(rows, ColumnRows) else columns_of(rows, fields)
        scores: NDArray[np.float64] = self.runner.predict(columns)
        return scores

    def _offsets(self, rows: Sequence[Row]) -> NDArray[np.float64] | None:
        index = self._offset_index
        if index is None:
            return None
        if isinstance(rows, ColumnRows):
            return np.asarray(rows.columns[str(self._offset)], dtype=np.float64)
        return np.array([row[index] for row in rows], dtype=np.float64)

    def _decode(
        self, raw: NDArray[np.float64], offset: NDArray[np.float64] | None, count: int
    ) -> dict[str, NDArray[Any]]:
        if raw.shape != (count, self._columns):  # checked before the sum, which would spread one over all rows
            raise PredictionError(f"The model gave scores of shape {raw.shape} for {count} rows.")
        outputs = self._finished(raw, offset)
        for output in self._outputs:
            values = outputs.get(output.name, _NONE)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                _refuse(output, values)
        return outputs

    def _nothing(self) -> Predictions:
        features = np.empty((0, len(self.problem.feature_names)), dtype=np.float32)
        offset = None if self._offset is None else np.empty(0)
        return Predictions(features, self._finished(np.empty((0, self._columns)), offset))

    def _finished(self, raw: NDArray[np.float64], offset: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        outputs = self._task.decode(raw, offset, self.calibration)
        if self.conformal is not None:
            scale = None if self.spread is None else raw[:, -1]
            outputs |= self._task.bounds(outputs, self.conformal.half_widths(scale, len(raw)))
        return outputs

    def _score_with_scale(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.concatenate([self.runner.predict(features), self.spread.predict(features)], axis=1)


_NONE: NDArray[Any] = np.empty(0)


def _refuse(output: Output, values: NDArray[Any]) -> None:
    row, *part = (int(index) for index in np.argwhere(~np.isfinite(values))[0])
    value = values[(row, *part)]
    raise PredictionError(f"The model predicted {output.name} {value} for row {row}.")
