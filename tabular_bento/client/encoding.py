"""Rows to requests and responses to predictions, for each protocol; without any connection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from tabular_bento.errors import ClientError, RequestError, ResponseError
from tabular_bento.features.columns import Columns
from tabular_bento.problem import Declaration
from tabular_bento.protocol.explanations import EXPLAIN, EXPLANATION, ExplainedBatch, Explanations
from tabular_bento.protocol.predictions import MODEL, PREDICTION_ID, PredictionBatch
from tabular_bento.protocol.tensors import CLASSES, DATATYPES, Tensor, decode, encode
from tabular_bento.protocol.values import json_values
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Output
from tabular_bento.tasks.classification import PROBABILITY

Protocol: TypeAlias = Literal["json", "rest", "rest-binary", "grpc", "grpc-stream"]

PROTOCOLS: tuple[Protocol, ...] = ("json", "rest", "rest-binary", "grpc", "grpc-stream")
"""`POST /predict`; the Open Inference Protocol over REST, in JSON and in binary tensors; the same over gRPC, a call a
request and all requests in one stream."""

Rows: TypeAlias = Sequence[Mapping[str, Any]] | Columns
"""n rows: objects of JSON values by field name; or columns by field name, sequences of n JSON values or arrays of n
values as `tabular_bento.schema.Kind` says. None, NaN, and leaving a field out mean missing."""

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says where JSON ends and binary tensors begin."""

_JSON = {"Content-Type": "application/json"}
_BINARY = {"Content-Type": "application/octet-stream"}
_KINDS = {"BYTES": Kind.TEXT, "BOOL": Kind.BOOLEAN, "FP64": Kind.NUMBER, "FP32": Kind.NUMBER}
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RequestError)


@dataclass(frozen=True)
class Interface:
    """What a server takes and returns.

    Parameters
    ----------
    name : str
        The model's name.
    rows : str
        The key under which a request in JSON holds its rows.
    fields : tuple of Field
        The fields of a row.
    outputs : tuple of Output
        The outputs of a prediction.
    identifier : str, optional
        The field that holds the caller's own id.
    declaration : Declaration, optional
        What the server said of its problem; None where it was asked over gRPC alone, whose metadata say less.
    """

    name: str
    rows: str
    fields: tuple[Field, ...]
    outputs: tuple[Output, ...]
    identifier: str | None = None
    declaration: Declaration | None = None

    @classmethod
    def of(cls, declaration: Declaration) -> Self:
        """The interface of a declaration."""
        return cls(
            declaration.name,
            declaration.rows,
            declaration.fields,
            declaration.outputs,
            declaration.identifier,
            declaration,
        )

    @classmethod
    def of_metadata(cls, metadata: Any) -> Self:
        """The interface that a ModelMetadataResponse of the Open Inference Protocol describes.

        Raises
        ------
        ValueError
            Where it describes none.
        """
        from tabular_bento.protocol.messages import described_classes

        fields = tuple(
            Field(item.name, _KINDS.get(item.datatype, Kind.INTEGER), optional=True) for item in metadata.inputs
        )
        outputs = tuple(
            Output(
                PROBABILITY if CLASSES in item.parameters else item.name,
                _KINDS.get(item.datatype, Kind.INTEGER),
                parts=described_classes(item),
                tensor=item.name,
            )
            for item in metadata.outputs
            if item.name != PREDICTION_ID
        )
        return cls(metadata.name, "rows", fields, outputs)

    def json_request(self, rows: Rows, explain: bool = False) -> tuple[bytes, dict[str, str]]:
        """Body and headers of `POST /predict`."""
        objects = rows_of_columns(rows, self.fields) if isinstance(rows, Mapping) else [_present(row) for row in rows]
        return _to_json({self.rows: objects, **_asked(explain)}), _JSON

    def json_predictions(self, body: bytes, rows: Rows, explain: bool = False) -> PredictionBatch:
        """The predictions of a response to `json_request`.

        Raises
        ------
        ResponseError
            Where it is none to those rows.
        """
        try:
            items = from_json(body)
            if not isinstance(items, list):
                raise ResponseError("The response holds no list of predictions.")
            self._check_count(len(items), rows)
            self._check_identifiers([item.get(self.identifier) for item in items], rows)
            outputs = {}
            for output in self.outputs:
                values = [item.get(output.name) for item in items]
                outputs[output.name] = (
                    [[value[part] for part in output.parts] for value in values] if output.parts else values
                )
            tag = items[0].get(MODEL) if items else ""
            batch = self._predictions([item.get(PREDICTION_ID) for item in items], rows, outputs, tag)
            if not explain:
                return batch
            return ExplainedBatch.of(batch, Explanations.of_objects([item[EXPLANATION] for item in items]))
        except _UNREADABLE as error:
            raise _unreadable(error) from error

    def rest_request(
        self, rows: Rows, request_id: str, binary: bool, explain: bool = False
    ) -> tuple[str, bytes, dict[str, str]]:
        """Path, body and headers of a request of the Open Inference Protocol over REST."""
        path, tensors = f"/v2/models/{self.name}/infer", self.tensors(rows)
        described = [_described(tensor) for tensor in tensors]
        if not binary:
            for item, tensor in zip(described, tensors, strict=True):
                item["data"] = [value if value == value else None for value in _listed(tensor.values)]
            asked = {"parameters": _asked(explain)} if explain else {}
            return path, _to_json({"id": request_id, "inputs": described, **asked}), _JSON
        contents = [encode(tensor) for tensor in tensors]
        for item, content in zip(described, contents, strict=True):
            item["parameters"] = {"binary_data_size": len(content)}
        parameters = {"binary_data_output": True, **_asked(explain)}
        head = _to_json({"id": request_id, "inputs": described, "parameters": parameters})
        return path, b"".join((head, *contents)), {HEADER_LENGTH: str(len(head)), **_BINARY}

    def rest_predictions(
        self, body: bytes, header_length: str | None, rows: Rows, request_id: str, explain: bool = False
    ) -> PredictionBatch:
        """The predictions of a response to `rest_request`; raises as `json_predictions`."""
        try:
            start = int(header_length) if header_length is not None else len(body)
            document = from_json(body[:start])
            _check_id(document.get("id", ""), request_id)
            found: dict[str, Sequence[Any]] = {}
            named: Mapping[str, Sequence[str]] = {}
            for item in document["outputs"]:
                if item["name"] == EXPLANATION:
                    named = item["parameters"]
                if "data" in item:
                    found[item["name"]] = item["data"]
                    continue
                end = start + item["parameters"]["binary_data_size"]
                found[item["name"]] = _decoded(item["name"], item["datatype"], item["shape"], body[start:end])
                start = end
            tag = f"{document.get('model_name', self.name)}:{document.get('model_version', '')}"
            batch = self._of_tensors(found, rows, tag)
            return ExplainedBatch.of(batch, Explanations.of_tensors(found, named)) if explain else batch
        except _UNREADABLE as error:
            raise _unreadable(error) from error

    def grpc_request(self, rows: Rows, request_id: str, explain: bool = False) -> Any:
        """A ModelInferRequest, in raw contents."""
        from tabular_bento.protocol import open_inference_pb2 as messages

        tensors = self.tensors(rows)
        return messages.ModelInferRequest(
            model_name=self.name,
            id=request_id,
            parameters={name: messages.InferParameter(bool_param=value) for name, value in _asked(explain).items()},
            inputs=[_described(tensor) for tensor in tensors],
            raw_input_contents=[encode(tensor) for tensor in tensors],
        )

    def grpc_predictions(self, response: Any, rows: Rows, request_id: str, explain: bool = False) -> PredictionBatch:
        """The predictions of a ModelInferResponse to `grpc_request`; raises as `json_predictions`."""
        try:
            _check_id(response.id, request_id)
            if len(response.outputs) != len(response.raw_output_contents):
                raise ResponseError(
                    f"The response has {len(response.raw_output_contents)} contents of {len(response.outputs)} outputs."
                )
            found = {
                output.name: _decoded(output.name, output.datatype, output.shape, content)
                for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
            }
            batch = self._of_tensors(found, rows, f"{response.model_name}:{response.model_version}")
            if not explain:
                return batch
            (explained,) = (output for output in response.outputs if output.name == EXPLANATION)
            named = {name: from_json(value.string_param) for name, value in explained.parameters.items()}
            return ExplainedBatch.of(batch, Explanations.of_tensors(found, named))
        except _UNREADABLE as error:
            raise _unreadable(error) from error

    def tensors(self, rows: Rows) -> list[Tensor]:
        """A tensor of shape [n] for each field that any of the rows has.

        Raises
        ------
        ClientError
            For a field that the server does not have.
        """
        given = set(rows) if isinstance(rows, Mapping) else set().union(*rows)
        if unknown := sorted(given - {field.name for field in self.fields}):
            names = ", ".join(field.name for field in self.fields)
            raise ClientError(f"The server's rows have no field {unknown[0]!r}; they have {names}.")
        return [_tensor(field, _column(field, rows)) for field in self.fields if field.name in given]

    def _of_tensors(self, found: Mapping[str, Sequence[Any]], rows: Rows, tag: str) -> PredictionBatch:
        ids = list(found[PREDICTION_ID])
        self._check_count(len(ids), rows)
        outputs: dict[str, Sequence[Any]] = {}
        for output in self.outputs:
            values, parts = found[output.tensor_name], len(output.parts) or 1
            if len(values) != parts * len(ids):
                raise ResponseError(
                    f"The response has {len(values)} values of {output.tensor_name} for {len(ids)} rows."
                )
            if output.parts:
                outputs[output.name] = [list(values[at : at + parts]) for at in range(0, len(values), parts)]
            else:
                outputs[output.name] = list(values)
        return self._predictions(ids, rows, outputs, tag)

    def _predictions(
        self, ids: Sequence[Any], rows: Rows, outputs: Mapping[str, Sequence[Any]], tag: Any
    ) -> PredictionBatch:
        for place, prediction_id in enumerate(ids):
            if not isinstance(prediction_id, str) or not prediction_id:
                raise ResponseError(f"Prediction {place} lacks {PREDICTION_ID}.")
        for output in self.outputs:
            for place, value in enumerate(outputs[output.name]):
                if not all(map(_sound[output.kind], value if output.parts else (value,))):
                    raise ResponseError(f"Prediction {place} lacks {output.name}.")
        identifiers = None
        if self.identifier is not None:
            identifiers = _identifiers(self, rows)
        return PredictionBatch(cast(Declaration, self), ids, identifiers, outputs, str(tag))

    def _check_count(self, count: int, rows: Rows) -> None:
        if count != (wanted := count_of(rows)):
            raise ResponseError(f"The response has {count} predictions for {wanted} rows.")

    def _check_identifiers(self, found: Sequence[Any], rows: Rows) -> None:
        if self.identifier is None:
            return
        for place, (ours, theirs) in enumerate(zip(_identifiers(self, rows), found, strict=True)):
            if ours != theirs:
                raise ResponseError(f"Prediction {place} is not of the row whose {self.identifier} is {ours!r:.80}.")


def _asked(explain: bool) -> dict[str, bool]:
    return {EXPLAIN: True} if explain else {}


def count_of(rows: Rows) -> int:
    """The number of rows."""
    if isinstance(rows, Mapping):
        return len(next(iter(rows.values()), ()))
    return len(rows)


def rows_of_columns(columns: Columns, fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Columns as the objects of a request in JSON.

    Parameters
    ----------
    columns : Columns
        Values as `Kind` says or JSON values, by field name.
    fields : sequence of Field
        The fields; those of which there is no column are left out.

    Returns
    -------
    list of dict
        JSON values by field name, without those that are missing.
    """
    found = {field.name: _plain(field, columns[field.name]) for field in fields if field.name in columns}
    if unknown := sorted(set(columns) - set(found)):
        raise ClientError(f"The server's rows have no field {unknown[0]!r}.")
    return [
        {name: value for name, value in zip(found, row, strict=True) if value is not None}
        for row in zip(*found.values(), strict=True)
    ]


def with_identifiers(columns: Columns, interface: Interface, prefix: str) -> Columns:
    """Columns in which each row has an id of its caller's, by which its prediction is known.

    Parameters
    ----------
    columns : Columns
        n rows.
    interface : Interface
        Of the server; without an identifier, or with one too short for such ids, columns stay as they are.
    prefix : str
        What ids that are made begin with, before the place of the row.
    """
    declared = {field.name: field for field in interface.fields}
    if interface.identifier is None:
        return columns
    field, count = declared[interface.identifier], count_of(columns)
    if field.kind is Kind.TEXT:
        made: Sequence[Any] = [f"{prefix}-{place}" for place in range(count)]
        longest = len(made[-1]) if made else 0
        fits = longest <= (field.max_length or longest)
    else:
        made = range(count)
        fits = (field.minimum or 0) <= 0 and count <= (field.maximum or count)
    if not fits:
        return columns
    given = _identifiers(interface, columns)
    values = [own if value is None else value for value, own in zip(given, made, strict=True)]
    return {**columns, field.name: values}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_sound = {
    **dict.fromkeys((Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN), _is_number),
    **dict.fromkeys((Kind.TEXT, Kind.DATE, Kind.LOCAL_TIME, Kind.INSTANT), _is_text),
}
"""Whether a value is one of an output, by its kind."""


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its NaN."""
    return {name: value for name, value in row.items() if value == value}


def _to_json(document: Any) -> bytes:
    return to_json(document, inf_nan_mode="constants", fallback=lambda value: value.item())


def _identifiers(interface: Interface, rows: Rows) -> Sequence[Any]:
    """The callers' own ids as JSON values; None for what is missing."""
    field = next(field for field in interface.fields if field.name == interface.identifier)
    if isinstance(rows, Mapping) and field.name not in rows:
        return [None] * count_of(rows)
    return _plain(field, _column(field, rows))


def _column(field: Field, rows: Rows) -> Sequence[Any] | NDArray[Any]:
    return cast(Any, rows[field.name]) if isinstance(rows, Mapping) else [row.get(field.name) for row in rows]


def _plain(field: Field, values: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """A column as JSON values; None for what is missing."""
    if isinstance(values, np.ndarray):
        return json_values(field.kind, values)
    return [None if value != value else value for value in values]


def _tensor(field: Field, values: Sequence[Any] | NDArray[Any]) -> Tensor:
    datatype, shape = DATATYPES[field.kind][0], (len(values),)
    if datatype == "BYTES":
        texts = [_text(value) for value in _plain(field, values)]
        return Tensor(field.name, datatype, shape, texts)
    if not isinstance(values, np.ndarray):
        missing = any(value is None or value != value for value in values)
        if missing or field.kind is Kind.NUMBER:
            values = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        else:
            return Tensor(field.name, datatype, shape, values)
    if values.dtype.kind == "f":
        return Tensor(field.name, "FP64", shape, values)  # integers and truth values of which some are missing
    return Tensor(field.name, datatype, shape, values.astype(bool) if datatype == "BOOL" else values)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else value.isoformat()  # a date or datetime


def _listed(values: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _decoded(name: str, datatype: str, shape: Sequence[int], content: bytes) -> Sequence[Any]:
    values = decode(name, datatype, tuple(shape), content).values
    return _listed(values) if isinstance(values, np.ndarray) else list(values)


def _check_id(found: Any, request_id: str) -> None:
    if found != request_id:
        raise ResponseError(f"The response is to request {found!r:.80}, not to {request_id!r}.")


def _unreadable(error: Exception) -> ResponseError:
    return ResponseError(f"The response cannot be read ({type(error).__name__}: {error}).")
