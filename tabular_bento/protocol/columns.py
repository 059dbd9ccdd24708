"""Columns of a request, checked a field at a time by the rules of the row model."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, NoReturn

import numpy as np
import orjson
import pydantic
from numpy.typing import NDArray
from pydantic import AwareDatetime, NaiveDatetime, TypeAdapter
from pydantic_core import PydanticCustomError

from tabular_bento.features.columns import RepeatedTexts
from tabular_bento.protocol.values import TIMES, Values, json_values
from tabular_bento.schema import LARGEST_INTEGER, Field, Kind

_LARGEST_INT64 = 2**63 - 1
_TOO_LARGE = 2.0**63
_list: Any = list


def bounds(field: Field) -> tuple[float, float]:
    """The inclusive bounds of a numeric field, those that it is held by where it declares none."""
    low: float
    high: float
    match field.kind:
        case Kind.INTEGER if field.optional:
            low, high = -LARGEST_INTEGER, LARGEST_INTEGER
        case Kind.INTEGER:
            low, high = -_LARGEST_INT64 - 1, _LARGEST_INT64
        case _:
            low, high = -sys.float_info.max, sys.float_info.max
    return (
        low if field.minimum is None else field.minimum,
        high if field.maximum is None else field.maximum,
    )


def annotation(field: Field) -> Any:
    """The type of a field for pydantic: strict, bounded and described."""
    described = f"{field.description}, in {field.unit}" if field.unit else field.description
    description = described.removeprefix(", ") or None
    kind = _annotation(field)
    if field.optional:
        return Annotated[kind | None, pydantic.Field(default=None, description=description)]
    return Annotated[kind, pydantic.Field(description=description)]


def _annotation(field: Field) -> Any:
    match field.kind:
        case Kind.TEXT:
            lengths: dict[str, Any] = {"min_length": field.min_length, "max_length": field.max_length}
            return Annotated[str, pydantic.Field(strict=True, **lengths)]
        case Kind.INTEGER:
            low, high = bounds(field)
            return Annotated[int, pydantic.Field(strict=True, ge=low, le=high)]
        case Kind.NUMBER:
            limits: dict[str, Any] = {"ge": field.minimum, "le": field.maximum}
            return Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False, **limits)]
        case Kind.BOOLEAN:
            return Annotated[bool, pydantic.Field(strict=True)]
        case Kind.DATE:
            return Annotated[date, pydantic.Field(**_limits(Kind.DATE)), pydantic.BeforeValidator(_spelt_out_date)]
        case Kind.LOCAL_TIME:
            return Annotated[NaiveDatetime, pydantic.Field(strict=True, **_limits(Kind.LOCAL_TIME))]
        case Kind.INSTANT:
            return Annotated[
                AwareDatetime, pydantic.Field(**_limits(Kind.INSTANT)), pydantic.BeforeValidator(_spelt_out)
            ]


def _limits(kind: Kind) -> dict[str, Any]:
    form = TIMES[kind]
    return dict(zip(("ge", "lt"), form.few((form.earliest, form.latest + 1)), strict=True))


def _spelt_out_date(value: Any) -> Any:
    """Refuse the numbers and midnights that pydantic takes for dates."""
    if type(value) is not str:
        raise PydanticCustomError("date_type", "Input should be a valid date")
    if len(value) != len("2024-05-17") or value[4] != "-":
        raise PydanticCustomError("date_parsing", "Input should be a valid date in the format YYYY-MM-DD")
    return value


def _spelt_out(value: Any) -> Any:
    """Refuse the numbers that pydantic takes for instants."""
    if type(value) is not str:
        raise PydanticCustomError("datetime_type", "Input should be a valid datetime")
    if value[4:5] != "-":
        raise PydanticCustomError("datetime_parsing", "Input should be a valid datetime, invalid character in year")
    return value


class ColumnCheck:
    """Checks whole columns of one field.

    Parameters
    ----------
    field : Field
        The field.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self._adapter: Any = TypeAdapter(_list[annotation(field)])
        self._low, self._high = bounds(field)
        self._form = TIMES.get(field.kind)

    def __call__(self, values: Values) -> Values:
        """A column in the form of `Field.dtype`.

        Parameters
        ----------
        values : sequence or ndarray of shape [n]
            JSON values, with None or, among numbers, NaN for what is missing; or an array of values as they are held.

        Raises
        ------
        pydantic.ValidationError
            Located by the rows at fault.
        """
        field = self.field
        match field.kind:
            case Kind.NUMBER:
                numbers = np.asarray(values, dtype=np.float64)
                if not self._holds(numbers):
                    self._refuse([None if math.isnan(value) else value for value in numbers.tolist()])
                return numbers
            case Kind.TEXT:
                return self._texts(values)
            case Kind.INTEGER if isinstance(values, np.ndarray) and values.dtype.kind in "if":
                if not self._holds(values) or (values.dtype.kind == "f" and not _whole(values).all()):
                    self._refuse(integers(values.tolist()))
                return values.astype(field.dtype)
            case Kind.BOOLEAN if isinstance(values, np.ndarray) and values.dtype.kind in "ifb":
                if not ((values == 0) | (values == 1) | (field.optional & np.isnan(values))).all():
                    self._refuse(booleans(values.tolist()))
                return values.astype(field.dtype)
            case Kind.INTEGER | Kind.BOOLEAN:
                return np.array(self._adapter.validate_python(values), dtype=field.dtype)
        return self._times(values)

    def json_values(self, values: Values) -> Sequence[Any]:
        """A column as JSON values, which `__call__` takes too."""
        if not isinstance(values, np.ndarray):
            return values.tolist() if isinstance(values, RepeatedTexts) else values
        if self.field.kind in (Kind.TEXT, Kind.NUMBER):
            numbers: list[Any] = values.tolist()
            return numbers
        if self.field.kind is Kind.INTEGER:
            return integers(values.tolist())
        return booleans(values.tolist()) if self.field.kind is Kind.BOOLEAN else json_values(self.field.kind, values)

    def _texts(self, values: Values) -> Values:
        if isinstance(values, RepeatedTexts):
            if not self._adapter.validator.isinstance_python(values.distinct):
                self._refuse(values.tolist())
            return values
        checked: list[Any] = self._adapter.validate_python(
            values.tolist() if isinstance(values, np.ndarray) else values
        )
        return checked

    def _times(self, values: Values) -> Values:
        form, field = self._form, self.field
        assert form is not None
        numbers = values if isinstance(values, np.ndarray) and values.dtype.kind in "if" else form.plain(values)
        if numbers is not None and form.holds(numbers, field.optional):
            return numbers.astype(field.dtype, copy=False)
        texts = form.texts(numbers) if numbers is not None else list(values)
        times = self._adapter.validate_json(orjson.dumps(texts))
        return np.array([None if time is None else form.number(time) for time in times], dtype=field.dtype)

    def _holds(self, numbers: NDArray[Any]) -> bool:
        allowed = (numbers >= self._low) & (numbers <= self._high)
        return bool(allowed.all()) or (self.field.optional and bool((allowed | np.isnan(numbers)).all()))

    def _refuse(self, values: list[Any]) -> NoReturn:
        """Raise the ValidationError for a column that was found to be at fault."""
        self._adapter.validate_python(values)
        raise AssertionError(f"{self.field.name}: the check of the column and the check of its values disagree")


def integers(values: Sequence[Any]) -> list[Any]:
    """Numbers as JSON has integers: whole ones as int, NaN as None, others as they are, to be refused."""
    return [_integer(value) for value in values]


def booleans(values: Sequence[Any]) -> list[Any]:
    """Numbers as JSON has truth values: 0 and 1 as bool, NaN as None, others as they are, to be refused."""
    return [bool(value) if value in (0, 1) else None if value != value else value for value in values]


def _integer(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() and -_TOO_LARGE <= value < _TOO_LARGE else value
    return value


def _whole(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of the numbers are missing or have an int64."""
    inside = (numbers >= -_TOO_LARGE) & (numbers < _TOO_LARGE)
    whole: NDArray[np.bool_] = np.isnan(numbers) | (inside & (numbers == np.trunc(numbers)))
    return whole
