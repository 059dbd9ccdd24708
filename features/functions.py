"""The features, one function each, in the order of the matrix's columns.

A function takes `Values` and returns a number for a row or an array of shape [n] for a batch: it may use arithmetic
and table look-ups, and nothing that differs between the two (no `if` on a value, no `math`, no reductions). A missing
or unknown value gives NaN or the unknown code, never an exception. Look-up tables are learnt in `features/history.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from features.values import Values
from tabular_bento.features.clock import DAY

YEAR = 31_556_952
"""Seconds in a mean Gregorian year."""

HOURS = 24
DAYS = 7


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of the feature matrix."""

    name: str
    unit: str
    description: str
    compute: Callable[[Values], Any]


FEATURES: list[Feature] = []


def feature(unit: str) -> Callable[[Callable[[Values], Any]], Callable[[Values], Any]]:
    """Register a function under its own name; the first line of its docstring describes it everywhere."""

    def register(compute: Callable[[Values], Any]) -> Callable[[Values], Any]:
        description = (compute.__doc__ or "").strip().splitlines()[0]
        FEATURES.append(Feature(compute.__name__, unit, description, compute))
        return compute

    return register


@feature("code")
def carrier(row: Values) -> Any:
    """Airline, as its code in the training vocabulary."""
    return row.carrier_code


@feature("code")
def origin(row: Values) -> Any:
    """Airport of departure, as its code in the training vocabulary."""
    return row.origin_code


@feature("day")
def day_of_week(row: Values) -> Any:
    """Day of week of the scheduled departure, Monday is 0."""
    return row.day_of_week


@feature("minutes")
def dep_minute(row: Values) -> Any:
    """Minute of the day of the scheduled departure, on the clock of origin."""
    return row.sched_dep % DAY / 60


@feature("minutes")
def arr_minute(row: Values) -> Any:
    """Minute of the day of the scheduled arrival, on the clock of dest."""
    return row.sched_arr % DAY / 60


@feature("minutes")
def actual_dep_minute(row: Values) -> Any:
    """Minute of the day of the actual departure, on the clock of origin."""
    return (row.sched_dep % DAY / 60 + row.dep_delay) % 1440


@feature("minutes")
def dep_delay(row: Values) -> Any:
    """Delay at push-back."""
    return row.dep_delay


@feature("degrees F")
def temp(row: Values) -> Any:
    """Temperature at origin."""
    return row.temp


@feature("degrees")
def wind_dir(row: Values) -> Any:
    """Wind direction at origin."""
    return row.wind_dir


@feature("mph")
def wind_speed(row: Values) -> Any:
    """Wind speed at origin."""
    return row.wind_speed


@feature("inches")
def precip(row: Values) -> Any:
    """Precipitation at origin in the hour."""
    return row.precip


@feature("miles")
def visib(row: Values) -> Any:
    """Visibility at origin."""
    return row.visib


@feature("millibars")
def pressure(row: Values) -> Any:
    """Sea level pressure at origin."""
    return row.pressure


@feature("minutes")
def block(row: Values) -> Any:
    """Scheduled time from gate to gate, time zones taken into account."""
    return row.block


@feature("minutes")
def pad(row: Values) -> Any:
    """Scheduled block less the carrier's usual block on the route: what the schedule leaves to catch up."""
    return row.block - row.tables["block_by_carrier_route"][row.carrier_route]


@feature("miles")
def distance(row: Values) -> Any:
    """Great-circle distance of the route."""
    return row.tables["distance"][row.origin_code * row.airport_count + row.airport_code]


@feature("minutes")
def route_air_time(row: Values) -> Any:
    """Mean time in the air on the route."""
    return row.tables["air_time_by_route"][row.route]


@feature("flights per day")
def congestion(row: Values) -> Any:
    """Mean number of departures from origin in this hour of this day of the week."""
    return row.tables["departures_by_hour"][(row.origin_code * DAYS + row.day_of_week) * HOURS + row.hour]


@feature("minutes")
def taxi(row: Values) -> Any:
    """Mean time on the ground, taxiing out and in, of departures from origin in this hour."""
    return row.tables["taxi_by_origin_hour"][row.origin_code * HOURS + row.hour]


@feature("minutes")
def gain_carrier_route(row: Values) -> Any:
    """Shrunken mean gain of the carrier on the route."""
    return row.tables["gain_by_carrier_route"][row.carrier_route]


@feature("minutes")
def gain_carrier_hour(row: Values) -> Any:
    """Shrunken mean gain of the carrier's departures in this hour."""
    return row.tables["gain_by_carrier_hour"][row.carrier_code * HOURS + row.hour]


@feature("minutes")
def gain_dest(row: Values) -> Any:
    """Shrunken mean gain of flights to dest."""
    return row.tables["gain_by_dest"][row.dest_code]


@feature("years")
def plane_age(row: Values) -> Any:
    """Age of the plane at departure."""
    return 1970 + row.sched_dep / YEAR - row.tables["plane_year"][row.plane_code]


@feature("seats")
def plane_seats(row: Values) -> Any:
    """Seats of the plane."""
    return row.tables["plane_seats"][row.plane_code]


FEATURE_NAMES: tuple[str, ...] = tuple(item.name for item in FEATURES)
