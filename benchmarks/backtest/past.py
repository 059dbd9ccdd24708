"""Past rows as a server would have logged them, in memory: what the back-test draws its windows from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.data.dataset import Dataset
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import monitored, profile
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Joined, Query, RowCounts, WindowData, tallies_of
from tabular_bento.monitoring.window.ranges import Sums, add_up
from tabular_bento.monitoring.window.reading import RowsRead
from tabular_bento.monitoring.window.records import LABEL_KIND, Watched, record_kind
from tabular_bento.monitoring.window.scan import limits
from tabular_bento.monitoring.window.tally import finite_range
from tabular_bento.problem import Declaration
from tabular_bento.scoring.predictor import Predictor


@dataclass(frozen=True)
class Past:
    """n rows of a problem with an event time, an offset and a baseline.

    Parameters
    ----------
    data : Dataset
        The rows, with their labels, NaN where they never came.
    features : ndarray of shape [n, features]
        Their features.
    predicted : ndarray of shape [n]
        Their predictions.
    """

    data: Dataset
    features: NDArray[np.float32]
    predicted: NDArray[np.float64]

    @classmethod
    def of(cls, predictor: Predictor, data: Dataset) -> Past:
        """Rows with the predictor's features and predictions."""
        found = predictor.predict_columns(data.columns)
        return cls(data, found.features, found.value)

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def declaration(self) -> Declaration:
        """Of the problem."""
        problem = self.data.problem
        return problem if isinstance(problem, Declaration) else problem.declaration

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The fields, by name."""
        return {name: np.asarray(values) for name, values in self.data.columns.items()}

    @property
    def labels(self) -> NDArray[np.float64]:
        """Their labels."""
        return np.asarray(self.data.target, dtype=np.float64)

    @property
    def event(self) -> NDArray[np.int64]:
        """Times of the rows in seconds."""
        seconds = event_seconds(self.declaration, self.data.columns)
        assert seconds is not None
        return seconds

    def where(self, chosen: NDArray[Any]) -> Past:
        """The rows that a mask or an array of positions chooses."""
        return Past(self.data.where(chosen), self.features[chosen], self.predicted[chosen])

    def between(self, start: datetime, end: datetime) -> Past:
        """The rows with `start <= time < end`."""
        low, high = (int(moment.replace(tzinfo=UTC).timestamp()) for moment in (start, end))
        return self.where((self.event >= low) & (self.event < high))

    def with_values(self, predictor: Predictor, **altered: NDArray[Any]) -> Past:
        """The same rows with other values of some fields, and the predictor's features and predictions of these."""
        return Past.of(predictor, replace(self.data, columns={**self.data.columns, **altered}))

    def _outputs(self) -> dict[str, NDArray[Any]]:
        return {self.declaration.outputs[0].name: self.predicted}

    def monitored(self) -> dict[str, NDArray[Any]]:
        """The columns that a profile is made of, by their names in the log."""
        return monitored(self.declaration, self.data.columns, self.features, self._outputs(), self.labels)

    def profile(self, weights: dict[str, float], seed: int) -> dict[str, Any]:
        """The profile of these rows, as training makes one, but for the error."""
        return profile(self.declaration, self.data.columns, self.features, self._outputs(), self.labels, weights, seed)

    def reference(self, like: Reference, seed: int) -> Reference:
        """A reference of these rows, made as training makes one, with the importances and the error of `like`."""
        weights = {column.name: column.importance for column in like.columns if column.role == "feature"}
        document = self.profile(weights, seed)
        return Reference.of(like.model, self.declaration, document | {"error": like.error}, pa.table({}))


def judge_past(past: Past, reference: Reference, settings: DriftSettings, estimated: bool = False) -> DriftResult:
    """The verdict that the drift job gives on a window of exactly these rows, with all their labels.

    The error to expect is estimated too where asked for, of all rows rather than of a sample.
    """
    columns, declaration = past.monitored(), past.declaration
    watched = [Watched(column.name, column.log_name, column.bins) for column in reference.columns]
    rows, finite = np.empty(len(past), record_kind(watched)), {}
    rows["key"], rows["time"], rows["event"] = np.arange(len(past)), past.event * 1_000_000, past.event
    rows["predicted"], rows["baseline"] = past.predicted, past.columns[str(declaration.offset)]
    rows["gain"] = past.features[:, declaration.feature_names.index(str(declaration.baseline))]
    for index, column in enumerate(watched):
        values = columns[column.log_name]
        rows["codes"][:, index] = column.bins.indices(values)
        if values.dtype.kind == "f":
            finite[column.name] = finite_range(values)
    true = past.labels
    labels = np.empty(int((~np.isnan(true)).sum()), LABEL_KIND)
    for name, values in (("key", rows["key"]), ("time", rows["time"]), ("value", true)):
        labels[name] = values[~np.isnan(true)]
    now, bins = datetime.now(UTC), reference.label.bins if reference.label else None
    sizes = tuple(column.bins.size for column in watched)
    found, _ = add_up(Sums(sizes, bins, now.timestamp(), limits(settings.maturity_hours)), rows, labels)
    data = WindowData(
        now=now,
        dated=True,
        rows=RowCounts(scored=len(past)),
        tallies=tallies_of(watched, found, finite),
        unreadable={},
        blocks=found.blocks,
        joined=Joined.of(found, RowsRead(), 0),
        true=found.true,
        sample=pa.table({}),
    )
    estimate = None
    if estimated and reference.error_model:
        estimate = reference.error_model.estimate(
            past.features, past.event, data.blocks.days, settings.resamples, settings.seed
        )
    return judge_window(_query(past), reference, data, settings, estimate=estimate).result


def _query(past: Past) -> Query:
    ends = (past.event.min(), past.event.max() + 1) if len(past) else (0, 1)
    start, end = (datetime.fromtimestamp(int(second), UTC).replace(tzinfo=None) for second in ends)
    return Query(Path(), start, end, str(past.declaration.event_time))
