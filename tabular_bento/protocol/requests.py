"""What a client may send and what it gets, derived from the declaration: pydantic models, and rows made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import orjson
import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from tabular_bento.errors import TooLargeError
from tabular_bento.features.columns import ColumnRows, Columns, Row
from tabular_bento.problem import Declaration
from tabular_bento.protocol.columns import ColumnCheck, annotation
from tabular_bento.protocol.explanations import BASE_VALUE, CONTRIBUTIONS, EXPLAIN, EXPLANATION, OFFSET
from tabular_bento.protocol.values import FEW_ROWS, NAN, TIMES
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Output, Task

_SHOWN_ERRORS = 20
_INFINITE = (math.inf, -math.inf)
_STRICT = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

_EXPLAIN = Annotated[
    bool, pydantic.Field(default=False, strict=True, description="Whether the predictions are to be explained")
]

_create_model: Any = pydantic.create_model
_typed_dict: Any = TypedDict


class FeedbackReceipt(BaseModel):
    """The response to POST /feedback: how many labels are in the log now."""

    accepted: int


class ErrorDetail(BaseModel):
    """One thing wrong with a request."""

    loc: str = pydantic.Field(description="Where, as rows.0.price")
    msg: str
    type: str


class ErrorResponse(BaseModel):
    """The body of every response with a status of 400 or more."""

    error: str
    detail: list[ErrorDetail] = []


class RequestSchema:
    """The bodies of requests and responses in JSON, for one problem.

    Parameters
    ----------
    declaration : Declaration
        What is predicted and from what.

    Attributes
    ----------
    row_model : type of BaseModel
        One row of a request.
    request_model : type of BaseModel
        The rows of a request.
    predict_model : type of BaseModel
        The body of POST /predict: the rows, and whether their predictions are to be explained.
    prediction_model : type of BaseModel
        One prediction.
    explained_model : type of BaseModel
        One prediction, with its explanation where that was asked for.
    label_model : type of BaseModel
        The label of one prediction; it may come late, twice, or out of order.
    feedback_model : type of BaseModel
        The body of POST /feedback.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.rows = declaration.rows
        fields, target = declaration.fields, declaration.target
        self.row_model: type[BaseModel] = _create_model(
            "Row", __config__=_STRICT, **{field.name: annotation(field) for field in fields}
        )
        rows = Annotated[
            list[self.row_model],  # type: ignore[name-defined]
            pydantic.Field(description="The rows, in the order of the predictions"),
        ]
        self.request_model: type[BaseModel] = _create_model("PredictRequest", __config__=_STRICT, **{self.rows: rows})
        self.prediction_model: type[BaseModel] = _create_model("Prediction", **_prediction_fields(declaration))
        self.predict_model: type[BaseModel] = _create_model(
            "PredictRequest", __base__=self.request_model, **{EXPLAIN: _EXPLAIN}
        )
        self.explained_model: type[BaseModel] = _create_model(
            "Prediction", __base__=self.prediction_model, **{EXPLANATION: _explanation_annotation(declaration)}
        )
        self.label_model: type[BaseModel] = _create_model(
            "Label",
            __config__=_STRICT,
            prediction_id=Annotated[str, pydantic.Field(strict=True, min_length=1, max_length=64)],
            **{target.name: _label_annotation(declaration.task)},
        )
        self.feedback_model: type[BaseModel] = _create_model(
            "FeedbackRequest",
            __config__=_STRICT,
            labels=list[self.label_model],  # type: ignore[name-defined]
        )
        self._checks = {field.name: ColumnCheck(field) for field in fields}
        self._numeric = tuple(field.name for field in fields if field.kind.is_numeric or field.kind is Kind.BOOLEAN)
        self._row = _row_maker(fields)
        self._label = _holder(target)
        self._validate_rows: Any = self.predict_model.__pydantic_validator__.validate_json
        self._validate_row: Any = self.row_model.__pydantic_validator__.validate_json
        self._validate_labels: Any = self.feedback_model.__pydantic_validator__.validate_json

    def parse_rows(self, body: bytes | str) -> list[Row]:
        """The validated rows of the body of POST /predict; raises as `parse_request`."""
        return self.parse_request(body)[0]

    def parse_request(self, body: bytes | str) -> tuple[list[Row], bool]:
        """The validated rows of the body of POST /predict, and whether their predictions are to be explained.

        Raises
        ------
        pydantic.ValidationError
            Located by row and field.
        """
        row, request = self._row, self._validate_rows(body).__dict__
        return [row(model.__dict__) for model in request[self.rows]], request[EXPLAIN]

    def parse_feedback(self, body: bytes | str) -> list[tuple[str, Any]]:
        """The prediction ids and labels, as values are held, of the body of POST /feedback.

        Raises
        ------
        pydantic.ValidationError
            Located by index in the list and field.
        """
        return self.labels_of_models(self._validate_labels(body).__dict__["labels"])

    def rows_of_models(self, models: Sequence[BaseModel]) -> list[Row]:
        """Rows of validated models."""
        return [self._row(model.__dict__) for model in models]

    def labels_of_models(self, models: Sequence[BaseModel]) -> list[tuple[str, Any]]:
        """Prediction ids and labels of validated models."""
        if (label := self._label) is None:
            return [tuple(model.__dict__.values()) for model in models]
        return [(one, label(value)) for one, value in (model.__dict__.values() for model in models)]

    def row_of(self, values: Mapping[str, Any]) -> Row:
        """The row of JSON values by field.

        Raises
        ------
        pydantic.ValidationError
            Located by field.
        """
        return self._row(self._validate_row(orjson.dumps(values)).__dict__)

    def valid_row(self, values: Mapping[str, Any]) -> list[Row] | None:
        """The row of JSON values by field, alone in a list; None where the row model refuses it."""
        try:
            return [self._row(self._validate_row(orjson.dumps(values)).__dict__)]
        except ValidationError:
            return None

    def rows_of_columns(self, columns: Columns, count: int) -> Sequence[Row]:
        """Validate rows held as columns by the rules of the row model; many stay columns.

        Parameters
        ----------
        columns : Columns
            For each field JSON values, None or, among numbers, NaN for what is missing, or an array of values as they
            are held. An optional field may be left out.
        count : int
            Rows in each column.

        Raises
        ------
        pydantic.ValidationError
            Located by row and field.
        """
        if 0 < count <= FEW_ROWS and not self._any_infinite(columns):  # JSON has no word for it
            checks = self._checks
            names = tuple(columns)
            rows = zip(*(checks[name].json_values(columns[name]) for name in names), strict=True)
            return self.parse_rows(orjson.dumps({self.rows: [dict(zip(names, row, strict=True)) for row in rows]}))
        missing = [None] * count
        checked = {name: self._column(name, columns.get(name, missing)) for name in self._checks}
        return ColumnRows(checked, tuple(checked))

    def _any_infinite(self, columns: Columns) -> bool:
        return any(value in _INFINITE for name in self._numeric if name in columns for value in columns[name])

    def _column(self, name: str, values: Any) -> Any:
        try:
            return self._checks[name](values)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                "PredictRequest",
                [
                    InitErrorDetails(
                        type=PydanticCustomError(item["type"], item["msg"]),
                        loc=(self.rows, *item["loc"], name),
                        input=None,
                    )
                    for item in error.errors(include_url=False, include_context=False)
                ],
            ) from None


def explain(error: ValidationError) -> ErrorResponse:
    """A validation error as a response whose `error` names the first row and field at fault."""
    details = [
        ErrorDetail(loc=".".join(map(str, item["loc"])) or "body", msg=item["msg"], type=item["type"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = f"{details[0].loc}: {details[0].msg}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ErrorResponse(error=first + more, detail=details[:_SHOWN_ERRORS])


def check_size(rows: int, max_rows: int) -> None:
    """Refuse more rows than one request may have.

    Raises
    ------
    TooLargeError
        Where there are more.
    """
    if rows > max_rows:
        raise TooLargeError(f"{rows} rows in one request, of at most {max_rows}: send it in parts.")


def _prediction_fields(declaration: Declaration) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "prediction_id": Annotated[str, pydantic.Field(description="UUIDv7, to be given with the label")]
    }
    if declaration.identifier is not None:
        kind = str if declaration.field(declaration.identifier).kind is Kind.TEXT else int
        fields[declaration.identifier] = Annotated[kind | None, pydantic.Field(description="The caller's own id")]
    fields |= {output.name: _output_annotation(output) for output in declaration.outputs}
    fields[declaration.target.name] = _among(declaration.task, fields[declaration.target.name])
    fields["model"] = Annotated[str, pydantic.Field(description="Tag of the model that made the prediction")]
    return fields


def _explanation_annotation(declaration: Declaration) -> Any:
    """The type of an explanation, which is there only where it was asked for."""
    names, classes = declaration.feature_names, declaration.task.score_names
    base: Any = float
    contributions: Any = _typed_dict("Contributions", dict.fromkeys(names, float))
    if classes:
        base = _typed_dict("BaseValues", dict.fromkeys(classes, float))
        contributions = _typed_dict("ClassContributions", dict.fromkeys(classes, contributions))
    offset = {} if declaration.offset is None else {OFFSET: float}
    kind: Any = _typed_dict("Explanation", {BASE_VALUE: base, **offset, CONTRIBUTIONS: contributions})
    return Annotated[
        kind,
        pydantic.Field(
            default=None,
            description="What the raw score is made of: base value and contributions add up to it",
            json_schema_extra=_without_default,
        ),
    ]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _output_annotation(output: Output) -> Any:
    if output.parts:
        kind: Any = _typed_dict(output.name.capitalize(), dict.fromkeys(output.parts, float))
        described = f"{output.description}, in {output.unit}" if output.unit else output.description
        return Annotated[kind, pydantic.Field(description=described or None)]
    return annotation(Field(output.name, output.kind, output.description, unit=output.unit))


def _label_annotation(task: Task) -> Any:
    """The type of a label: of the target's kind and, of a classification, one of the classes."""

    def check(value: Any) -> Any:
        try:
            if value is not None or not task.target.optional:
                task.label_code(value)
        except ValueError as error:
            text = str(error)
            raise PydanticCustomError("unknown_label", "{message}", {"message": text[0].upper() + text[1:]}) from None
        return value

    kind = annotation(task.target)
    return Annotated[_among(task, kind), pydantic.BeforeValidator(check)] if task.classes else kind


def _among(task: Task, kind: Any) -> Any:
    """The type of a label or an output, described as one of the classes where the task has some."""
    if not task.classes:
        return kind
    return Annotated[kind, pydantic.Field(json_schema_extra={"enum": list(task.classes)})]


def _row_maker(fields: Sequence[Field]) -> Callable[[dict[str, Any]], Row]:
    """What makes a row of the values of a validated model."""
    holders = [(index, holder) for index, field in enumerate(fields) if (holder := _holder(field)) is not None]
    gaps = [
        index
        for index, field in enumerate(fields)
        if field.optional and field.kind is not Kind.TEXT and _holder(field) is None
    ]

    def make(values: dict[str, Any]) -> Row:
        row = list(values.values())
        for index in gaps:
            if row[index] is None:
                row[index] = NAN
        for index, holder in holders:
            row[index] = holder(row[index])
        return tuple(row)

    return make


def _holder(field: Field) -> Callable[[Any], Any] | None:
    """What makes a validated value one that a row holds; None where it is one, or None for a missing number."""
    if field.kind is Kind.BOOLEAN:
        convert: Callable[[Any], Any] = int
    elif field.kind.is_time:
        convert = TIMES[field.kind].number
    else:
        return None
    if not field.optional:
        return convert
    return lambda value: NAN if value is None else convert(value)
