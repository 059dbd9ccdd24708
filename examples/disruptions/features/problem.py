"""The problem: will a flight be disrupted, that is cancelled, diverted, or an hour late or more?"""

from features.functions import FEATURES
from tabular_bento import Binary, Field, Kind, Problem
from tabular_bento.features import FeatureSet

NUMBERS = (
    Field("distance", Kind.NUMBER, "Distance", unit="miles", minimum=0, maximum=12_500),
    Field("temp", Kind.NUMBER, "Temperature at origin", unit="degrees F", minimum=-80, maximum=140, optional=True),
    Field("humid", Kind.NUMBER, "Relative humidity at origin", unit="%", minimum=0, maximum=100, optional=True),
    Field("wind_dir", Kind.NUMBER, "Wind direction at origin", unit="degrees", minimum=0, maximum=360, optional=True),
    Field("wind_speed", Kind.NUMBER, "Wind speed at origin", unit="mph", minimum=0, maximum=250, optional=True),
    Field("precip", Kind.NUMBER, "Precipitation in the hour", unit="inches", minimum=0, maximum=20, optional=True),
    Field("pressure", Kind.NUMBER, "Sea level pressure", unit="millibars", minimum=850, maximum=1100, optional=True),
    Field("visib", Kind.NUMBER, "Visibility at origin", unit="miles", minimum=0, maximum=100, optional=True),
)

PROBLEM = Problem(
    name="disruptions",
    rows="flights",
    fields=(
        Field("carrier", Kind.TEXT, "Airline, IATA code", min_length=2, max_length=2),
        Field("origin", Kind.TEXT, "Airport of departure, IATA code", min_length=3, max_length=3),
        Field("dest", Kind.TEXT, "Airport of arrival, IATA code", min_length=3, max_length=3),
        Field("sched_dep", Kind.LOCAL_TIME, "Scheduled departure, on the clock of origin"),
        *NUMBERS,
    ),
    task=Binary(
        Field("disrupted", Kind.BOOLEAN, "Cancelled, diverted, or at least an hour late at arrival"),
        classes=(False, True),
    ),
    features=FEATURES + FeatureSet.of_fields(NUMBERS),
    baseline="share_carrier_hour",
    event_time="sched_dep",
    segments=("carrier", "origin"),
    example={
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "sched_dep": "2013-09-02T17:15:00",
        "distance": 1400.0,
        "temp": 71.6,
        "humid": 61.0,
        "wind_dir": 210.0,
        "wind_speed": 8.1,
        "precip": 0.0,
        "pressure": 1012.0,
        "visib": 10.0,
    },
)
