"""Errors of two models on the same rows, summed by day: all that a judgement on errors needs of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.noninferiority import Array, day_sums, segment_sums
from tabular_bento.monitoring.compare.pairs import Pairs

DAY = 86_400


@dataclass(frozen=True)
class SegmentRows:
    """The rows of one value of a field: a mask of shape [n]."""

    field: str
    value: str
    rows: NDArray[np.bool_]


@dataclass(frozen=True)
class ErrorSums:
    """Sums by day as `day_sums` makes them, of all rows [d, 5] and of each of s segments [s, d, 5].

    `days` are the days, counted from 1970, and `segments` the fields and values.
    """

    days: NDArray[np.int64]
    total: Array
    segments: list[tuple[str, str]]
    by_segment: Array

    @classmethod
    def of(cls, baseline: Array, candidate: Array, days: NDArray[np.int64], segments: Sequence[SegmentRows]) -> Self:
        """The sums of both errors of n rows, arrays of shape [n]."""
        distinct, total = day_sums(baseline, candidate, days)
        parts = segment_sums(baseline, candidate, days, [part.rows for part in segments])
        return cls(distinct, total, [(part.field, part.value) for part in segments], parts)

    @classmethod
    def of_pairs(cls, pairs: Pairs) -> Self:
        """The sums of the errors of the rows that have an outcome."""
        known = ~np.isnan(pairs.outcome)
        ours, theirs = (values[known] - pairs.outcome[known] for values in (pairs.baseline, pairs.candidate))
        fields = {name: values[known] for name, values in pairs.segments.items()}
        return cls.of(ours, theirs, pairs.event[known] // DAY, segments_of(fields))


def segments_of(fields: Mapping[str, NDArray[Any]]) -> list[SegmentRows]:
    """A segment for each value of each field, given as arrays [n]; missing values are one that is called none."""
    found = []
    for name, values in fields.items():
        texts = np.array(["none" if value is None else str(value) for value in values], dtype=object)
        found += [SegmentRows(name, str(value), texts == value) for value in np.unique(texts)]
    return found
