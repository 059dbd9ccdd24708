"""Sums that do not depend on the order or on the partition of what is added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TableError

_UNITS = (2.0**20, 2.0**-12, 2.0**-44)
"""What one unit of each limb is worth. A limb below the first is smaller than 2**32, so 2**31 rows can be added."""

LARGEST = 2.0**50
"""Values of this size and more are refused."""


@dataclass(frozen=True)
class ExactSums:
    """Sums by cell in fixed point, with a resolution of 2**-44; shape [3, cells]."""

    limbs: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.float64], cells: NDArray[np.int64], size: int) -> ExactSums:
        """Add up values by cell.

        Parameters
        ----------
        values : ndarray of shape [n]
            Finite numbers.
        cells : ndarray of shape [n]
            The cell of each, less than `size`.
        size : int
            The number of cells.

        Raises
        ------
        TableError
            For a value that is not finite or too large.
        """
        if len(values) and not float(np.abs(values).max()) < LARGEST:
            raise TableError(f"{float(np.abs(values).max())!r} cannot be summed: rescale the values below {LARGEST:g}")
        limbs = np.zeros((3, size), dtype=np.int64)
        rest = values
        for limb, unit in zip(limbs[:2], _UNITS[:2], strict=True):
            part = np.trunc(rest / unit)  # unlike floor, it leaves a rest that is exact for numbers below zero too
            rest = rest - part * unit
            np.add.at(limb, cells, part.astype(np.int64))
        np.add.at(limbs[2], cells, np.rint(rest / _UNITS[2]).astype(np.int64))
        return cls(limbs)

    def __add__(self, other: ExactSums) -> ExactSums:
        return ExactSums(self.limbs + other.limbs)

    def values(self) -> NDArray[np.float64]:
        """The sum of each cell, rounded once. Shape [cells]."""
        result = np.zeros(self.limbs.shape[1])
        for cell in np.flatnonzero(self.limbs.any(axis=0)).tolist():
            result[cell] = _float(self.limbs[:, cell])
        return result

    def total(self) -> float:
        """The sum over all cells, rounded once."""
        return _float(self.limbs.sum(axis=1))


def _float(limbs: NDArray[np.int64]) -> float:
    high, middle, low = (int(limb) for limb in limbs)
    return ((high << 64) + (middle << 32) + low) / (1 << 44)
