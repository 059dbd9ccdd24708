"""Past rows as a server would have logged them, in memory: what the back-test draws its windows from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from features.definition import EVENT_TIME, FIELDS, HISTORICAL, KNOWN_PART, TARGET
from features.history import HISTORY_FIELDS
from numpy.typing import NDArray

from features.functions import FEATURE_NAMES
from tabular_bento.data.columns import columns_of_table
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import monitored, profile
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query, RowCounts, WindowData, tallies_of
from tabular_bento.monitoring.window.labels import Joined
from tabular_bento.monitoring.window.ranges import Sums, add_up
from tabular_bento.monitoring.window.reading import RowsRead
from tabular_bento.monitoring.window.observed import limits
from tabular_bento.monitoring.window.records import LABEL_KIND, Watched, record_kind
from tabular_bento.monitoring.window.tally import finite_range
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.predictor import Predictor
from training.source import Flights, month_range

_HISTORY = tuple(Field(name, Kind.NUMBER, name) for name in HISTORY_FIELDS)


@dataclass(frozen=True)
class Past:
    """n rows: request fields and history, arrays of shape [n] by name; features of shape [n, f]; predictions [n].

    The history is the labels: the target among it, NaN where it never did.
    """

    columns: Mapping[str, NDArray[Any]]
    history: Mapping[str, NDArray[Any]]
    features: NDArray[np.float32]
    predicted: NDArray[np.float64]

    @classmethod
    def of(cls, predictor: Predictor, flights: Flights, first: str, last: str) -> Past:
        """The flights of the months from `first` to `last`, such as 2013-01, with the predictor's answers."""
        table = flights.between(*month_range(first, last))
        if "id" not in table.column_names:
            table = table.append_column("id", pa.nulls(table.num_rows, pa.string()))
        return predicted(predictor, columns_of_table(table, FIELDS), columns_of_table(table, _HISTORY))

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def event(self) -> NDArray[np.int64]:
        """Local times of the rows in seconds."""
        return self.columns[EVENT_TIME]

    def where(self, chosen: NDArray[Any]) -> Past:
        """The rows that a mask or an array of positions chooses."""
        return Past(
            {name: values[chosen] for name, values in self.columns.items()},
            {name: values[chosen] for name, values in self.history.items()},
            self.features[chosen],
            self.predicted[chosen],
        )

    def between(self, start: datetime, end: datetime) -> Past:
        """The rows with `start <= time < end`."""
        low, high = (int(moment.replace(tzinfo=UTC).timestamp()) for moment in (start, end))
        return self.where((self.event >= low) & (self.event < high))

    def predicted_by(self, predictor: Predictor) -> Past:
        """The same rows with another predictor's features and answers."""
        return predicted(predictor, self.columns, self.history)

    def monitored(self) -> dict[str, NDArray[Any]]:
        """The columns that a profile is made of."""
        return monitored(self.columns, self.features, self.predicted, self.history[TARGET.name])

    def reference(self, like: Reference, seed: int) -> Reference:
        """A reference of these rows, made as training makes one, with the importances and the error of `like`."""
        weights = {column.name: column.importance for column in like.columns if column.role == "feature"}
        document = profile(self.monitored(), self.event, weights, seed)
        return Reference.of(like.model, document | {"error": like.error}, pa.table({}))


def predicted(predictor: Predictor, columns: Mapping[str, NDArray[Any]], history: Mapping[str, NDArray[Any]]) -> Past:
    """Rows with the predictor's features and answers."""
    predictions = predictor.predict_columns(columns)
    return Past(columns, history, predictions.features, predictions.target)


def judge_past(past: Past, reference: Reference, settings: DriftSettings, estimated: bool = False) -> DriftResult:
    """The verdict that the drift job gives on a window of exactly these rows, with all that came true of them.

    The error to expect is estimated too where asked for, of all rows rather than of a sample.
    """
    columns = past.monitored()
    watched = [Watched(column.name, column.log_name, column.bins) for column in reference.columns]
    rows, finite = np.empty(len(past), record_kind(watched)), {}
    rows["key"], rows["time"], rows["event"] = np.arange(len(past)), past.event * 1_000_000, past.event
    rows["predicted"], rows["baseline"] = past.predicted, past.columns[KNOWN_PART]
    rows["gain"] = past.features[:, FEATURE_NAMES.index(HISTORICAL)]
    for place, column in enumerate(watched):
        values = columns[column.name]
        rows["codes"][:, place] = column.bins.places(values)
        if values.dtype.kind == "f":
            finite[column.name] = finite_range(values)
    true = past.history[TARGET.name]
    labels = np.empty(int((~np.isnan(true)).sum()), LABEL_KIND)
    for name, values in (("key", rows["key"]), ("time", rows["time"]), ("value", true)):
        labels[name] = values[~np.isnan(true)]
    now, label = datetime.now(UTC), reference.label.bins if reference.label else None
    sums = Sums(tuple(column.bins.size for column in watched), label, now.timestamp(), limits(settings))
    found, _ = add_up(sums, rows, labels)
    data = WindowData(
        now=now,
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
        estimate = reference.error_model.estimate(past.features, past.event, data.blocks.days, settings)
    return judge_window(_query(past), reference, data, settings, estimate=estimate).result


def _query(past: Past) -> Query:
    ends = (past.event.min(), past.event.max() + 1) if len(past) else (0, 1)
    start, end = (datetime.fromtimestamp(int(second), UTC).replace(tzinfo=None) for second in ends)
    return Query(Path(), start, end, EVENT_TIME)
