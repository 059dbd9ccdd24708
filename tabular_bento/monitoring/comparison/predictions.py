"""Both predictions of every row, the rows on which they differ most, and losses summed by day."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tabular_bento.evaluation.evaluators import Evaluator, evaluator_of
from tabular_bento.evaluation.metrics import GROUPS, event_seconds
from tabular_bento.evaluation.noninferiority import day_sums, segment_sums
from tabular_bento.features.clock import DAY
from tabular_bento.features.columns import Row, columns_of, rows_of
from tabular_bento.monitoring.comparison.models import Model, Outputs
from tabular_bento.monitoring.comparison.result import WorstRow
from tabular_bento.monitoring.comparison.rows import Batch
from tabular_bento.problem import Declaration
from tabular_bento.protocol.values import json_values
from tabular_bento.schema import Field, Kind

Array = NDArray[np.float64]

_EQUAL = 1e-9
"""Differences that are apart by less than this share of themselves are equal, as those of two probabilities are."""

_KEPT = 1_000
"""Rows kept whole, to measure the time of a prediction with."""


@dataclass(frozen=True)
class PairedPredictions:
    """n rows; arrays of shape [n].

    Parameters
    ----------
    declaration : Declaration
        Of the problem.
    baseline, candidate : mapping
        Outputs of both by name, of shape [n] or [n, parts].
    labels : ndarray
        Labels as the evaluator reads them; NaN for none.
    event : ndarray, optional
        Event times in seconds; None where the problem has none.
    segments : mapping
        The segments' values as text, by field.
    rows : mapping
        The first rows with all their fields.
    """

    declaration: Declaration
    baseline: Outputs
    candidate: Outputs
    labels: Array
    event: NDArray[np.int64] | None
    segments: Mapping[str, NDArray[Any]]
    rows: Mapping[str, NDArray[Any]]

    @cached_property
    def distance(self) -> Distance:
        """How far the two are apart, row by row."""
        return Distance.of(self.declaration, self.baseline, self.candidate)

    @property
    def days(self) -> NDArray[np.int64]:
        """What a bootstrap draws: the days of the event times; without them blocks of rows."""
        return np.arange(len(self)) % GROUPS if self.event is None else np.asarray(self.event // DAY)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Distance:
    """How far two predictions of n rows are apart: the number, or of several the one, by which they differ most.

    Parameters
    ----------
    baseline, candidate : ndarray of shape [n, columns]
        The numbers of all outputs.
    columns : tuple of str
        Their names, as in the log: `probability.yes`.
    most : ndarray of shape [n]
        The column by which each row differs most; of equal ones the last.
    classes : ndarray of shape [n], optional
        Whether the predicted classes differ; None where no class is predicted.
    """

    baseline: Array
    candidate: Array
    columns: tuple[str, ...]
    most: NDArray[np.int64]
    classes: NDArray[np.bool_] | None

    @classmethod
    def of(cls, declaration: Declaration, baseline: Outputs, candidate: Outputs) -> Self:
        """That of the outputs of two models, by name."""
        numbers = [output for output in declaration.outputs if output.kind is Kind.NUMBER]
        ours, theirs = (
            np.column_stack([np.asarray(outputs[output.name], dtype=np.float64) for output in numbers])
            for outputs in (baseline, candidate)
        )
        columns = tuple(name for output in numbers for name in output.columns)
        distance = np.abs(theirs - ours)
        largest = distance >= distance.max(axis=1, initial=0.0, keepdims=True) * (1 - _EQUAL)
        most = len(columns) - 1 - largest[:, ::-1].argmax(axis=1)
        first = declaration.outputs[0]
        classes = None if first in numbers else np.asarray(baseline[first.name] != candidate[first.name])
        return cls(ours, theirs, columns, most, classes)

    @cached_property
    def before(self) -> Array:
        """What the baseline has in the column by which each row differs most, shape [n]."""
        return np.asarray(np.take_along_axis(self.baseline, self.most[:, None], axis=1)[:, 0])

    @cached_property
    def after(self) -> Array:
        """What the candidate has there."""
        return np.asarray(np.take_along_axis(self.candidate, self.most[:, None], axis=1)[:, 0])

    @property
    def delta(self) -> Array:
        """The candidate's number less the baseline's, shape [n]."""
        return np.asarray(self.after - self.before)


class Worst:
    """The rows on which the two differ most, as they were asked."""

    def __init__(self, size: int, declaration: Declaration) -> None:
        self._size = size
        self._declaration = declaration
        self._kept: list[tuple[float, int, str, str, float, float, Row]] = []
        self._count = 0

    def add(self, batch: Batch, baseline: Outputs, candidate: Outputs) -> None:
        """Offer the rows of a batch."""
        found = Distance.of(self._declaration, baseline, candidate)
        distance = np.abs(found.delta)
        for place in np.argsort(-distance, kind="stable")[: self._size]:
            self._count -= 1  # of equal distances, the first stays
            own = {name: values[place : place + 1] for name, values in batch.columns.items()}
            row = rows_of(own, self._declaration.field_names)[0]
            values = float(found.before[place]), float(found.after[place])
            column = found.columns[found.most[place]]
            entry = (float(distance[place]), self._count, batch.names[place], column, *values, row)
            heapq.heappush(self._kept, entry)
            if len(self._kept) > self._size:
                heapq.heappop(self._kept)

    def rows(self, baseline: Model | None, candidate: Model | None) -> list[WorstRow]:
        """The rows, worst first, with the features that the models show."""
        kept = [entry for entry in sorted(self._kept, reverse=True) if entry[0] > 0]
        if not kept:
            return []
        fields = self._declaration.fields
        columns = columns_of([entry[-1] for entry in kept], fields)
        ours, theirs = (model.features(columns) if model else None for model in (baseline, candidate))
        worst = []
        for place, (_, _, name, column, before, after, row) in enumerate(kept):
            own = _named(ours[place], self._declaration) if ours is not None else None
            other = _named(theirs[place], self._declaration) if theirs is not None else None
            worst.append(
                WorstRow(
                    row=name,
                    output=column,
                    baseline=before,
                    candidate=after,
                    delta=after - before,
                    fields=_values(row, fields),
                    features=own if own is not None else other,
                    features_differ={key: (own[key], other[key]) for key in own if own[key] != other[key]}
                    if own and other
                    else {},
                )
            )
        return worst


def gather(
    batches: Iterable[Batch], baseline: Model | None, candidate: Model | None, declaration: Declaration, worst: Worst
) -> PairedPredictions:
    """Ask both models for what the batches do not hold already. Raises what the source and the models raise."""
    parts: list[PairedPredictions] = []
    with tqdm(desc="rows", unit="row", disable=not sys.stderr.isatty()) as bar:
        for batch in batches:
            ours = batch.baseline if batch.baseline is not None else _predict(baseline, batch)
            theirs = batch.candidate if batch.candidate is not None else _predict(candidate, batch)
            worst.add(batch, ours, theirs)
            event = event_seconds(declaration, batch.columns)
            texts = {name: _texts(declaration.field(name), batch.columns[name]) for name in declaration.segments}
            kept = {} if parts else {name: values[:_KEPT] for name, values in batch.columns.items()}
            parts.append(PairedPredictions(declaration, ours, theirs, batch.labels, event, texts, kept))
            bar.update(len(batch.labels))
    if not parts:
        none, texts = no_outputs(declaration), dict.fromkeys(declaration.segments, np.empty(0, object))
        event = None if declaration.event_time is None else np.empty(0, np.int64)
        return PairedPredictions(declaration, none, none, np.empty(0), event, texts, {})
    events = [part.event for part in parts if part.event is not None]
    names = [output.name for output in declaration.outputs]
    return PairedPredictions(
        declaration,
        {name: np.concatenate([part.baseline[name] for part in parts]) for name in names},
        {name: np.concatenate([part.candidate[name] for part in parts]) for name in names},
        np.concatenate([part.labels for part in parts]),
        np.concatenate(events) if events else None,
        {name: np.concatenate([part.segments[name] for part in parts]) for name in declaration.segments},
        parts[0].rows,
    )


def no_outputs(declaration: Declaration) -> Outputs:
    """The outputs of no rows."""
    empty = {True: np.empty(0, dtype=object), False: np.empty(0)}
    return {
        output.name: np.empty((0, len(output.parts))) if output.parts else empty[output.kind is Kind.TEXT]
        for output in declaration.outputs
    }


@dataclass(frozen=True)
class SegmentRows:
    """The rows of one value of a field: a mask of shape [n]."""

    field: str
    value: str
    rows: NDArray[np.bool_]


@dataclass(frozen=True)
class LossSums:
    """Losses of two models on the same rows, summed by day: all that a judgement on them needs of the rows.

    Parameters
    ----------
    evaluator : Evaluator
        Whose losses they are.
    days : ndarray of shape [d]
        The days, counted from 1970, or the numbers of blocks.
    total : ndarray of shape [d, 5]
        Sums of all rows, as `day_sums` makes them.
    segments : list of tuple
        The fields and values of s segments.
    by_segment : ndarray of shape [s, d, 5]
        Sums of each.
    dated : bool
        Whether `days` are days.
    """

    evaluator: Evaluator
    days: NDArray[np.int64]
    total: Array
    segments: list[tuple[str, str]]
    by_segment: Array
    dated: bool = True

    @classmethod
    def of(
        cls,
        evaluator: Evaluator,
        baseline: Array,
        candidate: Array,
        days: NDArray[np.int64],
        segments: Sequence[SegmentRows],
        dated: bool = True,
    ) -> Self:
        """The sums of both models' losses of n rows, of shape [n, 2] each; `days` is of shape [n]."""
        distinct, total = day_sums(baseline, candidate, days)
        parts = segment_sums(baseline, candidate, days, [part.rows for part in segments])
        return cls(evaluator, distinct, total, [(part.field, part.value) for part in segments], parts, dated)

    @classmethod
    def of_paired(cls, paired: PairedPredictions) -> Self:
        """The sums of the losses of the rows that have a label."""
        evaluator, known = evaluator_of(paired.declaration.task), ~np.isnan(paired.labels)
        ours, theirs = (
            evaluator.row_losses({name: values[known] for name, values in outputs.items()}, paired.labels[known])
            for outputs in (paired.baseline, paired.candidate)
        )
        fields = {name: values[known] for name, values in paired.segments.items()}
        return cls.of(evaluator, ours, theirs, paired.days[known], segments_of(fields), paired.event is not None)


def segments_of(fields: Mapping[str, NDArray[Any]]) -> list[SegmentRows]:
    """A segment for each value of each field, given as arrays [n]; missing values are one that is called none."""
    found = []
    for name, values in fields.items():
        texts = np.array(["none" if value is None else str(value) for value in values], dtype=object)
        found += [SegmentRows(name, str(value), texts == value) for value in np.unique(texts)]
    return found


def _predict(model: Model | None, batch: Batch) -> Outputs:
    if model is None:
        raise ValueError("a batch without predictions needs a model to ask")
    return model.predict(batch.columns)


def _texts(field: Field, values: NDArray[Any]) -> NDArray[Any]:
    """The values of a segment's field as text, None for what is missing."""
    if field.kind is Kind.TEXT:
        return np.asarray(values, dtype=object)
    texts = [None if value is None else str(value).lower() for value in json_values(field.kind, values)]
    return np.array(texts, dtype=object)


def _values(row: Row, fields: Sequence[Field]) -> dict[str, Any]:
    """The fields of a row as JSON values; what is missing is left out."""
    values = {field.name: json_values(field.kind, [value])[0] for field, value in zip(fields, row, strict=True)}
    return {name: value for name, value in values.items() if value is not None}


def _named(features: NDArray[np.float32], declaration: Declaration) -> dict[str, float | None]:
    values = (float(value) if np.isfinite(value) else None for value in features)
    return dict(zip(declaration.feature_names, values, strict=True))
