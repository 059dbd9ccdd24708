"""The feature extractor: rows of the problem in, the feature matrix out, the same in training and in serving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TableError
from tabular_bento.features.columns import ColumnRows, Columns, Row, columns_of
from tabular_bento.features.declare import Derived
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.lookups import Key, Tables
from tabular_bento.features.state import Codes, State
from tabular_bento.features.values import ColumnValues, FittingValues, RowPlan, column_steps, unknown_value
from tabular_bento.features.zones import TimeZones
from tabular_bento.schema import Field

ROWWISE_BELOW = 12
"""Fewer rows than this go through plain Python one by one, which is faster than NumPy's fixed cost per operation."""


class FitData(NamedTuple):
    """Past rows that look-ups are fitted on.

    Parameters
    ----------
    columns : Columns
        The fields of the request, arrays of shape [n].
    fit_columns : Columns
        Columns needed only for fitting, with `target` and `residual`, arrays of shape [n].
    """

    columns: Columns
    fit_columns: Columns


class Extractor:
    """Turns rows into a float32 matrix of shape [n, features].

    A row's features are the same bits alone, in any batch and in any order: every feature is computed from its own row
    in float64 and cast once at the end. Nothing raises on missing or unknown values.

    Parameters
    ----------
    fields : sequence of Field
        The fields of a row, in their order.
    features : FeatureSet
        The features.
    state : State
        What was fitted.
    """

    def __init__(self, fields: Sequence[Field], features: FeatureSet, state: State) -> None:
        self.fields = tuple(fields)
        self.features = features
        self.state = state
        self._compute = tuple(item.compute for item in features.features)
        self._plan = RowPlan(self.fields, features, state)
        self._shared = column_steps(features, state)

    @classmethod
    def fit(
        cls,
        fields: Sequence[Field],
        features: FeatureSet,
        partitions: Iterable[FitData],
        tables: Tables | None = None,
        vocabularies: Mapping[str, Codes] | None = None,
    ) -> Extractor:
        """Fit the look-ups on past rows; rows in several partitions give the same bits as in one.

        Parameters
        ----------
        fields, features
            As of the class.
        partitions : iterable of FitData
            The rows.
        tables : mapping, optional
            The tables beside the rows that look-ups read.
        vocabularies : mapping, optional
            The vocabularies of a fit on more rows. Codes are then the same; a key that is in none of these rows has
            NaN in every table of means or counts.

        Raises
        ------
        TableError
            Where a look-up needs a table or a column that is not there.
        """
        tables = tables or {}
        parts = list(partitions)
        state = State(vocabularies=dict(vocabularies or _vocabularies(features, parts, tables)))
        rows = [FittingValues(part.columns, part.fit_columns, tables, state) for part in parts]
        for item in features.shared:
            if isinstance(item, Derived):
                for values in rows:
                    values.derive(item)
                continue
            total = item.fit(rows[0])
            for values in rows[1:]:
                total = item.merge(total, item.fit(values))
            item.finish(total, rows[0])
            for values in rows:
                values.read(item)
        return cls(fields, features, state)

    def transform(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Features of n validated rows.

        Parameters
        ----------
        rows : sequence of Row
            The rows.

        Returns
        -------
        ndarray of shape [n, features]
        """
        if isinstance(rows, ColumnRows):
            return self.transform_columns(rows.columns)
        if len(rows) >= ROWWISE_BELOW:
            return self.transform_columns(columns_of(rows, self.fields))
        matrix = np.empty((len(rows), len(self._compute)), dtype=np.float64)
        try:
            for index, row in enumerate(rows):
                values = self._plan(row)
                matrix[index] = [compute(values) for compute in self._compute]
        except AttributeError as error:
            raise unknown_value(error) from error
        return _cast(matrix)

    def transform_columns(self, columns: Columns) -> NDArray[np.float32]:
        """Features of n rows that are held as columns; otherwise as `transform`."""
        values = ColumnValues(columns, self._shared, self.state)
        count = len(columns[self.fields[0].name])
        matrix = np.empty((count, len(self._compute)), dtype=np.float64)
        for index, compute in enumerate(self._compute):
            matrix[:, index] = compute(values)
        return _cast(matrix)

    def save(self, directory: Path) -> None:
        """Write the state as JSON and NumPy arrays into `directory`; equal extractors write equal bytes."""
        self.state.save(directory)

    @classmethod
    def load(cls, fields: Sequence[Field], features: FeatureSet, directory: Path) -> Extractor:
        """Read what `save` wrote.

        Raises
        ------
        OSError, ValueError, KeyError
            Where a file is missing or damaged.
        """
        return cls(fields, features, State.load(directory))


def _vocabularies(features: FeatureSet, parts: Sequence[FitData], tables: Tables) -> dict[str, Codes]:
    """The vocabularies that the look-ups need: of fields by the rows, of keys by the tables."""
    found: dict[str, Codes] = {}
    for lookup in features.lookups:
        if isinstance(lookup, TimeZones):
            _add_key(found, tables, lookup.table, lookup.key)
        for part in lookup.by:
            if isinstance(part, Key):
                _add_key(found, tables, part.table, part.column)
            elif not isinstance(part, Derived) and part not in found:
                codes = [Codes.of_column(data.columns[part]) for data in parts]
                found[part] = codes[0] if len(codes) == 1 else Codes(v for one in codes for v in one.values)
    return found


def _add_key(found: dict[str, Codes], tables: Tables, table: str, column: str) -> None:
    if table not in tables or column not in tables[table]:
        there = ", ".join(f"{name}.{key}" for name, columns in tables.items() for key in columns) or "no tables"
        raise TableError(f"A look-up reads {table}.{column}, which the source does not provide; it has {there}.")
    found.setdefault(f"{table}.{column}", Codes.of_column(tables[table][column]))


def _cast(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        features = matrix.astype(np.float32)
    features[np.isnan(features)] = np.nan  # one NaN for all: its sign and payload differ between machines
    return features
