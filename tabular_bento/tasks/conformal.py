"""Prediction intervals by split conformal prediction: what is fitted of them, and the bounds of a prediction.

A calibration row's score is its absolute residual over the scale of its row, which a model of absolute residuals says.
The interval of a new row is its prediction plus and minus a quantile of these scores times its own scale. It covers the
label of a row that is exchangeable with the calibration rows with at least the probability that is asked for: split
conformal prediction (Papadopoulos, Proedrou, Vovk and Gammerman, Inductive Confidence Machines for Regression, ECML
2002) with normalised scores (Papadopoulos, Gammerman and Vovk, Normalized Nonconformity Measures for Regression
Conformal Prediction, AIA 2008; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-Free Predictive Inference
for Regression, JASA 113, 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np

from tabular_bento.tasks.arithmetic import Array


@dataclass(frozen=True)
class Conformal:
    """The intervals of one model; plain numbers, applied with NumPy alone.

    Parameters
    ----------
    level : float
        How often the label is to be inside.
    quantile : float
        Half the width of an interval, in scales of its row.
    floor : float
        The smallest scale of a row; where rows have no scale of their own, every row's.
    rows : int
        Calibration rows.

    Raises
    ------
    ValueError
        For numbers that are none of intervals.
    """

    level: float
    quantile: float
    floor: float = 1.0
    rows: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"the level of an interval is {self.level}; it must be between 0 and 1")
        if not (math.isfinite(self.quantile) and self.quantile >= 0 and math.isfinite(self.floor) and self.floor > 0):
            raise ValueError(f"intervals of quantile {self.quantile} and smallest scale {self.floor} are none")

    @classmethod
    def fit(cls, level: float, residual: Array, scale: Array | None = None, floor: float = 1.0) -> Self:
        """The intervals that n rows, which nothing else was fitted on, ask for.

        Parameters
        ----------
        level : float
            How often a label is to be inside.
        residual : ndarray of shape [n]
            Labels less predictions.
        scale : ndarray of shape [n], optional
            The scale of each row; by default all have `floor`.
        floor : float
            The smallest scale.

        Raises
        ------
        ValueError
            For fewer than `least_rows(level)` rows.
        """
        n = len(residual)
        if n < least_rows(level):
            raise ValueError(f"{n} rows, of at least {least_rows(level)}")
        scores = np.sort(np.abs(residual) / _scales(scale, floor, n))
        return cls(level, float(scores[_rank(level, n) - 1]), floor, n)

    def half_widths(self, scale: Array | None, n: int) -> Array:
        """Half the widths of the intervals of n rows, shape [n]; `scale` as of `fit`."""
        return self.quantile * _scales(scale, self.floor, n)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)


def least_rows(level: float) -> int:
    """The fewest calibration rows by which an interval of that level is finite: 9 for 0.9, 19 for 0.95."""
    share = Fraction(str(level))
    return math.ceil(share / (1 - share))


def _rank(level: float, n: int) -> int:
    """Which of n scores, counted from the smallest, is the quantile: that of n + 1, the new row's being the largest."""
    return math.ceil(Fraction(str(level)) * (n + 1))


def _scales(scale: Array | None, floor: float, n: int) -> Array:
    return np.full(n, floor) if scale is None else np.maximum(scale, floor)
