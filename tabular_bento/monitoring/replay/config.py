"""What a replay is asked to do."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator

from tabular_bento.client import Protocol, grpc_address
from tabular_bento.data.splits import month_range


class ReplayConfig(BaseModel):
    """What to replay, where to, and how fast. ValueError for what makes no sense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    months: str | None = Field(
        None,
        description="First and last month of the event time, as 2013-07:2013-09, or one month; by default the test "
        "part.",
    )
    limit: int | None = Field(None, ge=1, description="The first rows only.")
    sample: int | None = Field(None, ge=1, description="Rows drawn evenly over all, in their order.")
    seed: int = Field(20130101, ge=0, description="Of the sample.")
    part: str = Field(
        "1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="K/N: of those rows every N-th, from the K-th on."
    )
    rate: float | None = Field(None, gt=0, description="Rows a second at most; without it, as fast as responses come.")
    concurrency: int = Field(8, ge=1, description="Requests at a time.")
    rows_per_request: int = Field(50, ge=1, description="Rows in one request.")
    protocol: Protocol = Field("json", description="POST /predict, or the Open Inference Protocol over REST or gRPC.")
    url: str = Field("http://127.0.0.1:3000", description="Of the server.")
    grpc: str | None = Field(
        None,
        pattern=r"^\S+:\d+$",
        description="HOST:PORT of its gRPC; without it, url's host and TABULAR_BENTO_GRPC_PORT.",
    )
    feedback: bool = Field(True, description="Whether to send the labels.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one response.")

    @field_validator("months")
    @classmethod
    def _check_months(cls, months: str | None) -> str | None:
        if months is not None:
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
        """Which of the chosen rows are sent."""
        first, _, of = self.part.partition("/")
        return slice(int(first) - 1, None, int(of))

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of the server's gRPC."""
        return self.grpc or grpc_address(self.url)

    @property
    def days(self) -> tuple[date, date] | None:
        """The first day, and the first after the last; None where no months are named."""
        return None if self.months is None else _days(self.months)


def _days(months: str) -> tuple[date, date]:
    first, _, last = months.partition(":")
    return month_range(first, last or first)
