"""The flights of a part of the split, as the columns that the extractor and the learners take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.definition import EVENT_TIME, FIELDS, KNOWN_PART, TARGET
from features.extractor import FeatureExtractor
from features.history import HISTORY_FIELDS, References
from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import TrainingError
from tabular_bento.features.clock import DAY
from tabular_bento.schema import Field, Kind
from tabular_bento.training.config import Months
from training.source import Flights, month_range

_HISTORY = tuple(Field(name, Kind.NUMBER, name) for name in HISTORY_FIELDS)


@dataclass(frozen=True)
class Examples:
    """n flights that reached their destination: request fields, history, and outcome; arrays of shape [n]."""

    columns: Mapping[str, NDArray[Any]]
    history: Mapping[str, NDArray[Any]]

    @property
    def target(self) -> NDArray[np.float64]:
        return self.history[TARGET.name]

    @property
    def gain(self) -> NDArray[np.float64]:
        """What a model learns: the target less the part that is known."""
        gain: NDArray[np.float64] = self.target - self.columns[KNOWN_PART]
        return gain

    @property
    def days(self) -> NDArray[np.int64]:
        """Day of each flight, numbered since 1970."""
        return self.columns[EVENT_TIME] // DAY

    @property
    def months(self) -> NDArray[np.int64]:
        """Month of each flight, numbered since 1970."""
        return self.columns[EVENT_TIME].astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)

    def __len__(self) -> int:
        return len(self.target)

    def where(self, chosen: NDArray[Any]) -> Examples:
        """The flights that a mask or an array of positions chooses."""
        return Examples(
            {name: values[chosen] for name, values in self.columns.items()},
            {name: values[chosen] for name, values in self.history.items()},
        )


def examples_between(flights: Flights, months: Months) -> Examples:
    """The flights of `months` whose outcome is known. Raises TrainingError where there is none."""
    table = flights.between(*month_range(*months))
    if "id" not in table.column_names:
        table = table.append_column("id", pa.nulls(table.num_rows, pa.string()))
    examples = Examples(
        columns_of_table(table, FIELDS),
        columns_of_table(table, _HISTORY),
    )
    examples = examples.where(~np.isnan(examples.target))
    if not len(examples):
        raise TrainingError(f"The source has no flight with an outcome in {months[0]} to {months[1]}: check `split`.")
    return examples


def out_of_fold(train: Examples, references: References, shrinkage: float) -> NDArray[np.float32]:
    """Features of the training flights, each month through an extractor fitted on the other months.

    So no flight's own outcome is in the historical means that it is learnt from. Shape [n, features].
    """
    parts = []
    positions = []
    for month in np.unique(train.months):
        held_out = train.months == month
        others = train.where(~held_out)
        if not len(others):
            raise TrainingError("Training needs at least two months: history is learnt from the others.")
        extractor = FeatureExtractor.fit(others.columns, others.history, references, shrinkage=shrinkage)
        parts.append(extractor.transform_columns(train.where(held_out).columns))
        positions.append(np.flatnonzero(held_out))
    order = np.argsort(np.concatenate(positions), kind="stable")
    return np.concatenate(parts)[order]
