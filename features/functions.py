"""The features: one function each, in the order of the matrix's columns, over values and look-ups that they share."""

from __future__ import annotations

from typing import Any

from features.distance import Distance
from tabular_bento.features import (
    FeatureSet,
    GroupCount,
    GroupMean,
    LookupTable,
    TimeZones,
    Vocabulary,
    derived,
    feature,
)

DAY = 86_400
YEAR = 31_556_952  # seconds in a mean Gregorian year

carrier_code = Vocabulary("carrier")
origin_code = Vocabulary("origin")
clocks = TimeZones("airports", key="faa", column="tzone")
miles = Distance()
plane_built = LookupTable("planes", key="tailnum", column="year")
seats = LookupTable("planes", key="tailnum", column="seats")


@derived(size=24)
def hour(row: Any) -> Any:
    return row.sched_dep % DAY // 3600


@derived(size=7)
def weekday(row: Any) -> Any:
    return (row.sched_dep // DAY + 3) % 7


@derived(fitting=True)
def day(row: Any) -> Any:
    return row.sched_dep // DAY


@derived
def minutes(row: Any) -> Any:
    departure = row.sched_dep - row.clocks.offset(row.origin, row.sched_dep)
    arrival = row.sched_arr - row.clocks.offset(row.dest, row.sched_arr)
    return (arrival - departure) / 60


@derived(fitting=True)
def ground_time(row: Any) -> Any:
    return row.minutes + row.residual - row.air_time


usual_block = GroupMean(of=minutes, by=("carrier", "origin", "dest"))
usual_air_time = GroupMean(of="air_time", by=("origin", "dest"))
usual_taxi = GroupMean(of=ground_time, by=("origin", hour))
departures = GroupCount(by=("origin", weekday, hour), per=day, every=7)
gain_by_carrier_route = GroupMean(of="residual", by=("carrier", "origin", "dest"), smooth=30)
gain_by_carrier_hour = GroupMean(of="residual", by=("carrier", hour), smooth=30)
gain_by_dest = GroupMean(of="residual", by=("dest",), smooth=30)


@feature(unit="code")
def carrier(row: Any) -> Any:
    """Airline, as its code in the training vocabulary."""
    return row.carrier_code


@feature(unit="code")
def origin(row: Any) -> Any:
    """Airport of departure, as its code in the training vocabulary."""
    return row.origin_code


@feature(unit="day")
def day_of_week(row: Any) -> Any:
    """Day of week of the scheduled departure, Monday is 0."""
    return row.weekday


@feature(unit="minutes")
def dep_minute(row: Any) -> Any:
    """Minute of the day of the scheduled departure, on the clock of origin."""
    return row.sched_dep % DAY / 60


@feature(unit="minutes")
def arr_minute(row: Any) -> Any:
    """Minute of the day of the scheduled arrival, on the clock of dest."""
    return row.sched_arr % DAY / 60


@feature(unit="minutes")
def actual_dep_minute(row: Any) -> Any:
    """Minute of the day of the actual departure, on the clock of origin."""
    return (row.sched_dep % DAY / 60 + row.dep_delay) % 1440


@feature(unit="minutes")
def dep_delay(row: Any) -> Any:
    """Delay at push-back."""
    return row.dep_delay


@feature(unit="degrees F")
def temp(row: Any) -> Any:
    """Temperature at origin."""
    return row.temp


@feature(unit="degrees")
def wind_dir(row: Any) -> Any:
    """Wind direction at origin."""
    return row.wind_dir


@feature(unit="mph")
def wind_speed(row: Any) -> Any:
    """Wind speed at origin."""
    return row.wind_speed


@feature(unit="inches")
def precip(row: Any) -> Any:
    """Precipitation at origin in the hour."""
    return row.precip


@feature(unit="miles")
def visib(row: Any) -> Any:
    """Visibility at origin."""
    return row.visib


@feature(unit="millibars")
def pressure(row: Any) -> Any:
    """Sea level pressure at origin."""
    return row.pressure


@feature(unit="minutes")
def block(row: Any) -> Any:
    """Scheduled time from gate to gate, time zones taken into account."""
    return row.minutes


@feature(unit="minutes")
def pad(row: Any) -> Any:
    """Scheduled block less the carrier's usual block on the route: what the schedule leaves to catch up."""
    return row.minutes - row.usual_block


@feature(unit="miles")
def distance(row: Any) -> Any:
    """Great-circle distance of the route."""
    return row.miles


@feature(unit="minutes")
def route_air_time(row: Any) -> Any:
    """Mean time in the air on the route."""
    return row.usual_air_time


@feature(unit="flights per day")
def congestion(row: Any) -> Any:
    """Mean number of departures from origin in this hour of this day of the week."""
    return row.departures


@feature(unit="minutes")
def taxi(row: Any) -> Any:
    """Mean time on the ground, taxiing out and in, of departures from origin in this hour."""
    return row.usual_taxi


@feature(unit="minutes")
def gain_carrier_route(row: Any) -> Any:
    """Shrunken mean gain of the carrier on the route."""
    return row.gain_by_carrier_route


@feature(unit="minutes")
def gain_carrier_hour(row: Any) -> Any:
    """Shrunken mean gain of the carrier's departures in this hour."""
    return row.gain_by_carrier_hour


@feature(unit="minutes")
def gain_dest(row: Any) -> Any:
    """Shrunken mean gain of flights to dest."""
    return row.gain_by_dest


@feature(unit="years")
def plane_age(row: Any) -> Any:
    """Age of the plane at departure."""
    return 1970 + row.sched_dep / YEAR - row.plane_built


@feature(unit="seats")
def plane_seats(row: Any) -> Any:
    """Seats of the plane."""
    return row.seats


FEATURES = FeatureSet.from_module(__name__)
