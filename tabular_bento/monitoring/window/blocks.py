"""What remains of a window's rows: rows and errors by the hour, for a block bootstrap, and labels by their delay.

Rows of a problem without an event time have no hour; they are in `GROUPS` groups instead, by their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.thresholds import HOUR, spread
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.window.errors import (
    ABSOLUTE,
    ERROR,
    HISTORICAL,
    INSIDE,
    MODEL,
    NAIVE,
    SQUARE,
    VALUES,
    RowValues,
)

__all__ = ["ABSOLUTE", "ERROR", "HISTORICAL", "INSIDE", "MODEL", "NAIVE", "SQUARE", "BlockSums", "Blocks"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Scales = tuple[float, float, float]

YOUNGEST = -1
"""The age of rows that are dated in the future."""

_AGES = 1 << 10
_HOURS = 1 << 47
"""Cells are numbered by segment, hour and age; hours may lie before 1970."""

GRID: Array = np.geomspace(1e-4, 1e5, 451)
"""Hours on which delays and ages are counted: a third of a second to eleven years, each 5 % longer than the last."""

CELLS = len(GRID) + 1

NEARLY_ALL = 0.95
"""Of the labels that come at all."""

TAIL, FEWEST = 0.002, 5
"""The smallest share and number of the predictions that tell when labels come."""

FINENESS = 44
"""Values are rounded to their usual size times 2^-44 before they are summed."""

_DIGIT = 36
_WIDEST = 1 << 22
_SLICE = 1 << 16
"""Sums of so many digits of 36 bits are exact in float64."""


@dataclass(frozen=True)
class Blocks:
    """Rows by their hour and their age, in order, shape [b].

    `hour` is since 1970 on the clock of the event time, or the number of a group, `age` how many limits of age the
    predictions have passed, or YOUNGEST. `counts` of shape [b, 3] are of rows, of those with a label, and of these the
    ones with a historical baseline. `sums` of shape [b, 10] are over the rows with a label
    (`tabular_bento.monitoring.window.errors`).
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
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int64), np.empty((0, VALUES)))

    @classmethod
    def of(cls, event: Integers, age: Integers, labelled: NDArray[np.bool_], values: RowValues) -> Blocks:
        """Those of n rows at times `event` in seconds, shape [n] each; `values` are of the rows with a label."""
        largest = np.abs(values.values).max(axis=1, initial=0.0, where=np.isfinite(values.values))
        residual, second, first = (float(each) or 1.0 for each in largest[:INSIDE].reshape(3, 3).max(axis=0))
        return BlockSums.of(event, age, labelled, values, (residual, second, first)).blocks()

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
        """Rows with labels, shape [b], and sums, shape [b, 10], of blocks of so many seconds that have such rows."""
        some = self.matched > 0
        blocks, where = np.unique(self.hour[some] * HOUR // seconds, return_inverse=True)
        matched, sums = np.zeros(len(blocks), np.int64), np.zeros((len(blocks), VALUES))
        np.add.at(matched, where, self.matched[some])
        np.add.at(sums, where, self.sums[some])
        return matched, sums


@dataclass(frozen=True)
class BlockSums:
    """Sums by segment, hour and age that are the same in whatever order and parts the rows come.

    A value is rounded to a multiple of a small unit, and its multiple is summed as digits of 36 bits, exactly.

    Parameters
    ----------
    cells : ndarray of shape [b]
        Segment, hour and age as one number, ascending.
    counts : ndarray of shape [b, 3]
        As those of `Blocks`.
    digits : ndarray of shape [digits, 10, b]
        Sums of each digit, the lowest first.
    unknown : ndarray of shape [10, b]
        How many values are NaN, with which a sum is.
    scales : tuple of three floats
        The usual sizes of residual, second loss and first loss.
    """

    cells: Integers
    counts: Integers
    digits: Integers
    unknown: Integers
    scales: Scales

    @classmethod
    def none(cls, scales: Scales) -> Self:
        """No rows."""
        cells, counts = np.empty(0, np.int64), np.empty((0, 3), np.int64)
        return cls(cells, counts, np.zeros((1, VALUES, 0), np.int64), np.zeros((VALUES, 0), np.int64), scales)

    @classmethod
    def of(
        cls,
        event: Integers,
        age: Integers,
        labelled: NDArray[np.bool_],
        values: RowValues,
        scales: Scales,
        segment: NDArray[np.uint8] | None = None,
    ) -> Self:
        """Those of n rows at times `event` in seconds, shape [n] each; `values` are of the rows with a label."""
        cells = (event // HOUR) * _AGES + (age - YOUNGEST) + _HOURS
        if segment is not None:
            cells += segment.astype(np.int64) * (2 * _HOURS)
        found, where = _distinct(cells)
        size, matched = len(found), where[labelled]
        kinds = (where, matched, matched[values.historical])
        counts = np.stack([np.bincount(kind, minlength=size) for kind in kinds], axis=1)
        unknown = np.zeros((VALUES, size), np.int64)
        digits, units = np.zeros((2, VALUES, size), np.int64), _units(scales)
        for index, row in enumerate(values.values):
            missing = np.isnan(row)
            if missing.any():
                unknown[index] = np.bincount(matched[missing], minlength=size)
                row = np.where(missing, 0.0, row)
            digits = _add_digits(digits, index, row * (1 / units[index]), matched)
        return cls(found, counts, _carried(digits), unknown, scales)

    def __add__(self, other: BlockSums) -> BlockSums:
        """Both together."""
        cells, _ = _distinct(np.concatenate([self.cells, other.cells]))
        depth = max(len(self.digits), len(other.digits))
        counts = np.zeros((len(cells), 3), np.int64)
        digits, unknown = (np.zeros((*shape, VALUES, len(cells)), np.int64) for shape in ((depth,), ()))
        for part in (self, other):
            where = np.searchsorted(cells, part.cells)
            counts[where] += part.counts
            digits[: len(part.digits), :, where] += part.digits
            unknown[:, where] += part.unknown
        return BlockSums(cells, counts, _carried(digits), unknown, self.scales)

    def segments(self) -> list[int]:
        """The segments that have rows, ascending."""
        return [int(each) for each in np.unique(self.cells // (2 * _HOURS))]

    def blocks(self, segments: Sequence[int] | None = None) -> Blocks:
        """Sums of all rows, or of those of some segments."""
        chosen = slice(None) if segments is None else np.isin(self.cells // (2 * _HOURS), segments)
        cells, where = np.unique(self.cells[chosen] % (2 * _HOURS) - _HOURS, return_inverse=True)

        def together(part: Integers) -> Integers:
            whole = np.zeros((len(cells), *part.shape[1:]), np.int64)
            np.add.at(whole, where, part[chosen])
            return whole

        sums = np.zeros((len(cells), VALUES))
        for place, digit in reversed(list(enumerate(_carried([together(each.T) for each in self.digits])))):
            sums += digit * 2.0 ** (_DIGIT * place)
        sums *= _units(self.scales)
        sums[together(self.unknown.T) > 0] = np.nan
        counts = together(self.counts)
        return Blocks(cells // _AGES, cells % _AGES + YOUNGEST, counts, sums)


def _distinct(cells: Integers) -> tuple[Integers, Integers]:
    """The different ones of n numbers, ascending, and where each is among them; fast where there are no wide gaps."""
    low = cells.min(initial=0) if not len(cells) else cells.min()
    width = int(cells.max() - low) + 1 if len(cells) else 0
    if width > _WIDEST:
        found, where = np.unique(cells, return_inverse=True)
        return found, where
    there = np.zeros(width, np.bool_)
    there[cells - low] = True
    found = np.flatnonzero(there)
    place = np.empty(width, np.int64)
    place[found] = np.arange(len(found))
    return found + low, place[cells - low]


def _units(scales: Scales) -> Array:
    """What each of the values is rounded to a multiple of, shape [10]."""
    return np.asarray(2.0 ** (np.floor(np.log2([*scales, *scales, *scales, 1.0])) - FINENESS))


def _add_digits(digits: Integers, index: int, multiples: Array, where: Integers) -> Integers:
    """Add whole multiples of the unit, after rounding, to the digits of sum `index`, which may need more of them."""
    for start in range(0, len(multiples), _SLICE):
        rest, cells = np.rint(multiples[start : start + _SLICE]), where[start : start + _SLICE]
        place = 0
        while rest.any():
            higher = np.rint(rest * 2.0**-_DIGIT)
            if place == len(digits):
                digits = np.concatenate([digits, np.zeros_like(digits[:1])])
            summed = np.bincount(cells, weights=rest - higher * 2.0**_DIGIT, minlength=digits.shape[-1])
            digits[place, index] += summed.astype(np.int64)
            rest, place = higher, place + 1
    return digits


def _carried(digits: Integers | list[Integers]) -> Integers:
    """The same sums in digits of at most 2^35 but for the last; whatever was added up, they are the same then."""
    digits = np.stack([*digits, np.zeros_like(digits[0])])
    for place in range(len(digits) - 1):
        carry = (digits[place] + (1 << (_DIGIT - 1))) >> _DIGIT
        digits[place] -= carry << _DIGIT
        digits[place + 1] += carry
    return digits if digits[-1].any() else digits[:-1]


def cells_of(hours: Array, grid: Array = GRID) -> Integers:
    """How many of the grid's hours each of n delays has reached, shape [n]."""
    return np.asarray(np.searchsorted(grid, hours, side="right"), dtype=np.int64)


def usual_cell(came: Integers, waiting: Integers) -> int:
    """The cell of GRID within which nearly all labels come, of those that come, as far as is known yet.

    `came` are labels by the cell of their delay, and `waiting` predictions without one by the cell of their age,
    shape [CELLS] each: Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958. Where
    fewer than TAIL of the predictions, or FEWEST, are as old as that, a label stands for itself alone: one that is
    very late would else stand for all that never come.
    """
    at_risk = (came + waiting)[::-1].cumsum()[::-1]
    few = at_risk < max(TAIL * at_risk[0], FEWEST)
    come = 1 - np.cumprod(np.where(few, 1, 1 - came / np.maximum(at_risk, 1)))
    come += np.cumsum(np.where(few, came, 0)) / max(at_risk[0], 1)
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
