"""Values as rows hold them, to JSON and back, by the kind of their field; `Kind` says how a value is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.columns import plain
from tabular_bento.schema import Kind

NAN = float("nan")
FEW_ROWS = 12
"""Up to this many rows are handled in plain Python, which is faster than NumPy's fixed cost per operation."""

Values: TypeAlias = Sequence[Any] | NDArray[Any]

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _END = datetime(1900, 1, 1), datetime(2200, 1, 1)


def _local_number(time: datetime) -> int:
    return (time - _EPOCH) // _SECOND


def _instant_number(time: datetime) -> int:
    return (time - _EPOCH_UTC) // _MICROSECOND


def _day_number(day: date) -> int:
    return (day - _EPOCH_DAY).days


@dataclass(frozen=True)
class TimeForm:
    """How the times of one kind are held as integers and written as text.

    Parameters
    ----------
    unit : str
        NumPy's name of the unit that is counted since 1970.
    pattern : bytes
        The plain spelling; every 0 stands for a digit.
    earliest, latest : int
        Inclusive bounds: from the year 1900 to 2199.
    number : callable
        The integer of a `date` or `datetime`.
    few : callable
        The inverse of `number` for a short sequence, None for NaN.
    """

    unit: str
    pattern: bytes
    earliest: int
    latest: int
    number: Callable[[Any], int]
    few: Callable[[Sequence[Any]], list[Any]]

    def moments(self, numbers: Values) -> Sequence[Any]:
        """Times as `date` or `datetime`; those of instants are in UTC. None stands for NaN."""
        if len(numbers) <= FEW_ROWS:
            return self.few(plain(numbers))
        array = np.asarray(numbers)
        missing = None
        if array.dtype.kind == "f":
            missing = np.isnan(array)
            array = np.where(missing, 0, array).astype(np.int64)
            missing = missing if missing.any() else None
        times: list[Any] = array.astype(f"datetime64[{self.unit}]").tolist()
        if self.unit == "us":
            times = [time.replace(tzinfo=UTC) for time in times]
        return times if missing is None else [None if gone else t for t, gone in zip(times, missing, strict=True)]

    def texts(self, numbers: Values) -> Sequence[str | None]:
        """Times in ISO 8601, None for NaN."""
        return [None if time is None else iso(time) for time in self.moments(numbers)]

    def parse(self, text: str) -> int:
        """The integer of a time in ISO 8601.

        Raises
        ------
        ValueError
            For a text that is no such time.
        """
        return self.number(date.fromisoformat(text) if self.unit == "D" else datetime.fromisoformat(text))

    def plain(self, texts: Any) -> NDArray[np.int64] | None:
        """The integers of texts that all have the plain spelling; None where one has not."""
        size = len(self.pattern)
        try:
            content = "".join(texts).encode("ascii")
            if set(map(len, texts)) != {size}:
                return None
        except (TypeError, ValueError):
            return None
        return self.plain_characters(np.frombuffer(content, np.uint8).reshape(-1, size))

    def plain_characters(self, characters: NDArray[np.uint8]) -> NDArray[np.int64] | None:
        """The integers of n times by their characters, shape [n, length], where all have the plain spelling."""
        pattern, above = _SPELLINGS[self.pattern]
        if characters.shape[1] != len(pattern) or (characters - pattern > above).any():
            return None
        if self.unit == "us":
            characters = characters[:, :-1]  # the Z
        texts = np.ascontiguousarray(characters).view(f"S{characters.shape[1]}").ravel()
        try:
            return texts.astype(f"datetime64[{self.unit}]").astype(np.int64)
        except ValueError:
            return None  # no such day or hour

    def holds(self, numbers: NDArray[Any], optional: bool) -> bool:
        """Whether all are within the bounds, or missing where they may be."""
        inside = (numbers >= self.earliest) & (numbers <= self.latest)
        return bool(inside.all()) or (optional and bool((inside | np.isnan(numbers)).all()))


TIMES: dict[Kind, TimeForm] = {
    Kind.DATE: TimeForm(
        "D",
        b"0000-00-00",
        _day_number(_FIRST.date()),
        _day_number(_END.date()) - 1,
        _day_number,
        lambda numbers: [_EPOCH_DAY + timedelta(number) if number == number else None for number in numbers],
    ),
    Kind.LOCAL_TIME: TimeForm(
        "s",
        b"0000-00-00T00:00:00",
        _local_number(_FIRST),
        _local_number(_END) - 1,
        _local_number,
        lambda numbers: [_EPOCH + timedelta(0, number) if number == number else None for number in numbers],
    ),
    Kind.INSTANT: TimeForm(
        "us",
        b"0000-00-00T00:00:00Z",
        _instant_number(_FIRST.replace(tzinfo=UTC)),
        _instant_number(_END.replace(tzinfo=UTC)) - 1,
        _instant_number,
        lambda numbers: [_EPOCH_UTC + timedelta(0, 0, number) if number == number else None for number in numbers],
    ),
}
"""The kinds of time."""


def _spelling(pattern: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A plain spelling's lowest characters, and how far above them each may be.

    What is below them wraps around and is far above.
    """
    lowest = np.frombuffer(pattern, np.uint8)
    return lowest, np.where(lowest == ord("0"), np.uint8(9), np.uint8(0))


_SPELLINGS = {form.pattern: _spelling(form.pattern) for form in TIMES.values()}


def iso(time: date | datetime) -> str:
    """A time in ISO 8601, `Z` for UTC."""
    return time.isoformat().replace("+00:00", "Z")


def writer(kind: Kind) -> Callable[[Values], Sequence[Any]]:
    """What makes a column of held values one that JSON encoders write: missing as None or NaN, times as objects."""
    if kind in TIMES:
        return TIMES[kind].moments
    return {Kind.INTEGER: _integers, Kind.BOOLEAN: _booleans}.get(kind, plain)


def json_values(kind: Kind, values: Values) -> Sequence[Any]:
    """Values as they are held, as JSON values: missing as None, times as text."""
    if kind is Kind.TEXT:
        return plain(values)
    if kind is Kind.NUMBER:
        return [value if value == value else None for value in plain(values)]
    return TIMES[kind].texts(values) if kind.is_time else writer(kind)(values)


def held(kind: Kind, value: Any) -> Any:
    """A JSON value as a row holds it, the inverse of `json_values`.

    Raises
    ------
    ValueError
        For a text that is no time of that kind.
    """
    if kind is Kind.TEXT:
        return value
    if value is None:
        return NAN
    if kind is Kind.NUMBER:
        return float(value)
    return TIMES[kind].parse(value) if kind.is_time else int(value)


def _integers(values: Values) -> Sequence[Any]:
    if not isinstance(values, np.ndarray):
        return [int(value) if value == value else None for value in values]
    if values.dtype.kind != "f":
        return plain(values)
    missing = np.isnan(values)
    if not missing.any():
        return plain(values.astype(np.int64))
    numbers = np.where(missing, 0, values).astype(np.int64).astype(object)
    numbers[missing] = None
    return plain(numbers)


def _booleans(values: Values) -> list[Any]:
    return [bool(value) if value == value else None for value in plain(values)]
