from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tabular_bento.errors import TableError
from tests.flights.timetable import ZONES, flight, tables
from training.join import join
from training.tables import WEATHER


def examples(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    made = tables(*rows)
    joined: list[dict[str, Any]] = join(made["flights"], made["airports"], made["weather"]).to_pylist()
    return joined


@settings(deadline=None)
@given(
    origin=st.sampled_from(sorted(ZONES)),
    dest=st.sampled_from(sorted(ZONES)),
    departs=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
    block=st.integers(20, 22 * 60),
)
def test_arrival_is_dated_on_the_clock_of_dest(origin: str, dest: str, departs: datetime, block: int) -> None:
    departs = departs.replace(second=0, microsecond=0)
    arrival = (departs + timedelta(minutes=block)).astimezone(ZoneInfo(ZONES[dest]))
    assume(not arrival.fold)  # a time shown twice means the first
    example = examples(flight(origin, dest, departs, timedelta(minutes=block)))[0]
    assert example["sched_dep"] == departs.astimezone(ZoneInfo(ZONES[origin])).replace(tzinfo=None)
    assert example["sched_dep_utc"] == departs
    assert example["sched_arr"] == arrival.replace(tzinfo=None)


@pytest.mark.parametrize("time", [0, 2400])
def test_midnight_is_the_start_of_the_next_day(time: int) -> None:
    leaves = datetime(2013, 5, 2, 1, tzinfo=UTC)  # 21:00 of the first
    assert examples(flight("JFK", "EWR", leaves, sched_arr_time=time))[0]["sched_arr"] == datetime(2013, 5, 2)


def test_hour_that_the_clock_shows_twice() -> None:
    moments = [datetime(2013, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    joined = examples(flight(departs=moments[1]), flight(departs=moments[0], flight=2))
    assert [example["sched_dep_utc"] for example in joined] == moments
    assert {example["sched_dep"] for example in joined} == {datetime(2013, 11, 3, 1, 30)}


@pytest.mark.parametrize(
    ("delay", "temperature"), [(0, 13), (-1, 12), (59, 13), (60, 14), (600, 23), (660, None), (-900, None)]
)
def test_weather_follows_the_actual_departure(delay: int, temperature: float | None) -> None:
    row = flight(departs=datetime(2013, 5, 1, 14, tzinfo=UTC), dep_delay=max(delay, -120))
    if delay < -120:
        row = flight(departs=datetime(2013, 5, 1, 0, tzinfo=UTC))
    assert examples(row)[0]["temp"] == temperature


def test_airport_without_weather() -> None:
    assert all(examples(flight("EWR"))[0][field.name] is None for field in WEATHER)


def test_cancelled_flights_are_left_out() -> None:
    gone = {"dep_time": None, "dep_delay": None, "arr_delay": None, "air_time": None}
    joined = examples(flight(flight=1), flight(flight=2) | gone, flight(flight=3, arr_delay=None, air_time=None))
    assert [(example["flight"], example["arrival_delay"]) for example in joined] == [(1, 0.0), (3, None)]


def test_all_cancelled_gives_no_examples() -> None:
    assert examples(flight(dep_time=None, dep_delay=None)) == []


def test_ties_are_broken() -> None:
    rows = [flight(origin, carrier=carrier, flight=n) for origin in ("JFK", "EWR") for carrier in "BA" for n in (9, 10)]
    for row in rows:
        row["carrier"] += "A"
    keys = [(example["carrier"], example["flight"], example["origin"]) for example in examples(*rows)]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_hour": datetime(2013, 5, 1, 15, tzinfo=UTC)}, r"flights\.time_hour: 1 of 2 rows are not the hour"),
        ({"month": 4, "day": 31}, r"flights\.day: 1 of 2 rows are no day of their month, for example 31 in row 1"),
        ({"dest": "ZZZ"}, r"flights\.dest: 1 of 2 rows name an airport.* no time zone, for example 'ZZZ' in row 1"),
        ({"origin": "ZZZ"}, r"flights\.origin: 1 of 2 rows name an airport"),
        ({"sched_arr_time": 1275}, r"flights\.sched_arr_time: 1 of 2 rows are no time of day, HHMM.*1275 in row 1"),
        ({"dep_delay": None}, r"flights\.dep_delay: 1 of 2 rows departed, by dep_time, but have no delay"),
        (
            {"arr_delay": 2881.0},
            r"flights\.arr_delay: 1 of 2 rows are outside -240 to 2880 minutes.*2881\.0 in row 1",
        ),
        ({"arr_delay": -241.0}, r"flights\.arr_delay: 1 of 2 rows are outside -240 to 2880 minutes"),
        ({"flight": 7}, r"flights\.year\+.*\+origin: 2 of 2 rows share their key.*flight=7.* in rows 0 and 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        examples(flight(flight=7), flight(flight=8) | changes)


@pytest.mark.parametrize("zone", [None, "Mars/Olympus", "../etc/passwd", "America", "\\N"])
def test_refuses_airport_without_time_zone(zone: str | None) -> None:
    made = tables()
    zones = pa.array([zone if faa == "LAX" else name for faa, name in ZONES.items()], pa.string())
    airports = made["airports"].set_column(4, "tzone", zones)
    with pytest.raises(TableError, match=r"airports\.tzone"):
        join(made["flights"], airports, made["weather"])


def test_refuses_weather_off_the_hour() -> None:
    made = tables()
    off = pa.array([datetime(2013, 5, 1, hour, 51, tzinfo=UTC) for hour in range(24)], pa.timestamp("us", "UTC"))
    weather = made["weather"].set_column(1, "time_hour", off)
    with pytest.raises(TableError, match=r"weather\.time_hour: 24 of 24 rows are not a full hour"):
        join(made["flights"], made["airports"], weather)
