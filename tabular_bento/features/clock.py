"""Local clock to UTC, by the rules of the IANA time zone database, for one time or a column of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAY = 86_400
_EPOCH = datetime(1970, 1, 1)

# Local times outside these years have no meaning in data and none in `datetime`.
EARLIEST = int((datetime(1900, 1, 1) - _EPOCH).total_seconds())
LATEST = int((datetime(2200, 1, 1) - _EPOCH).total_seconds())

# Of `ClockTable`: its days, with two more on either side, and how it holds an offset, with 0 for a day not asked for.
_FIRST_DAY = EARLIEST // DAY - 2
_DAYS = LATEST // DAY + 2 - _FIRST_DAY
_CHANGES = 1
_ZERO = 1 << 20


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def exact_offset(zone: str, local: int) -> int:
    """As `utc_offset`, computed from the rules of the zone."""
    moment = (_EPOCH + timedelta(seconds=local)).replace(tzinfo=_zone(zone))
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@lru_cache(maxsize=65_536)
def day_offset(zone: str, day: int) -> int | None:
    """The offset that holds all through a local day, or None on the days the clock is put forward or back."""
    first = exact_offset(zone, day * DAY)
    last = exact_offset(zone, day * DAY + DAY - 1)
    return first if first == last else None


def utc_offset(zone: str, local: int) -> int:
    """Seconds by which the clock of `zone` is ahead of UTC at `local`, seconds since 1970 on that clock.

    A time that occurs twice in autumn means the first one; a time skipped in spring is read with the offset before
    the change (`fold=0` of PEP 495).
    """
    offset = day_offset(zone, local // DAY)
    return exact_offset(zone, local) if offset is None else offset


def utc_offsets(zones: list[str], codes: NDArray[np.int64], local: NDArray[np.int64]) -> NDArray[np.int64]:
    """`utc_offset` for a column: row i is read on the clock of `zones[codes[i]]`. All three have shape [n]."""
    return ClockTable(zones).offsets(codes, local)


class ClockTable:
    """Offsets of several clocks by day, which are looked up once they were asked for.

    Parameters
    ----------
    zones : list of str
        Names in the IANA database.
    """

    def __init__(self, zones: list[str]) -> None:
        self.zones = zones
        self._table = np.zeros(len(zones) * _DAYS, dtype=np.int32)  # pages that no day is in take no memory

    def offsets(self, clocks: NDArray[np.int64], local: NDArray[np.int64]) -> NDArray[np.int64]:
        """`utc_offset` of n times, each on the clock of `zones[clocks[i]]`; all of shape [n]."""
        cells = local // DAY
        cells += clocks * _DAYS - _FIRST_DAY
        found = self._table[cells]
        if not found.all():
            self._fill(np.unique(cells[found == 0]))
            found = self._table[cells]
        result = found.astype(np.int64)
        result -= _ZERO
        changes = found == _CHANGES
        if changes.any():
            for row in np.flatnonzero(changes).tolist():
                result[row] = exact_offset(self.zones[int(clocks[row])], int(local[row]))
        return result

    def _fill(self, cells: NDArray[np.int64]) -> None:
        for cell in cells.tolist():
            offset = day_offset(self.zones[cell // _DAYS], cell % _DAYS + _FIRST_DAY)
            self._table[cell] = _CHANGES if offset is None else offset + _ZERO
