"""The window's predictions joined with outcomes of any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.events import EventLog, ScanCounts
from data.stream import Stream
from features.definition import TARGET
from monitoring.ids import Keys, contains, keys_of
from monitoring.metrics import block_bootstrap
from monitoring.result import Errors, Interval, Outcomes
from monitoring.window import Query, Scored
from scoring.traffic import OUTCOMES

Array = NDArray[np.float64]

DAY, HOUR = 86_400, 3_600
MIN_BLOCKS = 5
"""The bootstrap draws days from this many on, and hours of a shorter window."""


@dataclass(frozen=True)
class Joined:
    """The latest outcome of each prediction, NaN where there is none, shape [n]; and what was met on the way."""

    latest: Array
    repeated: int = 0
    contradictory: int = 0
    elsewhere: int = 0
    unknown: int = 0
    torn: int = 0
    bad: int = 0
    median_delay_hours: float | None = None


@dataclass(frozen=True)
class _Events:
    """Outcomes of the window's predictions, shape [m] each: place of the prediction, when received in us, the value."""

    place: NDArray[np.int64]
    time: NDArray[np.int64]
    value: Array


def join(query: Query, scored: Scored) -> Joined:
    """Join `scored` with all outcomes of the log, however late.

    Of several outcomes of one prediction the one received last counts; equal ones are repeated, others contradictory.
    Raises LogError where the log cannot be read.
    """
    log, lines = EventLog(query.directory / OUTCOMES), ScanCounts()
    latest = np.full(len(scored.keys), np.nan)
    if not Stream(query.directory / OUTCOMES).schemas():
        return Joined(latest)
    parts, strange, bad = [], [np.empty(0, np.uint64)], 0
    for batch in log.scan(columns=["prediction_id", "time", TARGET.name], counts=lines):
        whole = batch.filter(pc.and_(pc.is_valid(batch.column(0)), pc.is_finite(batch.column(2).fill_null(np.nan))))
        bad += batch.num_rows - whole.num_rows
        if not whole.num_rows:
            continue
        keys = keys_of(whole.column(0))
        known = contains(scored.keys, keys)
        strange.append(keys[~known])
        place = np.searchsorted(scored.keys, keys[known])
        time, value = whole.column(1).cast(pa.int64()).to_numpy(), whole.column(2).to_numpy()
        parts.append(_Events(place, time[known], value[known]))
    unmatched = np.concatenate(strange)
    unknown = _unknown(query, unmatched)
    joined = Joined(latest, elsewhere=len(unmatched) - unknown, unknown=unknown, torn=lines.torn, bad=bad + lines.bad)
    return _resolve(joined, _concatenate(parts), scored.time) if parts else joined


def _concatenate(parts: list[_Events]) -> _Events:
    return _Events(
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


def _resolve(joined: Joined, events: _Events, predicted_at: NDArray[np.int64]) -> Joined:
    order = np.lexsort((events.time, events.place))
    place, time, value = events.place[order], events.time[order], events.value[order]
    again = np.append(False, place[1:] == place[:-1])
    differs = again & np.append(False, value[1:] != value[:-1])
    last = ~np.append(again[1:], False)
    joined.latest[place[last]] = value[last]
    delay = (time[last] - predicted_at[place[last]]) / (HOUR * 1e6)
    return Joined(
        joined.latest,
        repeated=int((again & ~differs).sum()),
        contradictory=len(np.unique(place[differs])),
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        torn=joined.torn,
        bad=joined.bad,
        median_delay_hours=float(np.median(delay)) if len(delay) else None,
    )


def _unknown(query: Query, keys: Keys) -> int:
    """How many of the keys no prediction of the whole log has; one more pass, over the ids, if there are any keys."""
    left = np.sort(keys)
    if not len(left):
        return 0
    found = np.zeros(len(left), dtype=np.bool_)
    for batch in query.log.scan(columns=["prediction_id"]):
        found |= contains(np.sort(keys_of(batch.column(0).drop_null())), left)
    return int((~found).sum())


def summarize(joined: Joined, scored: Scored, resamples: int, seed: int) -> Outcomes:
    """Errors of the model and of zero gain, where there are outcomes."""
    has = ~np.isnan(joined.latest)
    matched = int(has.sum())
    measured: dict[str, Any] = dict.fromkeys(("model", "zero_gain", "ratio_to_zero_gain", "ratio_interval", "blocks"))
    if matched:
        measured = _measure(scored, joined.latest, has, resamples, seed)
    return Outcomes(
        matched=matched,
        coverage=matched / len(has) if len(has) else None,
        repeated=joined.repeated,
        contradictory=joined.contradictory,
        elsewhere=joined.elsewhere,
        unknown=joined.unknown,
        torn=joined.torn,
        bad=joined.bad,
        median_delay_hours=joined.median_delay_hours,
        **measured,
    )


def _measure(scored: Scored, latest: Array, has: NDArray[np.bool_], resamples: int, seed: int) -> dict[str, Any]:
    kind: Literal["day", "hour"] = "day" if len(np.unique(scored.event[has] // DAY)) >= MIN_BLOCKS else "hour"
    blocks = scored.event[has] // (DAY if kind == "day" else HOUR)
    model = scored.predicted[has] - latest[has]
    zero_gain = scored.baseline[has] - latest[has]
    squares, zero_squares = float((model**2).mean()), float((zero_gain**2).mean())
    return {
        "model": _errors(model, blocks, resamples, seed),
        "zero_gain": _errors(zero_gain, blocks, resamples, seed),
        "ratio_to_zero_gain": float(np.sqrt(squares / zero_squares)) if zero_squares else None,
        "ratio_interval": _ratio_interval(model**2, zero_gain**2, blocks, resamples, seed),
        "blocks": kind,
    }


def _errors(error: Array, blocks: NDArray[np.int64], resamples: int, seed: int) -> Errors:
    def interval(values: Array, statistic: Any = np.asarray) -> Interval | None:
        return block_bootstrap(values, blocks, statistic, resamples, seed)

    return Errors(
        n=len(error),
        rmse=float(np.sqrt((error**2).mean())),
        rmse_interval=interval(error**2, np.sqrt),
        mae=float(np.abs(error).mean()),
        mae_interval=interval(np.abs(error)),
        bias=float(error.mean()),
        bias_interval=interval(error),
    )


def _ratio_interval(
    squares: Array, zero_squares: Array, blocks: NDArray[np.int64], resamples: int, seed: int
) -> Interval | None:
    """95 % interval of the ratio of the two RMSEs: both of the same drawn blocks, since a storm hits both."""
    distinct, where = np.unique(blocks, return_inverse=True)
    if len(distinct) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(distinct), size=(resamples, len(distinct)))
    ours = np.bincount(where, weights=squares)[drawn].sum(axis=1)
    theirs = np.bincount(where, weights=zero_squares)[drawn].sum(axis=1)
    if not theirs.all():
        return None
    low, high = np.quantile(np.sqrt(ours / theirs), [0.025, 0.975])
    return float(low), float(high)
