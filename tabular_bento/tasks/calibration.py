"""Calibration: what turns a classifier's probabilities into shares, and the threshold of its decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np

from tabular_bento.tasks.arithmetic import Array, log, normalised, sigmoid

METHODS = {"none": (), "platt": ("slope", "intercept"), "isotonic": ("x", "y")}
"""The arrays of each method."""

_SMALLEST = 1e-15
"""Log-odds are taken of probabilities from this to 1."""


@dataclass(frozen=True)
class Calibration:
    """Maps probabilities to calibrated ones; plain numbers, applied with NumPy alone.

    A binary task has one map, of the positive class. With more classes there is one a class, and each row is divided by
    its sum.

    Parameters
    ----------
    method : {"none", "platt", "isotonic"}
        `platt`: the log-odds times `slope` plus `intercept`. `isotonic`: linear between the points `x`, `y`.
    arrays : mapping
        `slope` and `intercept`, lists of m numbers; or `x` and `y`, m lists of equal length, `x` rising and `y` never
        falling. m is 1 with two classes and k with k.
    threshold : float
        A binary task predicts the positive class from this probability on.

    Raises
    ------
    ValueError
        For arrays that are none of the method.
    """

    method: str = "none"
    arrays: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"there is no calibration {self.method!r}; there are {', '.join(METHODS)}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"the decision threshold is {self.threshold}; it must be from 0 to 1")
        wanted = METHODS[self.method]
        if set(self.arrays) != set(wanted):
            raise ValueError(f"calibration {self.method}: the arrays are {sorted(self.arrays)}, not {sorted(wanted)}")
        object.__setattr__(self, "arrays", {name: _plain(self.arrays[name]) for name in wanted})
        if len({len(values) for values in self.arrays.values()}) > 1:
            raise ValueError(f"calibration {self.method}: {' and '.join(wanted)} differ in length")
        if self.method == "isotonic":
            for x, y in zip(self.arrays["x"], self.arrays["y"], strict=True):
                _check_points(x, y)

    def check(self, classes: int) -> None:
        """Make sure that it is one of so many classes.

        Raises
        ------
        ValueError
            Where it is not.
        """
        wanted = 1 if classes == 2 else classes
        for name, values in self.arrays.items():
            if len(values) != wanted:
                raise ValueError(f"calibration {self.method}: {name} has {len(values)} entries, not {wanted}")

    def apply(self, probability: Array) -> Array:
        """Calibrated probabilities.

        Parameters
        ----------
        probability : ndarray of shape [n, k]
            Probabilities of the classes.

        Returns
        -------
        ndarray of shape [n, k]
        """
        if self.method == "none":
            return probability
        if probability.shape[1] == 2:
            return self._map(0, probability)
        maps = (self._map(i, np.stack([1 - p, p], axis=1)) for i, p in enumerate(probability.T))
        return normalised(np.stack([both[:, 1] for both in maps], axis=1))

    def _map(self, index: int, both: Array) -> Array:
        """Map `index` of the probabilities that a class is not, and is, the label: both again, shape [n, 2]."""
        if self.method == "platt":
            slope, intercept = self.arrays["slope"][index], self.arrays["intercept"][index]
            logs = log(np.maximum(both, _SMALLEST))
            return sigmoid((logs[:, 1] - logs[:, 0]) * slope + intercept)
        mapped = _interpolated(both[:, 1], np.array(self.arrays["x"][index]), np.array(self.arrays["y"][index]))
        return np.stack([1 - mapped, mapped], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain JSON values."""
        return {"method": self.method, "arrays": dict(self.arrays), "threshold": self.threshold}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(values["method"], values["arrays"], values["threshold"])


def _plain(values: Sequence[Any]) -> list[Any]:
    """Numbers, or lists of them, as Python's own."""
    return [[float(one) for one in value] if np.ndim(value) else float(value) for value in values]


def _check_points(x: list[float], y: list[float]) -> None:
    if not x or len(x) != len(y):
        raise ValueError(f"calibration isotonic: {len(x)} points of x and {len(y)} of y")
    if any(not low < high for low, high in pairwise(x)) or any(not low <= high for low, high in pairwise(y)):
        raise ValueError("calibration isotonic: x must rise, and y may not fall")
    if not (y[0] >= 0 and y[-1] <= 1):
        raise ValueError("calibration isotonic: y must be from 0 to 1")


def _interpolated(values: Array, x: Array, y: Array) -> Array:
    """`y` at `values`, linear between the points and constant beyond; unlike `numpy.interp` to the bit on every CPU."""
    if len(x) == 1:
        return np.where(np.isnan(values), np.nan, y[0])
    left = np.clip(np.searchsorted(x, values, side="right") - 1, 0, len(x) - 2)
    inside = np.clip(values, x[0], x[-1])
    share = (inside - x[left]) / (x[left + 1] - x[left])
    return np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
