"""What a replay is asked to do."""

from __future__ import annotations

from datetime import date
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator

from tabular_bento.serving.settings import settings
from training.source import DEFAULT_URI, month_range

DoorName = Literal["http", "rest", "grpc"]


class ReplayConfig(BaseModel):
    """What to replay, where to, and how fast. ValueError for what makes no sense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    months: str = Field(description="First and last month, as 2013-07:2013-09, or one month.")
    limit: int | None = Field(None, ge=1, description="The first flights of the months only.")
    sample: int | None = Field(None, ge=1, description="Flights drawn evenly over the months, in order of time.")
    seed: int = Field(20130101, ge=0, description="Of the sample.")
    part: str = Field(
        "1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="K/N: of those flights every N-th, from the K-th on."
    )
    rate: float | None = Field(None, gt=0, description="Flights a second at most; without it, as fast as answers come.")
    concurrency: int = Field(8, ge=1, description="Requests at a time.")
    rows_per_request: int = Field(50, ge=1, description="Flights in one request.")
    door: DoorName = Field("http", description="Way in: POST /predict, or the Open Inference Protocol, REST or gRPC.")
    url: str = Field("http://127.0.0.1:3000", description="Of the server.")
    grpc: str | None = Field(
        None, pattern=r"^\S+:\d+$", description="HOST:PORT of the gRPC door; without it, url's host and GRPC_PORT."
    )
    source: str = Field(DEFAULT_URI, description="Where the flights are.")
    feedback: bool = Field(True, description="Whether to post the outcomes.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one answer.")

    @field_validator("months")
    @classmethod
    def _check_months(cls, months: str) -> str:
        _days(months)
        return months

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        TypeAdapter(HttpUrl).validate_python(url)
        return url

    @field_validator("part")
    @classmethod
    def _check_part(cls, part: str) -> str:
        first, _, of = part.partition("/")
        if int(first) > int(of):
            raise ValueError(f"there is no part {first} of {of}")
        return part

    @property
    def turns(self) -> slice:
        """Which of the chosen flights are sent."""
        first, _, of = self.part.partition("/")
        return slice(int(first) - 1, None, int(of))

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of the gRPC door."""
        return self.grpc or grpc_address(self.url)

    @property
    def days(self) -> tuple[date, date]:
        """The first day, and the first after the last."""
        return _days(self.months)


def grpc_address(url: str) -> str:
    """HOST:PORT of the gRPC door of the server at `url`, where none is named: its host, and GRPC_PORT."""
    host = urlsplit(url).hostname or "127.0.0.1"
    return f"{f'[{host}]' if ':' in host else host}:{settings.grpc_port}"


def _days(months: str) -> tuple[date, date]:
    first, _, last = months.partition(":")
    return month_range(first, last or first)
