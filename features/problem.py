"""The problem: how late a flight arrives that has just pushed back."""

from __future__ import annotations

from features.functions import FEATURES
from tabular_bento import Field, Kind, Problem, Regression

PROBLEM = Problem(
    name="flights",
    rows="flights",
    fields=(
        Field("carrier", Kind.TEXT, "Airline, IATA code", min_length=2, max_length=2),
        Field("flight", Kind.INTEGER, "Flight number, never a feature", minimum=0, maximum=99_999, optional=True),
        Field("tailnum", Kind.TEXT, "Tail number of the plane", min_length=1, max_length=10, optional=True),
        Field("origin", Kind.TEXT, "Airport of departure, IATA code", min_length=3, max_length=3),
        Field("dest", Kind.TEXT, "Airport of arrival, IATA code", min_length=3, max_length=3),
        Field("sched_dep", Kind.LOCAL_TIME, "Scheduled departure, on the clock of origin"),
        Field("sched_arr", Kind.LOCAL_TIME, "Scheduled arrival, on the clock of dest"),
        Field(
            "dep_delay",
            Kind.NUMBER,
            "Delay at push-back; negative is early",
            unit="minutes",
            minimum=-120,
            maximum=2880,
        ),
        Field("temp", Kind.NUMBER, "Temperature at origin", unit="degrees F", minimum=-80, maximum=140, optional=True),
        Field(
            "wind_dir", Kind.NUMBER, "Wind direction at origin", unit="degrees", minimum=0, maximum=360, optional=True
        ),
        Field("wind_speed", Kind.NUMBER, "Wind speed at origin", unit="mph", minimum=0, maximum=250, optional=True),
        Field(
            "precip",
            Kind.NUMBER,
            "Precipitation at origin in the hour",
            unit="inches",
            minimum=0,
            maximum=20,
            optional=True,
        ),
        Field("visib", Kind.NUMBER, "Visibility at origin", unit="miles", minimum=0, maximum=100, optional=True),
        Field(
            "pressure",
            Kind.NUMBER,
            "Sea level pressure at origin",
            unit="millibars",
            minimum=850,
            maximum=1100,
            optional=True,
        ),
        Field(
            "id",
            Kind.TEXT,
            "The caller's own id, returned with the prediction",
            min_length=1,
            max_length=64,
            optional=True,
        ),
    ),
    task=Regression(
        Field(
            "arrival_delay",
            Kind.NUMBER,
            "Delay at arrival; negative is early",
            unit="minutes",
            minimum=-240,
            maximum=2880,
        ),
        offset="dep_delay",
    ),
    features=FEATURES,
    baseline="gain_carrier_route",
    identifier="id",
    event_time="sched_dep",
    segments=("carrier", "origin"),
    example={
        "carrier": "UA",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "sched_dep": "2013-09-02T05:15:00",
        "sched_arr": "2013-09-02T08:19:00",
        "dep_delay": 12.0,
        "temp": 71.6,
        "wind_dir": 210.0,
        "wind_speed": 8.1,
        "precip": 0.0,
        "visib": 10.0,
        "pressure": 1012.0,
        "id": "my-flight-1",
    },
)
