"""How long outcomes take: the median of any number of delays, and when nearly all have come, in bounded memory."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

GRID: Array = np.geomspace(1e-4, 1e5, 451)
"""Hours on which delays and ages are counted: a third of a second to eleven years, each 5 % longer than the last."""

CELLS = len(GRID) + 1

NEARLY_ALL = 0.95
"""Of the outcomes that come at all."""


def cells_of(hours: Array, grid: Array = GRID) -> Integers:
    """How many of the grid's hours each of n delays has reached, shape [n]."""
    return np.asarray(np.searchsorted(grid, hours, side="right"), dtype=np.int64)


def usual_cell(came: Integers, waiting: Integers) -> int:
    """The cell of GRID within which nearly all outcomes come, of those that come, as far as can be told yet.

    `came` are outcomes by the cell of their delay, and `waiting` predictions without one by the cell of their age,
    shape [CELLS] each: Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958.
    """
    at_risk = (came + waiting)[::-1].cumsum()[::-1]
    come = 1 - np.cumprod(1 - came / np.maximum(at_risk, 1))
    return int(np.searchsorted(come, NEARLY_ALL * come[-1]))


_KEPT_BITS = 9
_DROPPED_BITS = np.uint64(52 - _KEPT_BITS)


class Delays:
    """Counts of delays by cells that are 0.2 % wide: what is dropped of a number is the end of its mantissa.

    Adding is exact and in any order. After the log-linear cells of HdrHistogram (Tene, 2012).
    """

    def __init__(self) -> None:
        self._cells: Counter[int] = Counter()

    def add(self, delays: Array) -> None:
        """Count n finite delays of either sign."""
        size = (np.abs(delays).view(np.uint64) >> _DROPPED_BITS).astype(np.int64)
        cells, counts = np.unique(np.where(delays < 0, -1 - size, size), return_counts=True)
        self._cells.update(dict(zip(cells.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Delays) -> None:
        """Count all that `other` has counted."""
        self._cells.update(other._cells)

    def median(self) -> float | None:
        """The median, within 0.1 %; None where there are no delays."""
        total = self._cells.total()
        if not total:
            return None
        cells = sorted(self._cells)
        running = np.cumsum([self._cells[cell] for cell in cells])
        middles = np.searchsorted(running, [(total - 1) // 2, total // 2], side="right")
        return float(np.mean([_middle(cells[place]) for place in middles.tolist()]))


def _middle(cell: int) -> float:
    size = np.array([-1 - cell if cell < 0 else cell], np.uint64)
    low, high = ((size + np.uint64(step)) << _DROPPED_BITS for step in (0, 1))
    middle = float((low.view(np.float64) + high.view(np.float64))[0] / 2) if size[0] else 0.0
    return -middle if cell < 0 else middle
