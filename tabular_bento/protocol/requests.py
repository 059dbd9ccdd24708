"""What a client may send and what it gets, derived from the declaration: pydantic models, and rows made of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NoReturn

import numpy as np
import orjson
import pydantic
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NaiveDatetime, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from features import definition
from features.columns import plain
from features.definition import FIELDS, TARGET
from features.texts import RepeatedTexts
from features.values import Row
from tabular_bento.features.clock import EARLIEST, LATEST
from tabular_bento.protocol.rows import ColumnRows
from tabular_bento.schema import Field, Kind

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
_FIRST_TIME = _EPOCH + timedelta(seconds=EARLIEST)
_LAST_TIME = _EPOCH + timedelta(seconds=LATEST)
_SHOWN_ERRORS = 20
FEW_ROWS = 12
"""Up to this many rows of columns are checked as JSON is, which is faster than NumPy's fixed cost per operation."""


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


def valid_row(values: Mapping[str, Any]) -> list[Row] | None:
    """The row of plain values by field, missing ones None, by the rules of `RowModel`; None where they refuse it."""
    try:
        return [_row(_ROW_VALIDATOR.validate_json(orjson.dumps(values)).__dict__)]
    except ValidationError:
        return None


_ROW_VALIDATOR: Any = RowModel.__pydantic_validator__


def rows_of_columns(columns: Mapping[str, Sequence[Any] | NDArray[Any]], count: int) -> Sequence[Row]:
    """Validate `count` rows held as columns by the rules of `RowModel`; many stay columns, a field at a time.

    Missing values are None, or NaN among numbers; times are ISO strings, or more than FEW_ROWS of them an array of
    seconds. An optional field may be left out. Raises pydantic's ValidationError, located as flights.<row>.<field>.
    """
    if 0 < count <= FEW_ROWS and not _any_infinite(columns):  # JSON has no word for it
        rows = zip(*map(plain, columns.values()), strict=True)
        body = orjson.dumps({ROWS: [dict(zip(columns, row, strict=True)) for row in rows]})
        return rows_of_models(getattr(PredictRequest.__pydantic_validator__.validate_json(body), ROWS))
    missing = [None] * count
    return ColumnRows({field.name: _column(field, columns.get(field.name, missing)) for field in FIELDS})


def _any_infinite(columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> bool:
    return any(value in _INFINITE for name in _NUMBER_NAMES if name in columns for value in columns[name])


_INFINITE = (math.inf, -math.inf)
_NUMBER_NAMES = tuple(field.name for field in FIELDS if field.kind in (Kind.NUMBER, Kind.INTEGER))


def _column(field: Field, values: Sequence[Any] | NDArray[Any]) -> Sequence[Any] | NDArray[Any]:
    adapter: Any = _ADAPTERS[field.name]
    try:
        match field.kind:
            case Kind.NUMBER:
                numbers = np.asarray(values, dtype=np.float64)
                if not _all_allowed(field, numbers):
                    _refuse(field, [None if math.isnan(value) else value for value in numbers.tolist()])
                return numbers
            case Kind.INTEGER if isinstance(values, np.ndarray) and values.dtype.kind == "i":
                if not _all_allowed(field, values):
                    _refuse(field, values.tolist())
                return values.astype(np.int64)
            case Kind.LOCAL_TIME:
                seconds = values if isinstance(values, np.ndarray) else _seconds(values)
                if seconds is not None and ((seconds >= EARLIEST) & (seconds < LATEST)).all():
                    return seconds
                texts = _texts(values) if isinstance(values, np.ndarray) else values
                times = adapter.validate_json(orjson.dumps(texts))
                return np.array([_since_epoch(time) for time in times], dtype=np.int64)
            case Kind.TEXT if isinstance(values, RepeatedTexts):
                if not adapter.validator.isinstance_python(values.distinct):
                    _refuse(field, values.tolist())
                return values
            case _:
                checked: list[Any] = adapter.validate_python(values)
                return checked
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


def _refuse(field: Field, values: list[Any]) -> NoReturn:
    """Raise the ValidationError for a column that was found to be at fault."""
    _ADAPTERS[field.name].validate_python(values)
    raise AssertionError(f"{field.name}: the check of the column and the check of its values disagree")


def _seconds(times: Any) -> NDArray[np.int64] | None:
    """Seconds since 1970 of texts that are all as `plain_seconds` reads them, else None."""
    try:
        content = "".join(times).encode("ascii")
        if set(map(len, times)) != {len(_PLAIN_TIME)}:
            return None
    except (TypeError, ValueError):
        return None
    return plain_seconds(np.frombuffer(content, np.uint8).reshape(-1, len(_PLAIN_TIME)))


def _texts(seconds: NDArray[np.int64]) -> list[str]:
    """The inverse of `plain_seconds`."""
    texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return texts


def plain_seconds(characters: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Seconds since 1970 of n times by their characters, shape [n, length], if all are spelt 2013-09-02T05:15:00."""
    if characters.shape[1] != len(_PLAIN_TIME) or (characters - _PLAIN_TIME > _ABOVE).any():
        return None
    texts = np.ascontiguousarray(characters).view(f"S{len(_PLAIN_TIME)}").ravel()
    try:
        return texts.astype("datetime64[s]").astype(np.int64)
    except ValueError:
        return None  # no such day or hour


_PLAIN_TIME = np.frombuffer(b"0000-00-00T00:00:00", np.uint8)
_ABOVE = np.where(ord("0") == _PLAIN_TIME, np.uint8(9), np.uint8(0))
"""How far above those the characters of a time may be; what is below them wraps around and is far above."""


def _all_allowed(field: Field, numbers: NDArray[Any]) -> bool:
    low = -sys.float_info.max if field.minimum is None else field.minimum
    high = sys.float_info.max if field.maximum is None else field.maximum
    allowed = (numbers >= low) & (numbers <= high)
    return bool(allowed.all()) or (field.optional and bool((allowed | np.isnan(numbers)).all()))


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
