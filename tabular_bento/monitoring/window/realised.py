"""What came true of the window's predictions: how much of it is due, and the errors of what is.

Outcomes come late, and those that come early are not a random part of all: a flight that lands first is one that was
not held. Errors are therefore measured on mature predictions alone, those as old as nearly all outcomes take to come.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.metrics import interval_of_blocks
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.result import Errors, Interval, Maturity, Outcomes
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import ABSOLUTE, ERROR, HISTORICAL_GAIN, MODEL, SQUARE, ZERO_GAIN, Blocks
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.monitoring.window.delays import CELLS, GRID, median_hours, usual_cell

Array = NDArray[np.float64]

MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window."""

_NOT_MEASURED = dict.fromkeys(
    (
        "model",
        "zero_gain",
        "historical_gain",
        "ratio_to_zero_gain",
        "ratio_interval",
        "ratio_to_historical_gain",
        "historical_ratio_interval",
        "blocks",
    )
)


def limits(settings: DriftSettings) -> Array:
    """The ages in hours that may turn out to be the one from which an outcome is due, ascending, shape [l]."""
    return GRID if settings.maturity_hours is None else np.array([settings.maturity_hours])


def due_from(data: WindowData, settings: DriftSettings) -> int | None:
    """How many of the limits of age a prediction must have passed for its outcome to be due; None if nobody knows."""
    if settings.maturity_hours is not None:
        return 1
    return usual_cell(data.joined.came, data.blocks.waiting(CELLS)) if data.blocks.matched.any() else None


def summarize(data: WindowData, settings: DriftSettings) -> Outcomes:
    """How many outcomes there are, how many are due, and the errors of those."""
    joined, blocks, place = data.joined, data.blocks, due_from(data, settings)
    matched, rows = int(blocks.matched.sum()), int(blocks.rows.sum())
    maturity, measured = None, dict[str, Any](_NOT_MEASURED)
    if place is not None and rows:
        mature = blocks.aged(place)
        maturity = _maturity(mature, rows, place, settings)
        if maturity.matched:
            measured = _measure(mature, settings)
    return Outcomes(
        matched=matched,
        coverage=matched / rows if rows else None,
        repeated=joined.repeated,
        contradictory=joined.contradictory,
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        torn=joined.torn,
        bad=joined.bad,
        before_prediction=joined.before,
        median_delay_hours=median_hours(joined.came),
        maturity=maturity,
        **measured,
    )


def _maturity(mature: Blocks, rows: int, place: int, settings: DriftSettings) -> Maturity:
    due, matched = int(mature.rows.sum()), int(mature.matched.sum())
    coverage = matched / due if due else None
    return Maturity(
        hours=float(limits(settings)[place - 1]) if place else 0.0,
        source="observed" if settings.maturity_hours is None else "setting",
        predictions=due,
        share=due / rows,
        matched=matched,
        coverage=coverage,
        judged=matched >= settings.min_outcomes and coverage is not None and coverage >= settings.min_coverage,
    )


def _measure(mature: Blocks, settings: DriftSettings) -> dict[str, Any]:
    kind: Literal["day", "hour"] = "day"
    counts, sums = mature.matched_by(DAY)
    if len(counts) < MIN_BLOCKS:
        kind = "hour"
        counts, sums = mature.matched_by(HOUR)
    ratio, interval = _ratio(sums, ZERO_GAIN, settings)
    measured: dict[str, Any] = {
        "model": _errors(counts, sums, MODEL, settings),
        "zero_gain": _errors(counts, sums, ZERO_GAIN, settings),
        "ratio_to_zero_gain": ratio,
        "ratio_interval": interval,
        "blocks": kind,
    }
    if not mature.gains.any():
        return dict(_NOT_MEASURED) | measured
    ratio, interval = _ratio(sums, HISTORICAL_GAIN, settings)
    return measured | {
        "historical_gain": _errors(counts, sums, HISTORICAL_GAIN, settings),
        "ratio_to_historical_gain": ratio,
        "historical_ratio_interval": interval,
    }


def _errors(counts: NDArray[np.int64], sums: Array, whose: int, settings: DriftSettings) -> Errors:
    n = int(counts.sum())

    def interval(place: int, statistic: Any = np.asarray) -> Interval | None:
        values = sums[:, whose + place]
        return interval_of_blocks(values, counts, statistic, settings.resamples, settings.seed)

    return Errors(
        n=n,
        rmse=float(np.sqrt(sums[:, whose + SQUARE].sum() / n)),
        rmse_interval=interval(SQUARE, np.sqrt),
        mae=float(sums[:, whose + ABSOLUTE].sum() / n),
        mae_interval=interval(ABSOLUTE),
        bias=float(sums[:, whose + ERROR].sum() / n),
        bias_interval=interval(ERROR),
    )


def _ratio(sums: Array, whose: int, settings: DriftSettings) -> tuple[float | None, Interval | None]:
    """The ratio of two RMSEs with its 95 % interval: both of the same drawn blocks, since a storm hits both."""
    squares, theirs = sums[:, MODEL + SQUARE], sums[:, whose + SQUARE]
    ratio = float(np.sqrt(squares.sum() / theirs.sum())) if theirs.any() else None
    if len(squares) < 2:
        return ratio, None
    drawn = np.random.default_rng(settings.seed).integers(len(squares), size=(settings.resamples, len(squares)))
    ours, others = squares[drawn].sum(axis=1), theirs[drawn].sum(axis=1)
    if not others.all():
        return ratio, None
    low, high = np.quantile(np.sqrt(ours / others), [0.025, 0.975])
    return ratio, (float(low), float(high))
