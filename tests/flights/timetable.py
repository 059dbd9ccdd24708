"""Small tables of flights in the form of the source, made from moments and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from tabular_bento.data.tables import check_table
from training.tables import SOURCES

ZONES = {
    "EWR": "America/New_York",
    "JFK": "America/New_York",
    "LAX": "America/Los_Angeles",
    "PHX": "America/Phoenix",
    "HNL": "Pacific/Honolulu",
    "LHR": "Europe/London",
    "KTM": "Asia/Kathmandu",
    "AKL": "Pacific/Auckland",
    "TBU": "Pacific/Tongatapu",
    "PPG": "Pacific/Pago_Pago",
}


def flight(
    origin: str = "JFK",
    dest: str = "LAX",
    departs: datetime = datetime(2013, 5, 1, 14, tzinfo=UTC),
    block: timedelta = timedelta(hours=6),
    **changes: Any,
) -> dict[str, Any]:
    """A row of the source; `departs` is the scheduled moment of departure."""
    local = departs.astimezone(ZoneInfo(ZONES[origin]))
    arrival = (departs + block).astimezone(ZoneInfo(ZONES[dest]))
    return {
        "year": local.year,
        "month": local.month,
        "day": local.day,
        "hour": local.hour,
        "minute": local.minute,
        "time_hour": departs - timedelta(minutes=local.minute),
        "sched_arr_time": arrival.hour * 100 + arrival.minute,
        "dep_time": local.hour * 100 + local.minute,
        "dep_delay": 0.0,
        "arr_delay": 0.0,
        "carrier": "AA",
        "flight": 1,
        "tailnum": "N1",
        "origin": origin,
        "dest": dest,
        "air_time": 300.0,
        "distance": 2475.0,
    } | changes


def tables(*rows: dict[str, Any]) -> dict[str, pa.Table]:
    airports = [{"faa": faa, "name": faa, "lat": 0.0, "lon": 0.0, "tzone": zone} for faa, zone in ZONES.items()]
    hours = [datetime(2013, 5, 1, hour, tzinfo=UTC) for hour in range(24)]
    readings = {"wind_dir": 90.0, "wind_speed": 5.0, "precip": 0.0, "visib": 10.0, "pressure": None}
    weather = [{"origin": "JFK", "time_hour": hour, "temp": float(hour.hour)} | readings for hour in hours]
    made = {
        "flights": pa.Table.from_pylist(list(rows or [flight()])),
        "planes": pa.table({"tailnum": ["N1"], "year": [2000], "seats": [100]}),
        "airports": pa.Table.from_pylist(airports),
        "weather": pa.Table.from_pylist(weather),
    }
    return {schema.name: check_table(made[schema.name], schema) for schema in SOURCES}
