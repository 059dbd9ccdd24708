"""What a skew check found: the schema of `skew.json`. Strict JSON; a missing feature is null."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1

Verdict = Literal["no_skew", "skew", "nothing_to_check"]

EXIT_CODES: dict[Verdict, int] = {"no_skew": 0, "skew": 1, "nothing_to_check": 2}
"""What the command ends with; 3 is a check that failed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Example(_Part):
    """One value that was logged as another than it is."""

    prediction_id: str | None
    time: datetime | None
    column: Annotated[str, Field(description="A feature, or a column of the outputs")]
    logged: float | str | None
    recomputed: float | str | None
    ulps: Annotated[int | None, Field(description="Float32 between the two, of a feature; null where one is missing")]


class ColumnSkew(_Part):
    """A column of which some values disagree."""

    name: str
    role: Literal["feature", "prediction"]
    rows: Annotated[int, Field(description="Rows of which its value differs in any bit")]
    share: float
    largest: Annotated[float | None, Field(description="Largest difference; null where one of both is always missing")]
    missing_logged: Annotated[int, Field(description="Of those rows, logged as missing")]
    missing_recomputed: Annotated[int, Field(description="Of those rows, missing when recomputed")]


class SkewResult(_Part):
    """All of `skew.json`. Columns are in order of how many rows they differ in."""

    format: int = FORMAT
    verdict: Verdict
    exit_code: int
    made_at: datetime
    model: str | None
    fingerprint: str | None
    start: datetime
    end: datetime
    on: str
    log: str
    checked: Annotated[int, Field(description="Rows of the model in the window, recomputed")]
    differing: Annotated[int, Field(description="Rows of which any feature or output differs in any bit")]
    other_models: Annotated[dict[str, int], Field(description="Rows of the window by the other models that they name")]
    not_finite: Annotated[
        int, Field(description="Rows with an infinite feature, which the log writes as missing: not held against it")
    ]
    unusable: Annotated[int, Field(description="Rows without a value that every request has")]
    bad: Annotated[int, Field(description="Lines that could not be read, truncated ones among them")]
    columns: list[ColumnSkew]
    examples: Annotated[list[Example], Field(description="The first differing values, row by row")]
    reasons: list[str]

    def to_json(self) -> str:
        """Strict JSON, indented."""
        return self.model_dump_json(indent=1) + "\n"
