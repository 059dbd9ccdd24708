"""The vocabulary every table, request and log line is declared in: `Kind` and `Field`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a field holds, and how it is held.

    | kind | in Python and NumPy | in JSON | in Arrow |
    |---|---|---|---|
    | TEXT | str | string | string |
    | INTEGER | int, int64 | integer | int64 |
    | NUMBER | float, float64, missing is NaN | number, missing is null | float64 |
    | LOCAL_TIME | int64, seconds since 1970 on the clock of the place | ISO 8601 without offset | timestamp[s] |
    | INSTANT | int64, microseconds since 1970 in UTC | ISO 8601 with Z | timestamp[us, UTC] |
    """

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    LOCAL_TIME = "local_time"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table, a request or a log.

    `minimum` and `maximum` are inclusive; for TEXT they bound the number of characters. `optional` fields may be
    null or left out. Fields of one `within` stand beside each other; in a line of a log they are the elements of the
    list of that name, which is less to write than a name each, and whoever reads the log gets columns all the same.
    """

    name: str
    kind: Kind
    description: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    within: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The field as plain JSON values, without what is not set."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Field:
        """The inverse of `to_dict`."""
        return cls(**{**values, "kind": Kind(values["kind"])})
