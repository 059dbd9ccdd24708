"""The join of flights, airports and weather into examples: what was known of a flight when it pushed back."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.tables import refuse
from tabular_bento.errors import TableError
from tabular_bento.features.clock import DAY, utc_offsets
from training.tables import ADDED_AIRPORTS, WEATHER

MINUTE, HOUR = 60, 3600

Ints = NDArray[np.int64]


def add_airports(airports: pa.Table) -> pa.Table:
    """The airports with those of `ADDED_AIRPORTS` that they lack, in order of code."""
    known = set(airports["faa"].to_pylist())
    columns = zip(*(row for row in ADDED_AIRPORTS if row[0] not in known), strict=True)
    added = pa.table([pa.array(column) for column in columns] or airports.slice(0, 0).columns, schema=airports.schema)
    return pa.concat_tables([airports, added]).sort_by("faa")


def plausible_weather(weather: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The weather with readings outside the ranges of `WEATHER` made null, and how many they were by column."""
    counts = {}
    for field in WEATHER:
        readings = weather[field.name]
        bad = pc.or_(pc.less(readings, field.minimum), pc.greater(readings, field.maximum))
        counts[field.name] = pc.sum(bad).as_py() or 0
        cleaned = pc.if_else(pc.fill_null(bad, False), pa.scalar(None, pa.float64()), readings)
        weather = weather.set_column(weather.column_names.index(field.name), field.name, cleaned)
    return weather, {name: count for name, count in counts.items() if count}


def join(flights: pa.Table, airports: pa.Table, weather: pa.Table) -> pa.Table:
    """The examples, with the columns and order that `training.source.Flights` describes.

    `flights`, `airports` and `weather` have passed the check of their schemas. Flights without a `dep_time` never
    pushed back and are left out. Raises TableError for an airport in use without a time zone, for a scheduled
    departure that is no date or not the same moment on the clock of origin and in UTC, for a scheduled arrival that is
    no time of day, for a departed flight without its delay, and for weather that is not dated by the full hour.
    """
    refuse("flights", "sched_arr_time", flights["sched_arr_time"], _no_time_of_day(flights), "are no time of day, HHMM")
    sched_dep, sched_dep_utc = _departures(flights, airports)
    departed = pc.is_valid(flights["dep_time"])
    unknown = pc.and_(departed, pc.is_null(flights["dep_delay"]))
    refuse("flights", "dep_delay", flights["dep_delay"], unknown, "departed, by dep_time, but have no delay")

    rows = np.flatnonzero(departed.to_numpy())
    flights, sched_dep, sched_dep_utc = flights.take(pa.array(rows)), sched_dep[rows], sched_dep_utc[rows]
    delay = np.rint(flights["dep_delay"].to_numpy() * MINUTE).astype(np.int64)
    dep_utc = sched_dep_utc + delay
    sched_arr = _arrivals(flights, airports, sched_dep_utc)
    readings = _weather_before(flights["origin"], dep_utc, weather)
    instant = pa.timestamp("s", "UTC")
    examples = {
        **{name: flights[name] for name in ("carrier", "flight", "tailnum", "origin", "dest")},
        "sched_dep": pa.array(sched_dep, pa.timestamp("s")),
        "sched_arr": pa.array(sched_arr, pa.timestamp("s")),
        "dep_delay": flights["dep_delay"],
        **{field.name: readings[field.name] for field in WEATHER},
        "sched_dep_utc": pa.array(sched_dep_utc, instant),
        "dep_utc": pa.array(dep_utc, instant),
        "air_time": flights["air_time"],
        "distance": flights["distance"],
        "arrival_delay": flights["arr_delay"],
    }
    order = [(name, "ascending") for name in ("sched_dep_utc", "carrier", "flight", "origin")]
    return pa.table(examples).sort_by(order).combine_chunks()


def _no_time_of_day(flights: pa.Table) -> pa.ChunkedArray:
    """Whether `sched_arr_time`, of which the range is checked, has a minute past 59."""
    time = flights["sched_arr_time"]
    return pc.greater(pc.subtract(time, pc.multiply(pc.divide(time, 100), 100)), 59)


def _departures(flights: pa.Table, airports: pa.Table) -> tuple[Ints, Ints]:
    """The scheduled departures, in seconds since 1970 on the clock of origin and in UTC, each of shape [n]."""
    year, month, day, hour, minute = (flights[name].to_numpy() for name in ("year", "month", "day", "hour", "minute"))
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    no_day = pa.array(days.astype("datetime64[M]") != months)
    refuse("flights", "day", flights["day"], no_day, "are no day of their month")
    local = days.astype(np.int64) * DAY + hour * HOUR + minute * MINUTE
    utc = _seconds(flights["time_hour"]) + minute * MINUTE
    zones, codes = _zones("origin", flights, airports)
    differs = local - utc != utc_offsets(zones, codes, local)
    for row in np.flatnonzero(differs).tolist():  # right all the same in an hour that the clock shows twice
        differs[row] = _clock(zones[codes[row]], int(utc[row])) != local[row]
    refuse("flights", "time_hour", flights["time_hour"], pa.array(differs), "are not the hour on the clock of origin")
    return local, utc


def _clock(zone: str, utc: int) -> int:
    """What the clock of `zone` shows at `utc`; both in seconds since 1970."""
    return int(datetime.fromtimestamp(utc, ZoneInfo(zone)).replace(tzinfo=UTC).timestamp())


def _arrivals(flights: pa.Table, airports: pa.Table, sched_dep_utc: Ints) -> Ints:
    """The scheduled arrivals, in seconds since 1970 on the clock of dest, of shape [n].

    The source has the time of day alone. The date is the first that puts the arrival after the departure, so the
    scheduled block is positive and at most a day; 2400 is the end of a day and so the start of the next.
    """
    time = flights["sched_arr_time"].to_numpy()
    time_of_day = time // 100 * HOUR + time % 100 * MINUTE
    zones, codes = _zones("dest", flights, airports)
    local: Ints = sched_dep_utc // DAY * DAY + time_of_day
    # The clock of dest is within a day of UTC, so that date is within two days of the departure's in UTC.
    result = local + 2 * DAY
    for days in (1, 0, -1, -2):
        earlier = local + days * DAY
        after = earlier - utc_offsets(zones, codes, earlier) > sched_dep_utc
        result = np.where(after, earlier, result)
    return result


def _zones(column: str, flights: pa.Table, airports: pa.Table) -> tuple[list[str], Ints]:
    """The time zones of the airports in `column`, and of each row which of them; the latter of shape [n]."""
    codes = flights[column]
    zone = airports["tzone"].take(pc.index_in(codes, value_set=airports["faa"]))
    refuse("flights", column, codes, pc.is_null(zone), "name an airport for which airports.tzone has no time zone")
    encoded = zone.combine_chunks().dictionary_encode()
    zones = encoded.dictionary.to_pylist()
    for name in zones:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise TableError(
                f"airports.tzone: {name!r} is no IANA time zone, and {column} of flights uses it"
            ) from error
    return zones, encoded.indices.to_numpy().astype(np.int64)


def _weather_before(origin: pa.ChunkedArray, dep_utc: Ints, weather: pa.Table) -> pa.Table:
    """Of each departure the weather at `origin` in the last full UTC hour before it; null where there is none."""
    hours = _seconds(weather["time_hour"])
    refuse("weather", "time_hour", weather["time_hour"], pa.array(hours % HOUR != 0), "are not a full hour")
    stations = weather["origin"].unique()
    station = pc.index_in(weather["origin"], value_set=stations).to_numpy().astype(np.int64)
    wanted_station = pc.fill_null(pc.index_in(origin, value_set=stations), len(stations)).to_numpy().astype(np.int64)
    wanted_hour = dep_utc // HOUR - 1

    span = 1 << 32
    keys = station * span + hours // HOUR
    wanted = wanted_station * span + wanted_hour
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    rows = order[place]
    return weather.take(pa.array(rows, mask=keys[rows] != wanted))


def _seconds(column: pa.ChunkedArray) -> Ints:
    """The instants of `column` in whole seconds since 1970, rounded down."""
    microseconds: Ints = column.cast(pa.int64()).to_numpy()
    return microseconds // 1_000_000
