"""What a pass keeps of one column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import MISSING, OTHER, Bins


class Tally:
    """Counts of one column's values by bin, with how many were infinite and the range of those that were not.

    Tallies of parts of a window add up to the tally of the whole, in any order.
    """

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.counts = np.zeros(bins.size, dtype=np.int64)
        self.infinite = 0
        self.minimum = np.inf
        self.maximum = -np.inf

    def add(self, values: NDArray[Any]) -> None:
        """Count n values: float64 with NaN for missing, or objects with None."""
        self.counts += self.bins.count(values)
        if values.dtype.kind == "f":
            finite = values[np.isfinite(values)]
            self.infinite += int(np.isinf(values).sum())
            self.minimum = float(finite.min(initial=self.minimum))
            self.maximum = float(finite.max(initial=self.maximum))

    def merge(self, other: Tally) -> None:
        """Add the tally of another part of the window, made on the same bins."""
        self.counts += other.counts
        self.infinite += other.infinite
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

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
