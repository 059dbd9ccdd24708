"""A linear model as arrays, and its scores by NumPy alone.

A score is a sum of contributions, one a feature, in float64. Every operation works on each element by itself, and the
sum runs over the features of one row, so that no batch, BLAS kernel or vector unit changes a bit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ELEMENTS = 1 << 20
"""Contributions that are computed at a time."""


@dataclass(frozen=True)
class Coefficients:
    """What a linear model is, as arrays of float64: k scores from m features.

    Parameters
    ----------
    intercept : ndarray of shape [k]
        The scores of a row whose features all contribute nothing.
    lower, upper, mean : ndarray of shape [m]
        The range of each feature in training, to which values are clipped, and its mean; 0 of coded ones.
    slope : ndarray of shape [k, m]
        What a unit above the mean contributes; 0 of coded features.
    missing : ndarray of shape [k, m]
        What a missing value contributes.
    average : ndarray of shape [k, m]
        The mean contribution in training.
    coded : ndarray of shape [c]
        Places of the features that hold codes.
    last : ndarray of shape [c]
        Their largest codes of training.
    codes : ndarray of shape [sum of last + 2, k]
        What each code contributes: of each coded feature those from 0 to the last, and a row of zeros for all above.
    """

    intercept: Array
    lower: Array
    upper: Array
    mean: Array
    slope: Array
    missing: Array
    average: Array
    coded: Array
    last: Array
    codes: Array

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def check(self) -> None:
        """Make sure that the arrays belong together; ValueError where they do not."""
        (k,), (m,), (c,) = self.intercept.shape, self.mean.shape, self.coded.shape
        wanted: dict[str, tuple[int, ...]] = {"lower": (m,), "upper": (m,), "last": (c,)}
        wanted |= {"slope": (k, m), "missing": (k, m), "average": (k, m), "codes": (int((self.last + 2).sum()), k)}
        for name, shape in wanted.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} has the shape {found}, not {shape}")
        for name, values in self.arrays.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} has a value that is not finite")
        if not k or (c and not (self.coded.min() >= 0 and self.coded.max() < m)):
            raise ValueError("it has no scores, or a coded feature that there is not")

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        return self.coded.astype(np.intp)

    @cached_property
    def _first(self) -> NDArray[np.intp]:
        """The row of `codes` with the code 0 of each coded feature."""
        return (np.cumsum(self.last + 2) - (self.last + 2)).astype(np.intp)

    @cached_property
    def _beyond(self) -> NDArray[np.float32]:
        return (self.last + 1).astype(np.float32)

    def contributions(self, X: NDArray[np.float32]) -> Array:
        """What each feature of n rows contributes to each score, shape [n, k, m]; one's depends on its value alone."""
        centred = np.minimum(np.maximum(X, self.lower), self.upper) - self.mean
        found = centred[:, None, :] * self.slope
        gaps = np.isnan(X)
        if gaps.any():
            found = np.where(gaps[:, None, :], self.missing, found)
        if len(self.coded):
            codes = np.fmax(np.fmin(X[:, self._places], self._beyond), 0).astype(np.intp)  # a missing code is 0
            found[:, :, self._places] = self.codes[codes + self._first].transpose(0, 2, 1)
        return found

    def scores(self, X: NDArray[np.float32]) -> Array:
        """The scores of n rows, shape [n, k]."""
        size = self.rows_at_a_time
        if len(X) <= size:
            total: Array = np.add.reduce(self.contributions(X), axis=2)
            return total + self.intercept + 0.0  # which is no negative zero
        return np.concatenate([self.scores(X[start : start + size]) for start in range(0, len(X), size)])

    @cached_property
    def rows_at_a_time(self) -> int:
        """So many that their contributions fit into a few megabytes."""
        return max(1, _ELEMENTS // self.slope.size)

    def with_average(self, X: NDArray[np.float32]) -> Coefficients:
        """The model with its mean contributions in rows of training."""
        total, size = np.zeros(self.slope.shape), self.rows_at_a_time
        for start in range(0, len(X), size):
            total += self.contributions(X[start : start + size]).sum(axis=0)
        return replace(self, average=total / len(X))
