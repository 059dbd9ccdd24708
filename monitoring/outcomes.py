"""The window's predictions joined with outcomes of any time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.events import EventLog, ScanCounts
from data.stream import Stream
from features.definition import TARGET
from monitoring.ids import Keys, contains, keys_of
from monitoring.window import Query, Scored
from scoring.traffic import OUTCOMES

Array = NDArray[np.float64]

HOUR = 3_600


@dataclass(frozen=True)
class Joined:
    """The latest outcome of each prediction and how many hours after it that came, NaN where there is none, shape [n].

    And what was met on the way.
    """

    latest: Array
    delay: Array
    repeated: int = 0
    contradictory: int = 0
    elsewhere: int = 0
    unknown: int = 0
    torn: int = 0
    bad: int = 0


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
        return Joined(latest, latest.copy())
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
    joined = Joined(
        latest, latest.copy(), elsewhere=len(unmatched) - unknown, unknown=unknown, torn=lines.torn, bad=bad + lines.bad
    )
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
    joined.delay[place[last]] = (time[last] - predicted_at[place[last]]) / (HOUR * 1e6)
    return replace(joined, repeated=int((again & ~differs).sum()), contradictory=len(np.unique(place[differs])))


def _unknown(query: Query, keys: Keys) -> int:
    """How many of the keys no prediction of the whole log has; one more pass, over the ids, if there are any keys."""
    left = np.sort(keys)
    if not len(left):
        return 0
    found = np.zeros(len(left), dtype=np.bool_)
    for batch in query.log.scan(columns=["prediction_id"]):
        found |= contains(np.sort(keys_of(batch.column(0).drop_null())), left)
    return int((~found).sum())
