"""Rows and errors by the hour: all that remains of a window's rows, and all that a block bootstrap needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.timezones import DAY
from monitoring.thresholds import HOUR, spread

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ERROR, ABSOLUTE, SQUARE = 0, 1, 2
"""Places of the sums over the model's errors; those over zero gain's errors follow in the same order."""

ZERO_GAIN = 3
SUMS = 6


@dataclass(frozen=True)
class Blocks:
    """Hours that hold rows, in order, shape [h]: hours since 1970 on the clock of the place; rows; rows with outcomes.

    `sums` of shape [h, 6] are over the rows with outcomes: error, absolute and squared error of the model, and of zero
    gain. Errors are prediction less outcome.
    """

    hour: Integers
    rows: Integers
    matched: Integers
    sums: Array

    @classmethod
    def none(cls) -> Self:
        """No rows."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, SUMS)))

    @classmethod
    def of(cls, event: Integers, model: Array, zero_gain: Array) -> Self:
        """Those of n rows at times `event` in seconds, with their errors, NaN where there is no outcome; shape [n]."""
        hour, where = np.unique(event // HOUR, return_inverse=True)
        known = ~np.isnan(model)
        parts = [each for errors in (model[known], zero_gain[known]) for each in (errors, np.abs(errors), errors**2)]
        sums = [np.bincount(where[known], weights=part, minlength=len(hour)) for part in parts]
        matched = np.bincount(where[known], minlength=len(hour))
        return cls(hour, np.bincount(where, minlength=len(hour)), matched, np.stack(sums, axis=1))

    def __add__(self, other: Blocks) -> Blocks:
        """Both together. Sums of floats depend on the order of additions: always add in the same one."""
        hour = np.union1d(self.hour, other.hour)
        rows, matched, sums = np.zeros_like(hour), np.zeros_like(hour), np.zeros((len(hour), SUMS))
        for part in (self, other):
            where = np.searchsorted(hour, part.hour)
            rows[where] += part.rows
            matched[where] += part.matched
            sums[where] += part.sums
        return Blocks(hour, rows, matched, sums)

    @property
    def days(self) -> float:
        """Over how many days the rows are spread, as `monitoring.thresholds.spread` says."""
        _, where = np.unique(self.hour * HOUR // DAY, return_inverse=True)
        return spread(np.bincount(where, weights=self.rows).astype(np.int64))

    @property
    def hours(self) -> float:
        """Over how many of the 24 hours of the day the rows are spread."""
        return spread(np.bincount(self.hour % (DAY // HOUR), weights=self.rows).astype(np.int64))

    def matched_by(self, seconds: int) -> tuple[Integers, Array]:
        """Rows with outcomes, shape [b], and sums, shape [b, 6], of blocks of so many seconds that have such rows."""
        some = self.matched > 0
        blocks, where = np.unique(self.hour[some] * HOUR // seconds, return_inverse=True)
        matched, sums = np.zeros(len(blocks), np.int64), np.zeros((len(blocks), SUMS))
        np.add.at(matched, where, self.matched[some])
        np.add.at(sums, where, self.sums[some])
        return matched, sums
