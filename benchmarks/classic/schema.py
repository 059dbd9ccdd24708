"""What the classic scaffold takes and returns."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class Flight(BaseModel):
    """One row of a request."""

    carrier: str = Field(min_length=2, max_length=2)
    flight: int | None = Field(None, ge=0, le=99_999)
    tailnum: str | None = Field(None, min_length=1, max_length=10)
    origin: str = Field(min_length=3, max_length=3)
    dest: str = Field(min_length=3, max_length=3)
    sched_dep: datetime
    sched_arr: datetime
    dep_delay: float = Field(ge=-120, le=2880)
    temp: float | None = Field(None, ge=-80, le=140)
    wind_dir: float | None = Field(None, ge=0, le=360)
    wind_speed: float | None = Field(None, ge=0, le=250)
    precip: float | None = Field(None, ge=0, le=20)
    visib: float | None = Field(None, ge=0, le=100)
    pressure: float | None = Field(None, ge=850, le=1100)
    id: str | None = Field(None, min_length=1, max_length=64)


class PredictRequest(BaseModel):
    """The body of POST /predict."""

    flights: list[Flight]


class Prediction(BaseModel):
    """One prediction; `arrival_delay` is in minutes."""

    prediction_id: str
    id: str | None
    arrival_delay: float
    model: str
