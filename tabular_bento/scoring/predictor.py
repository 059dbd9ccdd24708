"""Rows to predictions: the extractor and the runner as one. The service, training, batch and monitoring share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.definition import FIELD_NAMES, KNOWN_PART, TARGET
from features.extractor import FeatureExtractor
from features.functions import FEATURES
from features.values import Columns, Row
from tabular_bento.errors import PredictionError
from tabular_bento.protocol.rows import ColumnRows
from tabular_bento.scoring.runners.base import Runner

_KNOWN_PART = FIELD_NAMES.index(KNOWN_PART)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Features, float32 of shape [n, features], and what was predicted from them: target, float64 of shape [n]."""

    features: NDArray[np.float32]
    target: NDArray[np.float64]


class Predictor:
    """Predicts the target: the runner's gain plus the part that is known. Bit-identical row by row and in batches."""

    def __init__(self, extractor: FeatureExtractor, runner: Runner) -> None:
        self.extractor = extractor
        self.runner = runner

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """Predict n validated rows. Raises PredictionError when an answer is not a finite number."""
        if isinstance(rows, ColumnRows):
            return self.predict_columns(rows.columns)
        known = np.array([row[_KNOWN_PART] for row in rows], dtype=np.float64)
        return self._predict(self.extractor.transform(rows), known)

    def predict_columns(self, columns: Columns) -> Predictions:
        """Predict n rows held as columns, arrays of shape [n] by field name."""
        return self._predict(self.extractor.transform_columns(columns), np.asarray(columns[KNOWN_PART]))

    def _predict(self, features: NDArray[np.float32], known: NDArray[np.float64]) -> Predictions:
        if len(features) == 0:
            return Predictions(np.empty((0, len(FEATURES)), dtype=np.float32), np.empty(0))
        gain = self.runner.predict(features)
        if gain.shape != known.shape:  # checked before the sum, which would spread one number over all rows
            raise PredictionError(f"The model gave predictions of shape {gain.shape} for {len(known)} rows.")
        target = known + gain
        if not np.isfinite(target).all():
            row = int(np.flatnonzero(~np.isfinite(target))[0])
            raise PredictionError(f"The model predicted {TARGET.name} {target[row]} for row {row}.")
        return Predictions(features, target)
