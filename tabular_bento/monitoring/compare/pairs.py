"""Both predictions of every row, and the rows on which they differ most: what is kept while the rows stream by."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from features.columns import columns_of, rows_of
from features.definition import FIELDS, SEGMENTS
from features.functions import FEATURE_NAMES
from features.values import Row
from tabular_bento.monitoring.compare.batches import Batch
from tabular_bento.monitoring.compare.result import WorstRow
from tabular_bento.monitoring.compare.sides import Side
from tabular_bento.schema import Kind

Array = NDArray[np.float64]

_ASKED = 1_000
"""Rows kept whole, to measure the time of an answer with."""


@dataclass(frozen=True)
class Pairs:
    """n rows: predictions of both, outcomes with NaN for none, local times in seconds, the fields of SEGMENTS; all [n].

    `asked` holds the first rows with all their fields.
    """

    baseline: Array
    candidate: Array
    outcome: Array
    event: NDArray[np.int64]
    segments: dict[str, NDArray[Any]]
    asked: dict[str, NDArray[Any]]

    @property
    def delta(self) -> Array:
        """Candidate less baseline."""
        return np.asarray(self.candidate - self.baseline)

    def __len__(self) -> int:
        return len(self.baseline)


class Worst:
    """The rows on which the two differ most, as they were asked."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[tuple[float, int, str, float, float, Row]] = []
        self._count = 0

    def add(self, batch: Batch, baseline: Array, candidate: Array) -> None:
        """Offer the rows of a batch."""
        distance = np.abs(candidate - baseline)
        for place in np.argsort(-distance, kind="stable")[: self._size]:
            self._count -= 1  # of equal distances, the first stays
            row = rows_of({name: values[place : place + 1] for name, values in batch.columns.items()})[0]
            values = float(baseline[place]), float(candidate[place])
            heapq.heappush(self._kept, (float(distance[place]), self._count, batch.names[place], *values, row))
            if len(self._kept) > self._size:
                heapq.heappop(self._kept)

    def rows(self, baseline: Side | None, candidate: Side | None) -> list[WorstRow]:
        """The rows, worst first, with the features that the sides show."""
        kept = [entry for entry in sorted(self._kept, reverse=True) if entry[0] > 0]
        if not kept:
            return []
        columns = columns_of([entry[-1] for entry in kept])
        ours, theirs = (side.features(columns) if side else None for side in (baseline, candidate))
        worst = []
        for place, (_, _, name, before, after, row) in enumerate(kept):
            own = _named(ours[place]) if ours is not None else None
            other = _named(theirs[place]) if theirs is not None else None
            worst.append(
                WorstRow(
                    row=name,
                    baseline=before,
                    candidate=after,
                    delta=after - before,
                    fields=_fields(row),
                    features=own if own is not None else other,
                    features_differ={key: (own[key], other[key]) for key in own if own[key] != other[key]}
                    if own and other
                    else {},
                )
            )
        return worst


def gather(batches: Iterable[Batch], baseline: Side | None, candidate: Side | None, worst: Worst) -> Pairs:
    """Ask both for what the batches do not hold already. Raises what the source and the sides raise."""
    parts: list[tuple[Array, Array, Array, NDArray[np.int64]]] = []
    segments: dict[str, list[NDArray[Any]]] = {name: [] for name in SEGMENTS}
    asked: dict[str, NDArray[Any]] = {}
    with tqdm(desc="rows", unit="row", disable=not sys.stderr.isatty()) as bar:
        for batch in batches:
            ours = batch.baseline if batch.baseline is not None else _predict(baseline, batch)
            theirs = batch.candidate if batch.candidate is not None else _predict(candidate, batch)
            worst.add(batch, ours, theirs)
            parts.append((ours, theirs, batch.outcome, batch.event))
            for name, values in segments.items():
                values.append(batch.columns[name])
            asked = asked or {name: values[:_ASKED] for name, values in batch.columns.items()}
            bar.update(len(ours))
    if not parts:
        none = np.empty(0)
        return Pairs(none, none, none, np.empty(0, np.int64), dict.fromkeys(SEGMENTS, np.empty(0, object)), {})
    whole = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    texts = {name: np.concatenate(values) for name, values in segments.items()}
    return Pairs(whole[0], whole[1], whole[2], whole[3], texts, asked)


def _predict(side: Side | None, batch: Batch) -> Array:
    if side is None:
        raise ValueError("a batch without predictions needs a side to ask")
    return side.predict(batch.columns)


def _fields(row: Row) -> dict[str, Any]:
    """The fields of a row as plain JSON values; what is missing is left out."""
    fields = {}
    for field, value in zip(FIELDS, row, strict=True):
        if value is not None and value == value:
            is_time = field.kind is Kind.LOCAL_TIME
            fields[field.name] = (
                datetime.fromtimestamp(value, UTC).replace(tzinfo=None).isoformat() if is_time else value
            )
    return fields


def _named(features: NDArray[np.float32]) -> dict[str, float | None]:
    values = (float(value) if np.isfinite(value) else None for value in features)
    return dict(zip(FEATURE_NAMES, values, strict=True))
