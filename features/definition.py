"""The one declaration of the problem: what a request holds, what is predicted, and what an outcome may be.

The HTTP schema, the tensors' metadata, the columns of the traffic log and of the reports, and the training columns
all derive from this file. The features themselves are in `features/functions.py`.
"""

from __future__ import annotations

from typing import Any

from tabular_bento.schema import Field, Kind

NAME = "flights"
"""The model's name in the store, and its name for every client."""

ROW = "flight"
"""What one row is called; a request holds a list of them under the plural."""

FIELDS: tuple[Field, ...] = (
    Field("carrier", Kind.TEXT, "Airline, IATA code", minimum=2, maximum=2),
    Field("flight", Kind.INTEGER, "Flight number, an id and never a feature", minimum=0, maximum=99_999, optional=True),
    Field("tailnum", Kind.TEXT, "Tail number of the plane", minimum=1, maximum=10, optional=True),
    Field("origin", Kind.TEXT, "Airport of departure, IATA code", minimum=3, maximum=3),
    Field("dest", Kind.TEXT, "Airport of arrival, IATA code", minimum=3, maximum=3),
    Field("sched_dep", Kind.LOCAL_TIME, "Scheduled departure, on the clock of origin"),
    Field("sched_arr", Kind.LOCAL_TIME, "Scheduled arrival, on the clock of dest"),
    Field("dep_delay", Kind.NUMBER, "Delay at push-back; negative is early", "minutes", -120, 2880),
    Field("temp", Kind.NUMBER, "Temperature at origin", "degrees F", -80, 140, optional=True),
    Field("wind_dir", Kind.NUMBER, "Wind direction at origin", "degrees", 0, 360, optional=True),
    Field("wind_speed", Kind.NUMBER, "Wind speed at origin", "mph", 0, 250, optional=True),
    Field("precip", Kind.NUMBER, "Precipitation at origin in the hour", "inches", 0, 20, optional=True),
    Field("visib", Kind.NUMBER, "Visibility at origin", "miles", 0, 100, optional=True),
    Field("pressure", Kind.NUMBER, "Sea level pressure at origin", "millibars", 850, 1100, optional=True),
    Field("id", Kind.TEXT, "The caller's own id, echoed in the answer", minimum=1, maximum=64, optional=True),
)

TARGET = Field("arrival_delay", Kind.NUMBER, "Delay at arrival; negative is early", "minutes", -240, 2880)
"""What is predicted, and what an outcome reports."""

KNOWN_PART = "dep_delay"
"""The model learns the target less this field, the gain on the way, and adds it back."""

HISTORICAL_GAIN = "gain_carrier_route"
"""The feature that is a baseline by itself: what the gain was in the past, for rows like this one."""

EVENT_TIME = "sched_dep"
"""The field that dates a row in the world, as against the time of its prediction."""

SEGMENTS: tuple[str, ...] = ("carrier", "origin")
"""Fields by which results are broken down."""

FIELD_NAMES: tuple[str, ...] = tuple(field.name for field in FIELDS)

EXAMPLE: dict[str, Any] = {
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
}
"""A row that the documentation shows and the tests send."""
