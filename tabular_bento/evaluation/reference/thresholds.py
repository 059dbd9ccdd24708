"""How far a column of a window may stray from the reference: by the window's rows, and by the days they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]

RARE = 0.001
"""How often chance may carry the bias of a window beyond its limit."""

HOUR = 3_600
SPREAD = 4.0
"""Standard errors that a share of missing values may be off by chance before it is an alarm."""

SOLVED = 8
"""Steps by which the limit of a share is found, of which the last changes less than a hundredth of it."""

NOTABLE_SPREAD = 3.0
"""The same of a warning."""


@dataclass(frozen=True)
class Thresholds:
    """What windows of the training part taught of one column; made by `tabular_bento.evaluation.reference.calibration`.

    Over numbers of `rows`, shape [r]: `chance`, the index of that many rows of an unchanged column that is hardly ever
    exceeded. Over spans in `days`, shape [d]: `usual`, the largest index of a window of the training part, less what
    is noise; `missing`, its largest rise of the missing share; and `margin`, the factor that a window which had no part
    in those largest ones asks for. `constant_days` is for how many days on end the column was constant in training.
    `between` and `missing_between` are how far sets of days are apart, as `calibration` measures it, and `absent_days`
    for how many days on end each category was absent, None in a package that is older than these; `present_days` is the
    share of days that have it.
    """

    rows: Array
    days: Array
    chance: Array
    usual: Array
    missing: Array
    margin: Array
    constant_days: float
    between: float = 0.0
    missing_between: float = 0.0
    absent_days: tuple[int, ...] | None = None
    present_days: tuple[float, ...] = ()

    @classmethod
    def from_profile(cls, calibration: dict[str, Any], name: str) -> Self:
        """The thresholds of column `name` of a profile's `calibration`. Raises KeyError where it has none."""
        shared = {key: np.array(calibration[key], dtype=np.float64) for key in ("rows", "days", "margin")}
        column = calibration["columns"][name]
        own = {key: np.array(column[key], dtype=np.float64) for key in ("chance", "usual", "missing")}
        absent = column.get("absent_days")
        return cls(
            **shared,
            **own,
            constant_days=float(column["constant_days"]),
            between=float(column.get("between", 0.0)),
            missing_between=float(column.get("missing_between", 0.0)),
            absent_days=None if absent is None else tuple(absent),
            present_days=tuple(column.get("present_days", ())),
        )

    def index(self, rows: int, days: float, least: float) -> float:
        """The limit of the index of a window of `rows` rows spread over `days` days, `least` being worth a look."""
        return self._by_days(self.margin, days) * max(least, self.usual_index(days)) + self.chance_of(rows)

    def chance_of(self, rows: int) -> float:
        """The part of that limit that is for so many rows.

        Chance falls as 1 / rows: interpolated on logarithms, and continued so beyond the ends.
        """
        ends = np.clip(rows, self.rows[0], self.rows[-1])
        within = np.exp(np.interp(np.log(ends), np.log(self.rows), np.log(np.maximum(self.chance, 1e-12))))
        return float(within * ends / rows)

    def missing_rise(self, rows: int, days: float, before: float, least: float, errors: float = SPREAD) -> float:
        """The limit of the rise of the missing share, `before` in the reference.

        `errors` are the standard errors that it may be off by chance, those of rows and of days taken together.
        """
        rise = max(least, self._by_days(self.margin, days) * self._by_days(self.missing, days))
        share = min(before + rise, 1.0)
        of_rows = float(np.sqrt(share * (1 - share) / rows))
        largest = rise + errors * of_rows
        for _ in range(SOLVED):  # the error of a share grows with the share
            share = min(before + largest, 1.0)
            variance = share * (1 - share) * (1 / rows + self.missing_between**2 * self._apart(days))
            largest = max(rise + errors * of_rows, errors * float(np.sqrt(variance)))
        return largest

    def usual_index(self, days: float) -> float:
        """The largest index of windows of the training part that spanned as many days, less what was noise."""
        return max(self._by_days(self.usual, days), self.between * self._apart(days))

    def _apart(self, days: float) -> float:
        """What the distance of so many days from all of training goes with."""
        return 1 / max(days, 1.0) + 1 / max(float(self.days[-1]), 1.0)

    def may_be_constant(self, days: float) -> bool:
        """Whether the column was constant in training for at least half as long."""
        return days <= 2 * self.constant_days

    def _by_days(self, values: Array, days: float) -> float:
        return float(np.interp(np.log(max(days, 1.0)), np.log(self.days), values))


@dataclass(frozen=True)
class Spread:
    """The mean of a quantity over rows the model had not seen, and how far means of other such rows stray from it.

    Parameters
    ----------
    mean, row_sd : float
        Of its values.
    day_sd : float
        Of the means of days, beyond what the rows of a day make by chance; 0 where rows have no time.
    rows, days : int
        That it was measured on; `days` is 0 where rows have no time.
    """

    mean: float
    row_sd: float
    day_sd: float
    rows: int
    days: int

    def deviation(self, rows: float, days: float, noise: float = 1.0) -> float:
        """The standard deviation of the difference of the means of so many other rows of so many days and these.

        `noise` is the variance of the other rows over that of these.
        """
        chance = self.row_sd**2 * (noise / max(rows, 1) + 1 / max(self.rows, 1))
        return float(np.sqrt(chance + (self.day_sd**2 * (1 / max(days, 1) + 1 / self.days) if self.days else 0.0)))

    def limit(self, rows: float, days: float, false_alarms: float, noise: float = 1.0) -> float:
        """The difference that unchanged windows exceed with that probability, by Student's t of the days."""
        from scipy import stats  # takes a second, which the workers of a pass need not spend

        freedom = max((self.days or self.rows) - 1, 1)
        return float(stats.t.ppf(1 - false_alarms / 2, freedom)) * self.deviation(rows, days, noise)


@dataclass(frozen=True)
class ErrorSpread:
    """The error of rows that the model had not seen: prediction less label, and its square."""

    bias: Spread
    square: Spread

    @classmethod
    def from_profile(cls, error: dict[str, Any]) -> Self | None:
        """That of the entry `error` of a profile; None where it has none."""
        found = error.get("unseen")
        return None if not found else cls(Spread(**found["bias"]), Spread(**found["square"]))


def effective_hours(event: NDArray[np.int64]) -> float:
    """Over how many of the 24 hours of the day n rows are spread, `event` being their times in seconds, shape [n]."""
    return spread(np.unique(event % DAY // HOUR, return_counts=True)[1])


def spread(counts: NDArray[np.int64]) -> float:
    """Over how many cells rows are spread, of which each holds `counts` rows; at least 1.

    The exponential of the entropy of the rows' cells (Hill, Diversity and Evenness, Ecology 54(2), 1973), so that a few
    stray rows in other cells count for little; with Miller's correction for a finite sample (1955).
    """
    counts = counts[counts > 0]
    if not len(counts):
        return 1.0
    rows = int(counts.sum())
    shares = counts / rows
    entropy = -float((shares * np.log(shares)).sum()) + (len(counts) - 1) / (2 * rows)
    return float(np.exp(entropy))
