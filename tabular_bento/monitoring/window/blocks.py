"""Rows and errors by the hour: all that remains of a window's rows, and all that a block bootstrap needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.thresholds import HOUR, spread
from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MODEL, ZERO_GAIN, HISTORICAL_GAIN = 0, 3, 6
"""Whose errors: the first of three sums each, over the error, its absolute value, and its square."""

ERROR, ABSOLUTE, SQUARE = 0, 1, 2
SUMS = 9

YOUNGEST = -1
"""The age of rows that are dated in the future."""

_AGES = 1 << 10


@dataclass(frozen=True)
class Blocks:
    """Rows by their hour and their age, in order, shape [b].

    `hour` is since 1970 on the clock of the place, `age` how many limits of age the predictions have passed, or
    YOUNGEST. `counts` of shape [b, 3] are of rows, of those with an outcome, and of these the ones with a historical
    gain. `sums` of shape [b, 9] are over the rows with an outcome. Errors are prediction less outcome.
    """

    hour: Integers
    age: Integers
    counts: Integers
    sums: Array

    @property
    def rows(self) -> Integers:
        return self.counts[:, 0]

    @property
    def matched(self) -> Integers:
        return self.counts[:, 1]

    @property
    def gains(self) -> Integers:
        return self.counts[:, 2]

    @classmethod
    def none(cls) -> Self:
        """No rows."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int64), np.empty((0, SUMS)))

    @classmethod
    def of(cls, event: Integers, age: Integers, errors: tuple[Array, Array, Array], gain: NDArray[np.bool_]) -> Self:
        """Those of n rows at times `event` in seconds, shape [n] each. `errors` are of the model, zero gain and
        historical gain, NaN where there is no outcome; `gain` says which rows have a historical one.
        """
        places, where = np.unique(_place(event // HOUR, age), return_inverse=True)
        known = ~np.isnan(errors[0])
        sums = np.zeros((len(places), SUMS))
        for first, error in zip((MODEL, ZERO_GAIN, HISTORICAL_GAIN), errors, strict=True):
            error = error[known]
            for place, part in ((ERROR, error), (ABSOLUTE, np.abs(error)), (SQUARE, error**2)):
                sums[:, first + place] = np.bincount(where[known], weights=part, minlength=len(places))
        kinds = (np.ones_like(known), known, known & gain)
        counts = np.stack([np.bincount(where[kind], minlength=len(places)) for kind in kinds], axis=1)
        return cls(places // _AGES, places % _AGES + YOUNGEST, counts, sums)

    def __add__(self, other: Blocks) -> Blocks:
        """Both together. Sums of floats depend on the order of additions: always add in the same one."""
        mine, theirs = (_place(part.hour, part.age) for part in (self, other))
        places = np.union1d(mine, theirs)
        counts, sums = np.zeros((len(places), 3), np.int64), np.zeros((len(places), SUMS))
        for part, keys in ((self, mine), (other, theirs)):
            where = np.searchsorted(places, keys)
            counts[where] += part.counts
            sums[where] += part.sums
        return Blocks(places // _AGES, places % _AGES + YOUNGEST, counts, sums)

    def aged(self, least: int) -> Blocks:
        """The rows that have passed so many limits of age."""
        old = self.age >= least
        return Blocks(self.hour[old], self.age[old], self.counts[old], self.sums[old])

    def waiting(self, ages: int) -> Integers:
        """Rows without an outcome by age, shape [ages]; the youngest are with those of age 0."""
        return np.bincount(np.maximum(self.age, 0), weights=self.rows - self.matched, minlength=ages).astype(np.int64)

    @property
    def days(self) -> float:
        """Over how many days the rows are spread, as `tabular_bento.evaluation.reference.thresholds.spread` says."""
        _, where = np.unique(self.hour * HOUR // DAY, return_inverse=True)
        return spread(np.bincount(where, weights=self.rows).astype(np.int64))

    @property
    def hours(self) -> float:
        """Over how many of the 24 hours of the day the rows are spread."""
        return spread(np.bincount(self.hour % (DAY // HOUR), weights=self.rows).astype(np.int64))

    def matched_by(self, seconds: int) -> tuple[Integers, Array]:
        """Rows with outcomes, shape [b], and sums, shape [b, 9], of blocks of so many seconds that have such rows."""
        some = self.matched > 0
        blocks, where = np.unique(self.hour[some] * HOUR // seconds, return_inverse=True)
        matched, sums = np.zeros(len(blocks), np.int64), np.zeros((len(blocks), SUMS))
        np.add.at(matched, where, self.matched[some])
        np.add.at(sums, where, self.sums[some])
        return matched, sums


def _place(hour: Integers, age: Integers) -> Integers:
    return np.asarray(hour * _AGES + age - YOUNGEST)
