"""What a client may send and what it gets, derived from the declaration: pydantic models, and rows made of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import numpy as np
import orjson
import pydantic
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NaiveDatetime, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from data.schema import Field, Kind
from data.timezones import EARLIEST, LATEST
from features import definition
from features.definition import FIELDS, TARGET
from features.values import Row

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
_FIRST_TIME = _EPOCH + timedelta(seconds=EARLIEST)
_LAST_TIME = _EPOCH + timedelta(seconds=LATEST)
_SHOWN_ERRORS = 20
FEW_ROWS = 12
"""Up to this many values are checked in plain Python, which is faster than NumPy's fixed cost per operation."""


def _annotation(field: Field) -> Any:
    bounds: dict[str, Any] = {"ge": field.minimum, "le": field.maximum}
    description = f"{field.description}, in {field.unit}" if field.unit else field.description
    kind: Any
    match field.kind:
        case Kind.TEXT:
            lengths: dict[str, Any] = {"min_length": field.minimum, "max_length": field.maximum}
            kind = Annotated[str, pydantic.Field(strict=True, **lengths)]
        case Kind.INTEGER:
            kind = Annotated[int, pydantic.Field(strict=True, **bounds)]
        case Kind.NUMBER:
            kind = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False, **bounds)]
        case _:
            kind = _LOCAL_TIME
    if field.optional:
        return Annotated[kind | None, pydantic.Field(default=None, description=description)]
    return Annotated[kind, pydantic.Field(description=description)]


_LOCAL_TIME = Annotated[NaiveDatetime, pydantic.Field(strict=True, ge=_FIRST_TIME, lt=_LAST_TIME)]

_create_model: Any = pydantic.create_model
_STRICT = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

RowModel: type[BaseModel] = _create_model(
    definition.ROW.capitalize(),
    __config__=_STRICT,
    **{field.name: _annotation(field) for field in FIELDS},
)
"""One row of a request."""

ROWS = f"{definition.ROW}s"
"""The name of the list of rows in a request."""

PredictRequest: type[BaseModel] = _create_model(
    "PredictRequest",
    __config__=_STRICT,
    **{ROWS: Annotated[list[RowModel], pydantic.Field(description="The rows, in the order of the answers")]},  # type: ignore[valid-type]
)
"""The body of POST /predict."""


_TARGET = f"{TARGET.description}, in {TARGET.unit}"

Prediction: type[BaseModel] = _create_model(
    "Prediction",
    prediction_id=Annotated[str, pydantic.Field(description="UUIDv7, to be given with the outcome")],
    id=Annotated[str | None, pydantic.Field(description="The caller's own id")],
    model=Annotated[str, pydantic.Field(description="Tag of the model that made the prediction")],
    **{TARGET.name: Annotated[float, pydantic.Field(description=_TARGET)]},
)
"""One answer."""

Outcome: type[BaseModel] = _create_model(
    "Outcome",
    __config__=_STRICT,
    prediction_id=Annotated[str, pydantic.Field(strict=True, min_length=1, max_length=64)],
    **{TARGET.name: _annotation(TARGET)},
)
"""What came true of one prediction; it may come late, twice, or out of order."""


class FeedbackRequest(BaseModel):
    """The body of POST /feedback."""

    model_config = _STRICT

    outcomes: list[Outcome]  # type: ignore[valid-type]


class FeedbackReceipt(BaseModel):
    """The answer to POST /feedback: how many outcomes are in the log now."""

    accepted: int


class ErrorDetail(BaseModel):
    """One thing wrong with a request."""

    loc: str = pydantic.Field(description="Where, as flights.0.temp")
    msg: str
    type: str


class ErrorAnswer(BaseModel):
    """The body of every answer with a status of 400 or more."""

    error: str
    detail: list[ErrorDetail] = []


_NUMBERS = tuple(index for index, field in enumerate(FIELDS) if field.kind is Kind.NUMBER and field.optional)
_TIMES = tuple(index for index, field in enumerate(FIELDS) if field.kind is Kind.LOCAL_TIME)


def rows_of_models(models: Sequence[BaseModel]) -> list[Row]:
    """Validated rows as tuples of plain values: times in seconds, missing numbers NaN."""
    return [_row(model.__dict__) for model in models]


def _row(values: dict[str, Any]) -> Row:
    row = list(values.values())
    for index in _NUMBERS:
        if row[index] is None:
            row[index] = math.nan
    for index in _TIMES:
        row[index] = _since_epoch(row[index])
    return tuple(row)


def _since_epoch(time: datetime) -> int:
    return (time - _EPOCH) // _SECOND


def _plain_seconds(times: Sequence[Any]) -> list[int] | None:
    """Seconds of times that are all spelt 2013-09-02T05:15:00 and allowed, at once; None where one is not."""
    try:
        if not _PLAIN_TIMES.fullmatch("\n".join(times) + "\n"):
            return None
        if len(times) <= FEW_ROWS:
            seconds = np.array([_since_epoch(datetime.fromisoformat(time)) for time in times])
        else:
            seconds = np.array(times, dtype="datetime64[s]").astype(np.int64)
    except (TypeError, ValueError):
        return None
    if ((seconds < EARLIEST) | (seconds >= LATEST)).any():
        return None
    plain: list[int] = seconds.tolist()
    return plain


_PLAIN_TIMES = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\n)*")


def rows_of_columns(columns: Mapping[str, Sequence[Any]], count: int) -> list[Row]:
    """Validate `count` rows held as columns by the rules of `RowModel`, a field at a time, and give them as tuples.

    Missing values are None, or NaN among numbers; times are ISO strings. An optional field may be left out. Raises
    pydantic's ValidationError, located as flights.<row>.<field>.
    """
    missing = [None] * count
    return list(zip(*(_column(field, columns.get(field.name, missing)) for field in FIELDS), strict=True))


def _column(field: Field, values: Sequence[Any]) -> list[Any]:
    adapter: Any = _ADAPTERS[field.name]
    try:
        match field.kind:
            case Kind.NUMBER:
                if len(values) <= FEW_ROWS and not isinstance(values, np.ndarray):
                    few = [math.nan if value is None else float(value) for value in values]
                    if all(_is_allowed(field, value) for value in few):
                        return few
                numbers = np.asarray(values, dtype=np.float64)
                if _all_allowed(field, numbers):
                    known: list[Any] = numbers.tolist()
                    return known
                adapter.validate_python([None if math.isnan(value) else value for value in numbers.tolist()])
                raise AssertionError(f"{field.name}: the check of the column and the check of its values disagree")
            case Kind.LOCAL_TIME:
                seconds = _plain_seconds(values)
                if seconds is not None:
                    return seconds
                return [_since_epoch(time) for time in adapter.validate_json(orjson.dumps(values))]
            case _:
                texts: list[Any] = adapter.validate_python(values)
                return texts
    except ValidationError as error:
        raise ValidationError.from_exception_data(
            "PredictRequest",
            [
                InitErrorDetails(
                    type=PydanticCustomError(item["type"], item["msg"]),
                    loc=(ROWS, *item["loc"], field.name),
                    input=None,
                )
                for item in error.errors(include_url=False, include_context=False)
            ],
        ) from None


def _is_allowed(field: Field, number: float) -> bool:
    if number != number:
        return field.optional
    low = -math.inf if field.minimum is None else field.minimum
    high = math.inf if field.maximum is None else field.maximum
    return low <= number <= high and not math.isinf(number)


def _all_allowed(field: Field, numbers: NDArray[np.float64]) -> bool:
    low = -math.inf if field.minimum is None else field.minimum
    high = math.inf if field.maximum is None else field.maximum
    allowed = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
    return bool((allowed | np.isnan(numbers) if field.optional else allowed).all())


_list: Any = list
_ADAPTERS = {field.name: TypeAdapter(_list[_annotation(field)]) for field in FIELDS}


def explain(error: ValidationError) -> ErrorAnswer:
    """A validation error as an answer whose `error` names the first row and field at fault."""
    details = [
        ErrorDetail(loc=".".join(map(str, item["loc"])) or "body", msg=item["msg"], type=item["type"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = f"{details[0].loc}: {details[0].msg}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ErrorAnswer(error=first + more, detail=details[:_SHOWN_ERRORS])
