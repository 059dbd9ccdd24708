from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular_bento.features.clock import DAY, EARLIEST, LATEST, utc_offset, utc_offsets

ZONES = sorted(available_timezones() - {"localtime"})
EPOCH = datetime(1970, 1, 1)


def by_zoneinfo(zone: str, local: int) -> int:
    offset = (EPOCH + timedelta(seconds=local)).replace(tzinfo=ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and a local time within a day of a change of its offset, if it has one in the year drawn."""
    zone = draw(st.sampled_from(ZONES))
    year = draw(st.integers(1900, 2199))
    first = (datetime(year, 1, 1) - EPOCH).days
    days = range(first, first + 365)
    changes = [day for day in days if by_zoneinfo(zone, day * DAY) != by_zoneinfo(zone, (day + 1) * DAY)]
    day = draw(st.sampled_from(changes or days))
    return zone, day * DAY + draw(st.integers(-DAY, 2 * DAY))


anywhere = st.tuples(st.sampled_from(ZONES), st.integers(EARLIEST, LATEST - 1))


@settings(deadline=None)
@given(st.lists(anywhere | near_a_change(), min_size=0, max_size=20))
def test_column_equals_single_equals_zoneinfo(rows: list[tuple[str, int]]) -> None:
    zones = sorted({zone for zone, _ in rows})
    codes = np.array([zones.index(zone) for zone, _ in rows], np.int64)
    local = np.array([time for _, time in rows], np.int64)
    expected = [by_zoneinfo(zone, time) for zone, time in rows]
    assert [utc_offset(zone, time) for zone, time in rows] == expected
    assert utc_offsets(zones, codes, local).tolist() == expected


@pytest.mark.parametrize(
    ("zone", "local", "hours"),
    [
        ("America/New_York", datetime(2013, 3, 10, 1, 59, 59), -5),
        ("America/New_York", datetime(2013, 3, 10, 2, 30), -5),  # skipped
        ("America/New_York", datetime(2013, 3, 10, 3, 0), -4),
        ("America/New_York", datetime(2013, 11, 3, 1, 30), -4),  # the first of two
        ("America/New_York", datetime(2013, 11, 3, 2, 0), -5),
        ("America/Phoenix", datetime(2013, 7, 1), -7),
        ("Pacific/Honolulu", datetime(2013, 7, 1), -10),
        ("Asia/Kolkata", datetime(2013, 7, 1), 5.5),
        ("Pacific/Apia", datetime(2011, 12, 30, 12), -10),  # a day that was skipped
    ],
)
def test_known_offsets(zone: str, local: datetime, hours: float) -> None:
    assert utc_offset(zone, int((local - EPOCH).total_seconds())) == hours * 3600
