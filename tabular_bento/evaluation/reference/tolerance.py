"""Intervals of a metric that labels will show, from how far estimates of it were off on rows that a model had not seen.

They are tolerance intervals: to the chance of the window's labels and days they add that of the rows and days that the
estimate was learnt from, which all windows of a model share. Few rows with a large loss make most of a mean loss, so
that the variance is itself little known where there were few: the quantile is that of Student's t with as many degrees
of freedom as a variance of such losses has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tabular_bento.evaluation.reference.calibration import LEAST_RUNS, RUNS, rounded, spread_of
from tabular_bento.evaluation.reference.estimate import Withheld
from tabular_bento.evaluation.reference.thresholds import Spread

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

COVERAGE = 0.90
"""Of the windows of a model, that its intervals are for."""

CONFIDENCE = 0.80
"""Of the models whose intervals hold so many of their windows: all windows share the rows that it was learnt from."""

WIDEST = 1.85
"""Times the interval of the metric by labels, beyond which an estimate is of no use. Those by labels of windows stray
from what is expected, and that of twice is to be kept."""

FEWEST_DAYS = 5
"""Days of a window from which on the interval of a metric by labels is by days, and holds what these differ by."""

OF_LABELS = 0.95
"""Coverage of the interval of a metric by labels."""

LEAST_FREEDOM = 2.0


@dataclass(frozen=True)
class Window:
    """What is estimated.

    Parameters
    ----------
    n : int
        Rows whose predictions are known.
    rows : int
        Rows that they are a sample of.
    days : float
        Over how many days these are spread.
    """

    n: int
    rows: int
    days: float


@dataclass(frozen=True)
class Tolerance:
    """How far the estimate of one metric may be off.

    Parameters
    ----------
    off : Spread
        Of observed less expected loss of the rows that it was learnt from.
    freedom : float
        Degrees of freedom of their variance.
    day_sd, day_freedom : float
        How single days differ, and the degrees of freedom of the spread by days.
    """

    off: Spread
    freedom: float
    day_sd: float
    day_freedom: float

    @classmethod
    def read(cls, entry: dict[str, Any], name: str) -> Self:
        """That of a metric in an entry that holds, by metric, the parts that `learn_tolerances` gave."""
        off = Spread(**entry["off"][name])
        single = entry.get("days", {}).get(name, {"sd": off.day_sd, "freedom": off.days - 1})
        return cls(off, entry.get("freedom", {}).get(name, off.rows - 1), single["sd"], max(single["freedom"], 1))

    def reach(self, noise: float, mixed: float, window: Window, *, in_steps: bool = False) -> tuple[float, float]:
        """Half of the width of the interval, and of that which labels would have.

        Parameters
        ----------
        noise : float
            The variance of a row's loss about what is expected of it, over that of the rows it was learnt from.
        mixed : float
            The variance of what is expected of rows.
        window : Window
            What is estimated.
        in_steps : bool
            Whether the metric is a share of rows, which moves in steps.
        """
        off, rows, days = self.off, window.rows, window.days
        row, day = off.row_sd**2, off.day_sd**2 if off.days else 0.0
        of_window = row * noise / rows + day / max(days, 1) + mixed * (1 / window.n - 1 / rows)
        of_learnt = row / off.rows + day / max(off.days, 1)
        # The degrees of freedom of a sum of variances (Satterthwaite, 1946).
        of_days = day * (1 / max(days, 1) + 1 / max(off.days, 1))
        of_rows = of_window + of_learnt - of_days
        parts = of_rows**2 / self.freedom + of_days**2 / self.day_freedom
        freedom = max((of_rows + of_days) ** 2 / parts, LEAST_FREEDOM) if parts else LEAST_FREEDOM
        windows, models = stats.t.ppf(((1 + COVERAGE) / 2, CONFIDENCE), freedom).tolist()
        reach = windows * of_window**0.5 + models * of_learnt**0.5
        if in_steps:  # half a step of each share, a correction for continuity (Yates, 1934)
            reach += (1 / rows + 1 / off.rows) / 2
        of_labels, by_days = (row * noise + mixed) / rows, days >= FEWEST_DAYS
        if by_days:
            of_labels += self.day_sd**2 / days
        quantile = stats.t.ppf((1 + OF_LABELS) / 2, max((days if by_days else rows) - 1, 1))
        return float(reach), float(quantile * of_labels**0.5)

    def withheld(self, window: Window) -> Withheld:
        """That the interval would be too wide."""
        off, days = self.off, window.days
        of, over = (f" of {off.days:,} days", f" of {days:.2g} days") if off.days else ("", "")
        return Withheld(
            f"it would be learnt from {off.rows:,} rows{of} that the model had not seen, and is of a window of "
            f"{window.rows:,} rows{over}: its interval would be too wide beside that of labels"
        )


def learn_tolerances(
    residuals: Mapping[str, Array], days: Integers | None, least_sd: Mapping[str, float] = MappingProxyType({})
) -> dict[str, dict[str, Any]]:
    """The parts `off`, `freedom` and `days` of an entry, each by metric; `Tolerance.read` makes a tolerance of them.

    Parameters
    ----------
    residuals : mapping
        By metric: observed less expected loss of n rows that the model had not seen, shape [n].
    days : ndarray of shape [n], optional
        The day of each row, numbered from 0.
    least_sd : mapping, optional
        By metric: the deviation of rows is at least this.
    """
    parts: dict[str, dict[str, Any]] = {"off": {}, "freedom": {}, "days": {}}
    for name, residual in residuals.items():
        off, parts["days"][name] = _spread(residual, days)
        off["row_sd"] = max(off["row_sd"], rounded(least_sd.get(name, 0.0)))
        parts["off"][name] = off
        parts["freedom"][name] = rounded(freedom_of(residual))
    return parts


def _spread(values: Array, days: Integers | None) -> tuple[dict[str, float], dict[str, float]]:
    """The spread of n values, and how single days differ, with the degrees of freedom of the spread by days.

    Days in a row resemble each other: what counts is the length of runs by which means differ most, in terms of days.
    """
    found = spread_of(values, days)
    by_days = {"sd": found["day_sd"], "freedom": float(max(found["days"] - 1, 0))}
    if days is None:
        return found, by_days
    for run in RUNS[1:]:
        runs = spread_of(values, days // run)
        if runs["days"] < LEAST_RUNS:
            break
        if (sd := rounded(runs["day_sd"] * run**0.5)) > found["day_sd"]:
            found["day_sd"], by_days["freedom"] = sd, float(runs["days"] - 1)
    return found, by_days


def freedom_of(residual: Array) -> float:
    """The degrees of freedom of the variance of n values: fewer than n - 1 where few large ones make most of it.

    The variance of a sample variance goes with the kurtosis (Box, Non-Normality and Tests on Variances, 1953).
    """
    n, square = len(residual), float(((residual - residual.mean()) ** 2).mean())
    if not square:
        return LEAST_FREEDOM
    kurtosis = float(((residual - residual.mean()) ** 4).mean()) / square**2
    return float(np.clip(2 * n / max(kurtosis - 1, 1e-9), LEAST_FREEDOM, max(n - 1, LEAST_FREEDOM)))
