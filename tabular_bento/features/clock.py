"""Local clock to UTC, by the rules of the IANA time zone database, for one time or a column of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAY = 86_400
_EPOCH = datetime(1970, 1, 1)

# Local times outside these years have no meaning for a flight and none in `datetime`.
EARLIEST = int((datetime(1900, 1, 1) - _EPOCH).total_seconds())
LATEST = int((datetime(2200, 1, 1) - _EPOCH).total_seconds())


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _exact_offset(zone: str, local: int) -> int:
    moment = (_EPOCH + timedelta(seconds=local)).replace(tzinfo=_zone(zone))
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@lru_cache(maxsize=65_536)
def _day_offset(zone: str, day: int) -> int | None:
    """The offset that holds all through a local day, or None on the days the clock is put forward or back."""
    first = _exact_offset(zone, day * DAY)
    last = _exact_offset(zone, day * DAY + DAY - 1)
    return first if first == last else None


def utc_offset(zone: str, local: int) -> int:
    """Seconds by which the clock of `zone` is ahead of UTC at `local`, seconds since 1970 on that clock.

    A time that occurs twice in autumn means the first one; a time skipped in spring is read with the offset before
    the change (`fold=0` of PEP 495).
    """
    offset = _day_offset(zone, local // DAY)
    return _exact_offset(zone, local) if offset is None else offset


def utc_offsets(zones: list[str], codes: NDArray[np.int64], local: NDArray[np.int64]) -> NDArray[np.int64]:
    """`utc_offset` for a column: row i is read on the clock of `zones[codes[i]]`. All three have shape [n]."""
    days = local // DAY
    first_day = int(days.min(initial=0))
    span = int(days.max(initial=0)) - first_day + 1
    keys, where = np.unique(codes * span + (days - first_day), return_inverse=True)
    offsets = np.empty(len(keys), dtype=np.int64)
    changing = []
    for index, key in enumerate(keys.tolist()):
        offset = _day_offset(zones[key // span], key % span + first_day)
        if offset is None:
            changing.append(index)
        offsets[index] = 0 if offset is None else offset
    result = offsets[where]
    if changing:
        for row in np.flatnonzero(np.isin(where, changing)).tolist():
            result[row] = _exact_offset(zones[int(codes[row])], int(local[row]))
    return result
