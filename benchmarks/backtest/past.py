"""Past rows as a server would have logged them, in memory: what the back-test draws its windows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.data.dataset import Dataset
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import arrow_column, monitored, output_columns, profile, reference_rows
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import CELLS, Blocks
from tabular_bento.monitoring.window.counts import Tally, finite_range
from tabular_bento.monitoring.window.data import Joined, Query, RowCounts, WindowData
from tabular_bento.monitoring.window.errors import RowErrors
from tabular_bento.problem import Declaration
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.traffic.schema import LABEL, TIME, feature_column, input_column

SAMPLE = 5_000
"""Rows that a reference keeps."""


@dataclass(frozen=True)
class Past:
    """n rows of a problem with an event time.

    Parameters
    ----------
    data : Dataset
        The rows, with their labels.
    features : ndarray of shape [n, features]
        Their features.
    outputs : mapping
        Their predictions, by output.
    """

    data: Dataset
    features: NDArray[np.float32]
    outputs: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, predictor: Predictor, data: Dataset) -> Past:
        """Rows with the predictor's features and predictions."""
        found = predictor.predict_columns(data.columns)
        return cls(data, found.features, found.outputs)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def predicted(self) -> NDArray[Any]:
        """The first output, which labels are compared with."""
        return np.asarray(next(iter(self.outputs.values())))

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
        """Their labels as the evaluator reads them, NaN where they never came."""
        return evaluator_of(self.declaration.task).codes(self.data.target)

    @property
    def event(self) -> NDArray[np.int64]:
        """Times of the rows in seconds."""
        seconds = event_seconds(self.declaration, self.data.columns)
        assert seconds is not None
        return seconds

    def where(self, chosen: NDArray[Any]) -> Past:
        """The rows that a mask or an array of positions chooses."""
        outputs = {name: values[chosen] for name, values in self.outputs.items()}
        return Past(self.data.where(chosen), self.features[chosen], outputs)

    def between(self, start: datetime, end: datetime) -> Past:
        """The rows with `start <= time < end`."""
        low, high = (int(moment.replace(tzinfo=UTC).timestamp()) for moment in (start, end))
        return self.where((self.event >= low) & (self.event < high))

    def with_values(self, predictor: Predictor, **altered: NDArray[Any]) -> Past:
        """The same rows with other values of some fields, and the predictor's features and predictions of these."""
        return Past.of(predictor, replace(self.data, columns={**self.data.columns, **altered}))

    def monitored(self) -> dict[str, NDArray[Any]]:
        """The columns that a profile is made of, by their names in the log."""
        return monitored(self.declaration, self.data.columns, self.features, self.outputs, self.data.target)

    def numbers(self, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Columns of the log, all of numbers, by name."""
        found: dict[str, NDArray[Any]] = {input_column(name): values for name, values in self.columns.items()}
        found |= {feature_column(name): self.features[:, i] for i, name in enumerate(self.declaration.feature_names)}
        found |= output_columns(self.declaration, self.outputs)
        return {name: np.asarray(found[name], dtype=np.float64) for name in names}

    def profile(self, weights: dict[str, float], seed: int) -> dict[str, Any]:
        """The profile of these rows, as training makes one, but for the error."""
        return profile(
            self.declaration, self.data.columns, self.features, self.outputs, self.data.target, weights, seed
        )

    def reference(self, like: Reference, seed: int) -> Reference:
        """A reference of these rows, made as training makes one, with the importances and the error of `like`."""
        weights = {column.name: column.importance for column in like.columns if column.role == "feature"}
        document = self.profile(weights, seed)
        return Reference.of(like.model, self.declaration, document | {"error": like.error}, self._sample(seed))

    def _sample(self, seed: int) -> pa.Table:
        """Some of the rows, as a package holds them."""
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), min(SAMPLE, len(self)), replace=False))
        part = self.where(chosen)
        return reference_rows(part.declaration, part.data.columns, part.features, part.outputs, part.data.target)


def judge_past(past: Past, reference: Reference, settings: DriftSettings, estimated: bool = False) -> DriftResult:
    """The verdict that the drift job gives on a window of exactly these rows, with all their labels.

    The error to expect is estimated too where asked for, of all rows rather than of a sample.
    """
    data, estimate = window_of(past, reference), None
    if estimated and reference.error_model:
        estimate = reference.error_model.estimate(
            past.features, past.event, data.blocks.days, settings.resamples, settings.seed
        )
    return judge_window(_query(past), reference, data, settings, estimate=estimate).result


def window_of(past: Past, reference: Reference) -> WindowData:
    """What a pass over the log of these rows finds where every label came at once."""
    columns, labels = past.monitored(), past.labels
    known = ~np.isnan(labels)
    tallies = {}
    for column in reference.columns:
        values = columns[column.log_name]
        tallies[column.name] = tally = Tally(column.bins)
        infinite = int(np.isinf(values).sum()) if values.dtype.kind == "f" else 0
        tally.add_counts(column.bins.count(values), infinite)
        if values.dtype.kind == "f":
            tally.widen(*finite_range(values))
    measured = RowErrors.of(reference)
    numbers = past.numbers(measured.columns)
    errors = measured.row_values({name: column[known] for name, column in numbers.items()}, labels[known])
    age = np.full(len(past), CELLS - 1, dtype=np.int64)
    came = np.zeros(CELLS, dtype=np.int64)
    came[0] = known.sum()
    true = None
    if reference.label is not None:
        true = np.zeros((CELLS, reference.label.bins.size), dtype=np.int64)
        true[-1] = reference.label.bins.count(columns[LABEL][known])
    return WindowData(
        now=datetime.now(UTC),
        dated=True,
        rows=RowCounts(scored=len(past)),
        tallies=tallies,
        unreadable={},
        blocks=Blocks.of(past.event, age, known, errors),
        joined=Joined(came),
        true=true,
        sample=_sample_of(past, reference),
        texts=texts_of(past, reference),
    )


def _sample_of(past: Past, reference: Reference) -> pa.Table:
    """Some of the rows with the columns that a shift of all segments is measured by."""
    declaration = past.declaration
    step = max(len(past) / SAMPLE, 1.0)
    part = past.where(np.arange(0, len(past), step).astype(np.int64))
    names = declaration.segments
    columns = {input_column(name): arrow_column(part.columns[name], declaration.field(name)) for name in names}
    columns |= {name: pa.array(values) for name, values in part.numbers(RowErrors.of(reference).columns).items()}
    time = pa.array(np.zeros(len(part), dtype=np.int64)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({**columns, TIME.name: time, LABEL: pa.array(part.labels, mask=np.isnan(part.labels))})


def texts_of(past: Past, reference: Reference) -> dict[str, NewValues]:
    """What the fields of categories hold that the reference does not know."""
    found = {}
    for name, vocabulary in reference.vocabularies.items():
        found[name] = NewValues(vocabulary.values)
        found[name].add(pa.array([value or None for value in past.columns[name].tolist()], pa.string()))
    return found


def _query(past: Past) -> Query:
    ends = (past.event.min(), past.event.max() + 1) if len(past) else (0, 1)
    start, end = (datetime.fromtimestamp(int(second), UTC).replace(tzinfo=None) for second in ends)
    return Query(Path(), start, end, str(past.declaration.event_time))
