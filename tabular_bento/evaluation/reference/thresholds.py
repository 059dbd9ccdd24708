"""How far a column of a window may stray from the reference: by the window's rows, and by the days they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]

HOUR = 3_600
SPREAD = 4.0
"""Standard errors that a share of missing values may be off by chance."""


@dataclass(frozen=True)
class Thresholds:
    """What windows of the training part taught of one column; made by `tabular_bento.evaluation.reference.calibration`.

    Over numbers of `rows`, shape [r]: `chance`, the index of that many rows of an unchanged column that is hardly ever
    exceeded. Over spans in `days`, shape [d]: `usual`, the largest index of a window of the training part, less what
    is noise; `missing`, its largest rise of the missing share; and `margin`, the factor that a window which had no part
    in those largest ones asks for. `constant_days` is for how many days on end the column was constant in training.
    """

    rows: Array
    days: Array
    chance: Array
    usual: Array
    missing: Array
    margin: Array
    constant_days: float

    @classmethod
    def from_profile(cls, calibration: dict[str, Any], name: str) -> Self:
        """The thresholds of column `name` of a profile's `calibration`. Raises KeyError where it has none."""
        shared = {key: np.array(calibration[key], dtype=np.float64) for key in ("rows", "days", "margin")}
        column = calibration["columns"][name]
        own = {key: np.array(column[key], dtype=np.float64) for key in ("chance", "usual", "missing")}
        return cls(**shared, **own, constant_days=float(column["constant_days"]))

    def index(self, rows: int, days: float, least: float) -> float:
        """The limit of the index of a window of `rows` rows spread over `days` days, `least` being worth a look."""
        return self._margin(days) * max(least, self._by_days(self.usual, days)) + self._by_rows(rows)

    def chance_of(self, rows: int) -> float:
        """The part of that limit that is for so many rows."""
        return self._by_rows(rows)

    def missing_rise(self, rows: int, days: float, before: float, least: float) -> float:
        """The limit of the rise of the missing share, `before` in the reference."""
        rise = max(least, self._margin(days) * self._by_days(self.missing, days))
        share = min(before + rise, 1.0)
        return rise + SPREAD * float(np.sqrt(share * (1 - share) / rows))

    def usual_index(self, days: float) -> float:
        """The largest index of windows of the training part that spanned as many days, less what was noise."""
        return self._by_days(self.usual, days)

    def may_be_constant(self, days: float) -> bool:
        """Whether the column was constant in training for at least half as long."""
        return days <= 2 * self.constant_days

    def _margin(self, days: float) -> float:
        return self._by_days(self.margin, days)

    def _by_days(self, values: Array, days: float) -> float:
        return float(np.interp(np.log(max(days, 1.0)), np.log(self.days), values))

    def _by_rows(self, rows: int) -> float:
        """Chance falls as 1 / rows: interpolated on logarithms, and continued so beyond the ends."""
        ends = np.clip(rows, self.rows[0], self.rows[-1])
        within = np.exp(np.interp(np.log(ends), np.log(self.rows), np.log(np.maximum(self.chance, 1e-12))))
        return float(within * ends / rows)


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
