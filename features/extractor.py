"""The feature extractor: rows of the declaration in, the feature matrix out, the same in training and in serving."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import columns_of
from features.fingerprint import code_fingerprint, declaration_fingerprint
from features.functions import FEATURES
from features.history import References, learn
from features.state import State
from features.values import Columns, ColumnValues, Row, RowValues

ROWWISE_BELOW = 12
"""Fewer rows than this go through plain Python one by one, which is faster than NumPy's fixed cost per operation."""


class FeatureExtractor:
    """Turns rows into a float32 matrix of shape [n, len(FEATURES)].

    A row's features are the same bits alone, in any batch and in any order: every feature is computed from its own row
    in float64 and cast once at the end. Nothing raises on missing or unknown values.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._lists = {name: table.tolist() for name, table in state.tables.items()}
        self._compute = tuple(item.compute for item in FEATURES)

    @classmethod
    def fit(
        cls, columns: Columns, history: Columns, references: References, *, shrinkage: float = 30.0
    ) -> FeatureExtractor:
        """Learn the look-up tables from n past rows.

        `columns` holds the request fields and `history` the columns of `history.HISTORY_FIELDS`, arrays of shape [n].
        """
        return cls(learn(columns, history, references, shrinkage))

    def transform(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Features of n validated rows, shape [n, features]."""
        if len(rows) >= ROWWISE_BELOW:
            return self.transform_columns(columns_of(rows))
        matrix = np.empty((len(rows), len(self._compute)), dtype=np.float64)
        for index, row in enumerate(rows):
            values = RowValues(self.state, self._lists, row)
            matrix[index] = [compute(values) for compute in self._compute]
        return _cast(matrix)

    def transform_columns(self, columns: Columns) -> NDArray[np.float32]:
        """Features of n rows held as columns, arrays of shape [n] by field name; shape [n, features]."""
        values: Any = ColumnValues(self.state, columns)
        matrix = np.empty((len(columns["sched_dep"]), len(self._compute)), dtype=np.float64)
        for index, compute in enumerate(self._compute):
            matrix[:, index] = compute(values)
        return _cast(matrix)

    def save(self, directory: Path) -> None:
        """Write the state as JSON and NumPy arrays into `directory`; equal extractors write equal bytes."""
        self.state.save(directory)

    @classmethod
    def load(cls, directory: Path) -> FeatureExtractor:
        """Read what `save` wrote. Raises OSError or ValueError where it is missing or damaged."""
        return cls(State.load(directory))

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex over declaration, feature code and learnt state: equal only if every feature is."""
        digest = hashlib.sha256(f"{declaration_fingerprint()} {code_fingerprint()}".encode())
        for name, vocabulary in sorted(self.state.vocabularies.items()):
            digest.update(repr((name, vocabulary.values)).encode())
        digest.update(repr(self.state.zones).encode())
        for name, table in sorted(self.state.tables.items()):
            digest.update(name.encode() + np.ascontiguousarray(table).tobytes())
        return digest.hexdigest()


def _cast(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        features = matrix.astype(np.float32)
    features[np.isnan(features)] = np.nan  # one NaN for all: its sign and payload differ between machines
    return features
