"""The tensors of a problem: inputs of the Open Inference Protocol to rows, predictions to outputs.

There is one input for each field, of shape [n] or [n, 1]. NaN, an empty string, or leaving an optional input out means
missing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tabular_bento.errors import RequestError
from tabular_bento.features.columns import RepeatedTexts, Row
from tabular_bento.problem import Declaration
from tabular_bento.protocol.columns import booleans, integers
from tabular_bento.protocol.explanations import EXPLAIN, TENSORS, ExplainedBatch
from tabular_bento.protocol.predictions import PREDICTION_ID, PredictionBatch, PredictionForm
from tabular_bento.protocol.requests import RequestSchema, check_size
from tabular_bento.protocol.tensors import (
    CLASSES,
    DATATYPES,
    NUMPY_TYPES,
    STRUCT_CODES,
    Tensor,
    decode_values,
    equal_texts,
    shown,
)
from tabular_bento.protocol.values import FEW_ROWS, TIMES, Values
from tabular_bento.schema import Field, Kind


class _OutputTensor(NamedTuple):
    """An output: the index of its column in a `PredictionBatch`, its datatype, and the names of its columns."""

    column: int
    datatype: str
    parts: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of its shape behind the rows."""
        return (len(self.parts),) if self.parts else ()


class TensorSchema:
    """The inputs and outputs of a problem as tensors.

    Parameters
    ----------
    declaration : Declaration
        What is predicted and from what.
    max_rows : int
        The most rows of one request.
    requests : RequestSchema, optional
        The request models of the same declaration, where they are there already.
    """

    def __init__(self, declaration: Declaration, max_rows: int, requests: RequestSchema | None = None) -> None:
        self.declaration = declaration
        self.max_rows = max_rows
        self.requests = requests or RequestSchema(declaration)
        self.fields: dict[str, Field] = {field.name: field for field in declaration.fields}
        columns = PredictionForm(declaration).columns
        self.outputs = {
            item.tensor_name: _OutputTensor(columns.index(item.name), DATATYPES[item.kind][0], item.parts)
            for item in declaration.outputs
        }
        self.outputs[PREDICTION_ID] = _OutputTensor(columns.index(PREDICTION_ID), "BYTES", ())

    @cached_property
    def input_metadata(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each input, -1 for the number of rows."""
        return [
            {"name": name, "datatype": DATATYPES[field.kind][0], "shape": [-1]} for name, field in self.fields.items()
        ]

    @cached_property
    def output_metadata(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each output, -1 for the number of rows; of probabilities the classes too."""
        described = self.described_outputs((), -1)
        for item in described:
            if parts := self.outputs[item["name"]].parts:
                item["parameters"] = {CLASSES: list(parts)}
        return described

    @cached_property
    def datatypes(self) -> tuple[str, ...]:
        """The datatypes that some input is taken in."""
        taken = {datatype for field in self.fields.values() for datatype in DATATYPES[field.kind]}
        return tuple(name for name in (*NUMPY_TYPES, "BYTES") if name in taken)

    def described_outputs(self, requested: Sequence[str], rows: int) -> list[dict[str, Any]]:
        """Name, datatype and shape of the outputs asked for, all of them where none is, for a number of rows."""
        return [
            {"name": name, "datatype": output.datatype, "shape": [rows, *output.sizes]}
            for name, output in ((name, self.outputs[name]) for name in requested or self.outputs)
        ]

    def check_outputs(self, requested: Sequence[str], explained: bool = False) -> tuple[str, ...]:
        """The outputs asked for, less those of explanations, which come where they are asked for by the parameter.

        Raises
        ------
        RequestError
            For the first that does not exist.
        """
        for name in requested:
            if name not in self.outputs:
                if name not in TENSORS:
                    raise RequestError(f"Output {shown(name)} is unknown; the outputs are {', '.join(self.outputs)}.")
                if not explained:
                    raise RequestError(f"Output {name!r} is there only with the parameter `{EXPLAIN}`.")
        return tuple(name for name in requested if name in self.outputs)

    def output_tensors(self, batch: PredictionBatch, requested: Sequence[str]) -> list[Tensor]:
        """The outputs asked for, all of them where none is, and the explanations that a batch has."""
        tensors, rows = [], len(batch)
        for name in requested or self.outputs:
            output = self.outputs[name]
            values = batch.columns[output.column]
            if output.parts:
                values = [value for parts in values for value in parts]
            tensors.append(Tensor(name, output.datatype, (rows, *output.sizes), values))
        if isinstance(batch, ExplainedBatch):
            tensors += batch.explanations.tensors()
        return tensors

    def layout(self, inputs: Iterable[tuple[str, str, Sequence[int]]]) -> Layout:
        """The layout of inputs: name, datatype and shape of each. Raises as `Layout` does."""
        return Layout(self, inputs)

    def rows_of_tensors(self, tensors: Sequence[Tensor]) -> Sequence[Row]:
        """Validated rows of whole tensors. Raises as `Layout` and `Layout.rows` do."""
        layout = Layout(self, ((tensor.name, tensor.datatype, tensor.shape) for tensor in tensors))
        return layout.rows(tensor.values for tensor in tensors)

    def count_rows(self, name: str, shape: Sequence[int]) -> int:
        """The number of rows of an input.

        Raises
        ------
        RequestError
            For another shape than [n] or [n, 1].
        TooLargeError
            For more rows than a request may have.
        """
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] < 0:
            sizes = ", ".join(map(shown, shape[:8]))
            raise RequestError(f"Input {shown(name)} has shape [{sizes}]; it must be [n] or [n, 1].")
        check_size(shape[0], self.max_rows)
        return shape[0]


class Layout:
    """Which field each input of a request holds, in which datatype, of how many rows: its tensors without values.

    Checked once, it serves all requests that are laid out alike.

    Parameters
    ----------
    schema : TensorSchema
        The tensors of the problem.
    inputs : iterable
        Name, datatype and shape of each tensor.

    Raises
    ------
    RequestError
        A message that names the input at fault.
    TooLargeError
        For more rows than a request may have.
    """

    def __init__(self, schema: TensorSchema, inputs: Iterable[tuple[str, str, Sequence[int]]]) -> None:
        self._requests = schema.requests
        self._inputs: list[tuple[Field, str, int, Callable[[Any], Values] | None]] = []
        counts: dict[str, int] = {}
        for name, datatype, shape in inputs:
            field = schema.fields.get(name)
            if field is None:
                raise RequestError(f"Input {shown(name)} is unknown; the inputs are {', '.join(schema.fields)}.")
            if name in counts:
                raise RequestError(f"Input {name!r} is given twice.")
            counts[name] = schema.count_rows(name, shape)
            allowed = DATATYPES[field.kind]
            if datatype not in allowed:
                datatypes = " or ".join(allowed)
                raise RequestError(f"Input {name!r} has datatype {shown(datatype)}; it must be {datatypes}.")
            self._inputs.append((field, datatype, counts[name], _reader(field)))
        for field in schema.fields.values():
            if not field.optional and field.name not in counts:
                raise RequestError(f"Input {field.name!r} is missing, and is not optional.")
        if not counts:
            raise RequestError("There are no inputs.")
        self.count = next(iter(counts.values()))
        self._ragged = next((name for name, count in counts.items() if count != self.count), None)
        self._of_one = [(field.name, _reader_of_one(field, datatype)) for field, datatype, _, _ in self._inputs]

    def row(self, contents: Sequence[bytes]) -> list[Row] | None:
        """The validated row of what each input holds in binary form, where it is one; None where `rows` must decide."""
        if self.count != 1 or self._ragged is not None:
            return None
        try:
            values = {name: read(content) for (name, read), content in zip(self._of_one, contents, strict=True)}
        except (struct.error, ValueError):
            return None
        return self._requests.valid_row(values)

    def rows(self, contents: Iterable[bytes | Values]) -> Sequence[Row]:
        """Validated rows of what each input holds, in order: its binary form, or its values.

        Raises
        ------
        RequestError
            A message that names the input.
        pydantic.ValidationError
            Located by row and field.
        """
        columns: dict[str, Values] = {}
        for (field, datatype, count, read), content in zip(self._inputs, contents, strict=True):
            values = _decode(field, datatype, count, content) if isinstance(content, bytes) else content
            if len(values) != count:
                raise RequestError(f"Input {field.name!r} has {len(values)} elements where its shape says {count}.")
            columns[field.name] = read(values) if read else values
        if self._ragged is not None:
            first, rows = self._inputs[0][0].name, len(columns[self._ragged])
            raise RequestError(f"Input {self._ragged!r} has {rows} rows where {first!r} has {self.count}.")
        return self._requests.rows_of_columns(columns, self.count)


def _decode(field: Field, datatype: str, count: int, content: bytes) -> Values:
    """The values of an input from its binary form; many times as integers where they are spelt in the plain way."""
    form = TIMES.get(field.kind)
    if form is not None and count > FEW_ROWS and (characters := equal_texts(content)) is not None:
        numbers = form.plain_characters(characters)
        if numbers is not None:
            return numbers
    return decode_values(field.name, datatype, count, content)


def _reader(field: Field) -> Callable[[Any], Values] | None:
    """What makes an input's values those that columns are checked as; None where they are already."""
    if field.kind is Kind.INTEGER:
        return _integers
    if field.kind is Kind.BOOLEAN:
        return _booleans
    return _texts if field.kind is not Kind.NUMBER and field.optional else None


def _reader_of_one(field: Field, datatype: str) -> Callable[[bytes], Any]:
    """What reads an input's binary form of one value, as JSON has it; struct.error or ValueError for another."""
    if datatype == "BYTES":
        return _text_or_none if field.optional else _text
    unpack = struct.Struct(f"<{STRUCT_CODES[datatype]}").unpack
    if field.kind is Kind.BOOLEAN:
        return lambda content: _finite_or_none(booleans(unpack(content))[0])
    if field.kind is Kind.INTEGER and datatype.startswith("FP"):
        return lambda content: _finite_or_none(integers(unpack(content))[0])
    if datatype.startswith("INT"):
        return lambda content: unpack(content)[0]
    return lambda content: _finite_or_none(unpack(content)[0])


def _text(content: bytes) -> str:
    if int.from_bytes(content[:4], "little") != len(content) - 4:
        raise ValueError("another length than is said")
    return content[4:].decode()


def _text_or_none(content: bytes) -> str | None:
    return _text(content) or None


def _finite_or_none(number: float | None) -> float | None:
    """A number, None for NaN. Raises ValueError for an infinite one, which JSON has no word for."""
    if number is None or number - number == 0:
        return number
    if number != number:
        return None
    raise ValueError("infinite")


def _integers(values: Values) -> Values:
    return values if isinstance(values, np.ndarray) else integers(values)


def _booleans(values: Values) -> Values:
    return values if isinstance(values, np.ndarray) else booleans(values)


def _texts(values: Values) -> Values:
    if isinstance(values, np.ndarray) or (isinstance(values, RepeatedTexts) and "" not in values.distinct):
        return values
    return [text or None for text in values]
