"""How long outcomes take: the median of any number of delays, and when nearly all have come, in bounded memory."""

from __future__ import annotations

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


def median_hours(came: Integers) -> float | None:
    """The median of delays that were counted by the cells of GRID, shape [CELLS]: within 2.5 %, and 0 where it is less
    than the first of GRID's hours; None where there are no delays.
    """
    total = int(came.sum())
    if not total:
        return None
    cells = np.searchsorted(came.cumsum(), [(total - 1) // 2, total // 2], side="right")
    return float(_MIDDLES[cells].mean())


_MIDDLES = np.concatenate([[0.0], np.sqrt(GRID[1:] * GRID[:-1]), GRID[-1:]])
