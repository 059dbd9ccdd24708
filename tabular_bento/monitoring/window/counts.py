"""How many of a window's rows are in each bin of each column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import MISSING, OTHER, Bins, Counts

INFINITE = 255
"""The code of an infinite value, which is in the bin OTHER. All other codes are bins."""

CODES = INFINITE + 1


class Tally:
    """Counts of one column's values by bin, with how many were infinite and the range of those that were not.

    What parts of a window add comes to the same in any order.
    """

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.counts = np.zeros(bins.size, dtype=np.int64)
        self.infinite = 0
        self.minimum = np.inf
        self.maximum = -np.inf

    def add_counts(self, counts: Counts, infinite: int = 0) -> None:
        """Count values by their bins, shape [size], and how many of these are infinite."""
        self.counts += counts
        self.infinite += infinite

    def widen(self, minimum: float, maximum: float) -> None:
        """Extend the range of the finite values; infinity less than minus infinity extends nothing."""
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def missing(self) -> float:
        """Share of values that are missing; 0 where there are no rows."""
        return int(self.counts[MISSING]) / max(self.n, 1)

    @property
    def other(self) -> float:
        """Share of values that are unknown to the reference, or out of its range; 0 where there are no rows."""
        return int(self.counts[OTHER]) / max(self.n, 1)

    @property
    def constant(self) -> bool:
        """Whether all the values there are equal; of text, whether they are in one bin."""
        if np.isfinite(self.minimum):
            return self.minimum == self.maximum and not self.infinite
        return int((np.delete(self.counts, MISSING) > 0).sum()) == 1


class ColumnCounts:
    """Rows by code of each of k columns, and by segment where there are any; and the finite range of each column.

    All rows are counted as they are read. Those that turn out to repeat another are taken out again.
    """

    def __init__(self, columns: int, segments: int = 0) -> None:
        self._counts = np.zeros((max(segments, 1), columns, CODES), np.int64)
        self._ranges = np.tile([[np.inf], [-np.inf]], columns)

    @property
    def columns(self) -> int:
        """How many columns are counted."""
        return self._counts.shape[1]

    def add(self, index: int, codes: NDArray[np.integer], segments: NDArray[np.int64] | None = None) -> None:
        """Count n rows by their code in a column, shape [n], and their segments, shape [n]."""
        size = len(self._counts)
        cells = codes if segments is None else segments * CODES + codes
        self._counts[:, index] += np.bincount(cells, minlength=size * CODES).reshape(size, CODES)

    def widen(self, index: int, values: NDArray[np.float64]) -> None:
        """Extend the range of a column of numbers."""
        low, high = finite_range(values)
        self._ranges[0, index] = min(low, self._ranges[0, index])
        self._ranges[1, index] = max(high, self._ranges[1, index])

    def take_out(self, other: ColumnCounts) -> None:
        """Take out rows that were counted; the ranges stay."""
        self._counts -= other._counts

    def merge(self, other: ColumnCounts) -> None:
        """Add what another part of the window holds."""
        self._counts += other._counts
        self._ranges[0] = np.minimum(self._ranges[0], other._ranges[0])
        self._ranges[1] = np.maximum(self._ranges[1], other._ranges[1])

    def by_code(self, index: int, size: int) -> Counts:
        """The rows by the first `size` codes of a column."""
        return np.asarray(self._counts[:, index, :size].sum(axis=0))

    def tally(self, index: int, bins: Bins, segments: Sequence[int] | None = None) -> Tally:
        """The tally of a column, of all rows or of those of some segments, of which no range is known."""
        chosen = self._counts[:, index] if segments is None else self._counts[list(segments), index]
        counts, tally = chosen.sum(axis=0), Tally(bins)
        infinite = int(counts[INFINITE])
        counts[OTHER] += infinite
        tally.add_counts(counts[: bins.size], infinite)
        if segments is None:
            tally.widen(*self._ranges[:, index].tolist())
        return tally


def finite_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest of n numbers that are neither missing nor infinite; (inf, -inf) of none."""
    low = float(np.fmin.reduce(values, initial=np.inf))
    high = float(np.fmax.reduce(values, initial=-np.inf))
    if np.isneginf(low) or np.isposinf(high):
        finite = values[np.isfinite(values)]
        return float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    return low, high
