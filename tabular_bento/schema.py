"""The vocabulary in which tables, requests and log rows are declared: `Kind` and `Field`."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np


class Kind(StrEnum):
    """What a field holds, and how a value of it is held.

    | kind | in Python and NumPy | in JSON | in Arrow |
    |---|---|---|---|
    | TEXT | str; missing is None | string | string |
    | INTEGER | int, int64 | integer | int64 |
    | NUMBER | float, float64 | number | float64 |
    | BOOLEAN | 0 or 1, int64 | true, false | bool |
    | DATE | int64, days since 1970 | `2013-09-02` | date32 |
    | LOCAL_TIME | int64, seconds since 1970 on the clock of the place | ISO 8601 without offset | timestamp[s] |
    | INSTANT | int64, microseconds since 1970 in UTC | ISO 8601 with offset | timestamp[us, UTC] |

    An optional field of any kind but TEXT is held as float64, where NaN is missing. JSON and Arrow have null.
    """

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    LOCAL_TIME = "local_time"
    INSTANT = "instant"

    @property
    def is_time(self) -> bool:
        """Whether a value is a moment or a day."""
        return self in (Kind.DATE, Kind.LOCAL_TIME, Kind.INSTANT)

    @property
    def is_numeric(self) -> bool:
        """Whether a value is an integer or a number."""
        return self in (Kind.INTEGER, Kind.NUMBER)

    @property
    def per_day(self) -> int:
        """Units of a time value in one day.

        Raises
        ------
        ValueError
            For a kind that is no time.
        """
        days = {Kind.DATE: 1, Kind.LOCAL_TIME: 86_400, Kind.INSTANT: 86_400_000_000}
        if self not in days:
            raise ValueError(f"{self.value} is no kind of time")
        return days[self]


LARGEST_INTEGER = 2**53
"""Integers of a larger size have no exact float64, in which an optional integer is held."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table, a request or a log.

    Parameters
    ----------
    name : str
        A Python identifier.
    kind : Kind
        What it holds.
    description : str
        One line for readers of schemas and reports.
    unit : str, optional
        Unit of the values, in words: `minutes`.
    minimum, maximum : float, optional
        Inclusive bounds of an INTEGER or NUMBER.
    min_length, max_length : int, optional
        Inclusive bounds of the number of characters of a TEXT.
    optional : bool
        Whether the value may be null or left out.
    """

    name: str
    kind: Kind
    description: str = ""
    _: KW_ONLY
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    optional: bool = False

    @property
    def dtype(self) -> Any:
        """The NumPy type of a column of it."""
        if self.kind is Kind.TEXT:
            return np.dtype(object)
        return np.dtype(np.float64 if self.optional or self.kind is Kind.NUMBER else np.int64)

    @property
    def missing(self) -> Any:
        """The value that stands for a missing one."""
        return None if self.kind is Kind.TEXT else float("nan")

    def faults(self) -> list[str]:
        """What is wrong with the declaration, as messages that begin with its name; empty where it is sound."""
        found = []
        if not self.name.isidentifier():
            found.append("the name is no identifier")
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and not self.kind.is_numeric:
            found.append(f"`minimum` and `maximum` bound numbers, and the kind is {self.kind.value}")
        measured = self.min_length is not None or self.max_length is not None
        if measured and self.kind is not Kind.TEXT:
            found.append(f"`min_length` and `max_length` bound texts, and the kind is {self.kind.value}")
        for low, high in ((self.minimum, self.maximum), (self.min_length, self.max_length)):
            if low is not None and high is not None and low > high:
                found.append(f"the lower bound {low:g} is above the upper bound {high:g}")
        return [f"field {self.name!r}: {fault}" for fault in found]

    def to_dict(self) -> dict[str, Any]:
        """The field as plain JSON values, without what is not set."""
        values = {key: value for key, value in asdict(self).items() if value is not None and value is not False}
        return {**values, "kind": self.kind.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Field:
        """The inverse of `to_dict`."""
        return cls(**{**values, "kind": Kind(values["kind"])})
