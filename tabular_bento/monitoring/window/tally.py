"""What a pass keeps of one column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import MISSING, OTHER, Bins, Counts


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


def finite_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest of n numbers that are neither missing nor infinite; (inf, -inf) of none."""
    low = float(np.fmin.reduce(values, initial=np.inf))
    high = float(np.fmax.reduce(values, initial=-np.inf))
    if np.isneginf(low) or np.isposinf(high):
        finite = values[np.isfinite(values)]
        return float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    return low, high
