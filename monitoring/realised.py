"""What came true of the window's predictions: how much of it is due, and the errors of what is.

Outcomes come late, and those that come early are not a random part of all: a flight that lands first is one that was
not held. Errors are therefore measured on mature predictions alone, those as old as nearly all outcomes take to come.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.timezones import DAY
from monitoring.metrics import block_bootstrap
from monitoring.outcomes import Joined
from monitoring.result import Errors, Interval, Maturity, Outcomes
from monitoring.settings import DriftSettings
from monitoring.window import Scored

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HOUR = 3_600
MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window."""

NEARLY_ALL = 0.95
"""Of the outcomes that come at all."""

CLOCKS_DIFFER = 1 / HOUR
"""Hours that an outcome may come before its prediction without a word."""

AHEAD = 60.0
"""Seconds that a prediction may be dated after the job's own time without a word."""

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
_GRID = np.geomspace(1e-4, 1e5, 451)
"""Hours on which delays are counted: a third of a second to eleven years, each 5 % longer than the last."""


def summarize(joined: Joined, scored: Scored, now: float, settings: DriftSettings) -> Outcomes:
    """How many outcomes there are, how many are due at `now`, seconds since 1970, and the errors of those."""
    has = ~np.isnan(joined.latest)
    matched, age = int(has.sum()), ages(scored, now)
    hours = settings.maturity_hours
    source: Literal["setting", "observed"] = "observed" if hours is None else "setting"
    if hours is None and matched:
        hours = usual_delay(joined.delay[has], age[~has])
    maturity, measured = None, dict[str, Any](_NOT_MEASURED)
    if hours is not None and len(has):
        mature = age >= hours
        maturity = _maturity(mature, has, hours, source, settings)
        if maturity.matched:
            measured = _measure(scored, joined.latest, has & mature, settings)
    return Outcomes(
        matched=matched,
        coverage=matched / len(has) if len(has) else None,
        repeated=joined.repeated,
        contradictory=joined.contradictory,
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        torn=joined.torn,
        bad=joined.bad,
        before_prediction=int((joined.delay < -CLOCKS_DIFFER).sum()),
        median_delay_hours=float(np.median(joined.delay[has])) if matched else None,
        maturity=maturity,
        **measured,
    )


def ages(scored: Scored, now: float) -> Array:
    """Hours from each prediction to `now`, seconds since 1970; shape [n]."""
    return np.asarray((now - scored.time / 1e6) / HOUR)


def usual_delay(came: Array, waiting: Array) -> float:
    """Hours within which nearly all outcomes come, of those that come, as far as the window is old enough to tell.

    `came` are the delays of m outcomes, and `waiting` the ages of k predictions without one, which have come to no
    outcome yet: Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958.
    """
    events, censored = (np.bincount(_cell(hours), minlength=len(_GRID) + 1) for hours in (came, waiting))
    leaving = events + censored
    at_risk = leaving[::-1].cumsum()[::-1]
    come = 1 - np.cumprod(1 - events / np.maximum(at_risk, 1))
    place = int(np.searchsorted(come, NEARLY_ALL * come[-1]))
    return float(_GRID[place - 1]) if place else 0.0


def _cell(hours: Array) -> NDArray[np.int64]:
    return np.searchsorted(_GRID, hours, side="right")


def _maturity(
    mature: Mask, has: Mask, hours: float, source: Literal["setting", "observed"], settings: DriftSettings
) -> Maturity:
    due, matched = int(mature.sum()), int((mature & has).sum())
    coverage = matched / due if due else None
    return Maturity(
        hours=hours,
        source=source,
        predictions=due,
        share=due / len(mature),
        matched=matched,
        coverage=coverage,
        judged=matched >= settings.min_outcomes and coverage is not None and coverage >= settings.min_coverage,
    )


def _measure(scored: Scored, latest: Array, chosen: Mask, settings: DriftSettings) -> dict[str, Any]:
    event, outcome = scored.event[chosen], latest[chosen]
    kind: Literal["day", "hour"] = "day" if len(np.unique(event // DAY)) >= MIN_BLOCKS else "hour"
    blocks = event // (DAY if kind == "day" else HOUR)
    known, gain = scored.baseline[chosen], scored.history[chosen]
    model, zero_gain = scored.predicted[chosen] - outcome, known - outcome
    ratio, interval = _ratio(model, zero_gain, blocks, settings)
    measured: dict[str, Any] = {
        "model": _errors(model, blocks, settings),
        "zero_gain": _errors(zero_gain, blocks, settings),
        "ratio_to_zero_gain": ratio,
        "ratio_interval": interval,
        "blocks": kind,
    }
    if np.isnan(gain).all():
        return dict(_NOT_MEASURED) | measured
    historical = known + np.nan_to_num(gain, nan=0.0) - outcome  # unknown routes have no history to gain from
    ratio, interval = _ratio(model, historical, blocks, settings)
    return measured | {
        "historical_gain": _errors(historical, blocks, settings),
        "ratio_to_historical_gain": ratio,
        "historical_ratio_interval": interval,
    }


def _errors(error: Array, blocks: NDArray[np.int64], settings: DriftSettings) -> Errors:
    def interval(values: Array, statistic: Any = np.asarray) -> Interval | None:
        return block_bootstrap(values, blocks, statistic, settings.resamples, settings.seed)

    return Errors(
        n=len(error),
        rmse=float(np.sqrt((error**2).mean())),
        rmse_interval=interval(error**2, np.sqrt),
        mae=float(np.abs(error).mean()),
        mae_interval=interval(np.abs(error)),
        bias=float(error.mean()),
        bias_interval=interval(error),
    )


def _ratio(
    error: Array, baseline: Array, blocks: NDArray[np.int64], settings: DriftSettings
) -> tuple[float | None, Interval | None]:
    """The ratio of two RMSEs with its 95 % interval: both of the same drawn blocks, since a storm hits both."""
    squares, theirs = error**2, baseline**2
    ratio = float(np.sqrt(squares.mean() / theirs.mean())) if theirs.any() else None
    distinct, where = np.unique(blocks, return_inverse=True)
    if len(distinct) < 2:
        return ratio, None
    drawn = np.random.default_rng(settings.seed).integers(len(distinct), size=(settings.resamples, len(distinct)))
    sums = [np.bincount(where, weights=part)[drawn].sum(axis=1) for part in (squares, theirs)]
    if not sums[1].all():
        return ratio, None
    low, high = np.quantile(np.sqrt(sums[0] / sums[1]), [0.025, 0.975])
    return ratio, (float(low), float(high))
