"""What remains of a window's rows: rows and errors by the hour, for a block bootstrap, and labels by their delay.

Rows of a problem without an event time have no hour; they are in `GROUPS` groups instead, by their keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.thresholds import HOUR, spread
from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MODEL, NAIVE, HISTORICAL = 0, 3, 6
"""Whose errors: the first of three sums each, over the error, its absolute value, and its square."""

ERROR, ABSOLUTE, SQUARE = 0, 1, 2
SUMS = 9

YOUNGEST = -1
"""The age of rows that are dated in the future."""

_AGES = 1 << 10

GRID: Array = np.geomspace(1e-4, 1e5, 451)
"""Hours on which delays and ages are counted: a third of a second to eleven years, each 5 % longer than the last."""

CELLS = len(GRID) + 1

NEARLY_ALL = 0.95
"""Of the labels that come at all."""


@dataclass(frozen=True)
class Blocks:
    """Rows by their hour and their age, in order, shape [b].

    `hour` is since 1970 on the clock of the event time, or the number of a group, `age` how many limits of age the
    predictions have passed, or YOUNGEST. `counts` of shape [b, 3] are of rows, of those with a label, and of these the
    ones with a historical baseline. `sums` of shape [b, 9] are over the rows with a label. Errors are prediction less
    label.
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
    def historical(self) -> Integers:
        return self.counts[:, 2]

    @classmethod
    def none(cls) -> Self:
        """No rows."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int64), np.empty((0, SUMS)))

    @classmethod
    def of(cls, event: Integers, age: Integers, errors: tuple[Array, Array, Array], known: NDArray[np.bool_]) -> Self:
        """Those of n rows at times `event` in seconds, shape [n] each. `errors` are of the model, the naive baseline
        and the historical baseline, NaN where there is no label; `known` says which rows have a historical one.
        """
        indices, where = np.unique(_code_of(event // HOUR, age), return_inverse=True)
        labelled = ~np.isnan(errors[0])
        sums = np.zeros((len(indices), SUMS))
        for first, error in zip((MODEL, NAIVE, HISTORICAL), errors, strict=True):
            error = error[labelled]
            for index, part in ((ERROR, error), (ABSOLUTE, np.abs(error)), (SQUARE, error**2)):
                sums[:, first + index] = np.bincount(where[labelled], weights=part, minlength=len(indices))
        kinds = (np.ones_like(labelled), labelled, labelled & known)
        counts = np.stack([np.bincount(where[kind], minlength=len(indices)) for kind in kinds], axis=1)
        return cls(indices // _AGES, indices % _AGES + YOUNGEST, counts, sums)

    def __add__(self, other: Blocks) -> Blocks:
        """Both together. Sums of floats depend on the order of additions: always add in the same one."""
        mine, theirs = (_code_of(part.hour, part.age) for part in (self, other))
        indices = np.union1d(mine, theirs)
        counts, sums = np.zeros((len(indices), 3), np.int64), np.zeros((len(indices), SUMS))
        for part, keys in ((self, mine), (other, theirs)):
            where = np.searchsorted(indices, keys)
            counts[where] += part.counts
            sums[where] += part.sums
        return Blocks(indices // _AGES, indices % _AGES + YOUNGEST, counts, sums)

    def aged(self, least: int) -> Blocks:
        """The rows that have passed so many limits of age."""
        old = self.age >= least
        return Blocks(self.hour[old], self.age[old], self.counts[old], self.sums[old])

    def waiting(self, ages: int) -> Integers:
        """Rows without a label by age, shape [ages]; the youngest are with those of age 0."""
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
        """Rows with labels, shape [b], and sums, shape [b, 9], of blocks of so many seconds that have such rows."""
        some = self.matched > 0
        blocks, where = np.unique(self.hour[some] * HOUR // seconds, return_inverse=True)
        matched, sums = np.zeros(len(blocks), np.int64), np.zeros((len(blocks), SUMS))
        np.add.at(matched, where, self.matched[some])
        np.add.at(sums, where, self.sums[some])
        return matched, sums


def _code_of(hour: Integers, age: Integers) -> Integers:
    return np.asarray(hour * _AGES + age - YOUNGEST)


def cells_of(hours: Array, grid: Array = GRID) -> Integers:
    """How many of the grid's hours each of n delays has reached, shape [n]."""
    return np.asarray(np.searchsorted(grid, hours, side="right"), dtype=np.int64)


def usual_cell(came: Integers, waiting: Integers) -> int:
    """The cell of GRID within which nearly all labels come, of those that come, as far as is known yet.

    `came` are labels by the cell of their delay, and `waiting` predictions without one by the cell of their age,
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
