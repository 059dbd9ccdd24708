"""What came true of a window's predictions: how outcomes were joined, and the errors with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.timezones import DAY
from monitoring.blocks import ABSOLUTE, ERROR, SQUARE, ZERO_GAIN, Blocks
from monitoring.metrics import interval_of_blocks
from monitoring.result import Errors, Interval, Outcomes
from monitoring.thresholds import HOUR

if TYPE_CHECKING:
    from monitoring.ranges import RangeSums
    from monitoring.reading import RowsRead

Array = NDArray[np.float64]

MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window."""


@dataclass(frozen=True)
class Joined:
    """What was met on the way, when all outcomes of the log were joined with the window's predictions.

    `early` were received before their prediction was made, as when clocks differ. `median_delay_hours` is within 0.1 %.
    """

    repeated: int = 0
    contradictory: int = 0
    elsewhere: int = 0
    unknown: int = 0
    early: int = 0
    torn: int = 0
    bad: int = 0
    median_delay_hours: float | None = None

    @classmethod
    def of(cls, sums: RangeSums, read: RowsRead, unknown: int) -> Joined:
        """What the pass met: `unknown` outcomes are of predictions that the log does not hold."""
        return cls(
            repeated=sums.repeated,
            contradictory=sums.contradictory,
            elsewhere=sums.strange - unknown,
            unknown=unknown,
            early=sums.early,
            torn=read.lines.torn,
            bad=read.bad + read.lines.bad,
            median_delay_hours=sums.delays.median(),
        )


def summarize(joined: Joined, blocks: Blocks, resamples: int, seed: int) -> Outcomes:
    """Errors of the model and of zero gain, where there are outcomes."""
    matched, rows = int(blocks.matched.sum()), int(blocks.rows.sum())
    measured: dict[str, Any] = dict.fromkeys(("model", "zero_gain", "ratio_to_zero_gain", "ratio_interval", "blocks"))
    if matched:
        measured = _measure(blocks, resamples, seed)
    return Outcomes(
        matched=matched,
        coverage=matched / rows if rows else None,
        repeated=joined.repeated,
        contradictory=joined.contradictory,
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        torn=joined.torn,
        bad=joined.bad,
        median_delay_hours=joined.median_delay_hours,
        **measured,
    )


def _measure(blocks: Blocks, resamples: int, seed: int) -> dict[str, Any]:
    kind: Literal["day", "hour"] = "day"
    counts, sums = blocks.matched_by(DAY)
    if len(counts) < MIN_BLOCKS:
        kind = "hour"
        counts, sums = blocks.matched_by(HOUR)
    squares, zero_squares = (sums[:, place] for place in (SQUARE, ZERO_GAIN + SQUARE))
    zero = float(zero_squares.sum())
    return {
        "model": _errors(counts, sums[:, :ZERO_GAIN], resamples, seed),
        "zero_gain": _errors(counts, sums[:, ZERO_GAIN:], resamples, seed),
        "ratio_to_zero_gain": float(np.sqrt(float(squares.sum()) / zero)) if zero else None,
        "ratio_interval": _ratio_interval(squares, zero_squares, resamples, seed),
        "blocks": kind,
    }


def _errors(counts: NDArray[np.int64], sums: Array, resamples: int, seed: int) -> Errors:
    n = int(counts.sum())

    def interval(place: int, statistic: Any = np.asarray) -> Interval | None:
        return interval_of_blocks(sums[:, place], counts, statistic, resamples, seed)

    return Errors(
        n=n,
        rmse=float(np.sqrt(sums[:, SQUARE].sum() / n)),
        rmse_interval=interval(SQUARE, np.sqrt),
        mae=float(sums[:, ABSOLUTE].sum() / n),
        mae_interval=interval(ABSOLUTE),
        bias=float(sums[:, ERROR].sum() / n),
        bias_interval=interval(ERROR),
    )


def _ratio_interval(squares: Array, zero_squares: Array, resamples: int, seed: int) -> Interval | None:
    """95 % interval of the ratio of the two RMSEs: both of the same drawn blocks, since a storm hits both."""
    if len(squares) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(squares), size=(resamples, len(squares)))
    ours, theirs = squares[drawn].sum(axis=1), zero_squares[drawn].sum(axis=1)
    if not theirs.all():
        return None
    low, high = np.quantile(np.sqrt(ours / theirs), [0.025, 0.975])
    return float(low), float(high)
