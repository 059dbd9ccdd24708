"""Predictions, which stay columns as long as nobody asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.protocol.values import held, json_values
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Output

PREDICTION_ID = "prediction_id"
MODEL = "model"


class PredictionForm:
    """How the predictions of one problem are written, found out once.

    Parameters
    ----------
    declaration : Declaration
        What is predicted.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.outputs = declaration.outputs
        self.parts = {output.name: output.parts for output in self.outputs if output.parts}
        own = () if declaration.identifier is None else (declaration.identifier,)
        self.columns = (PREDICTION_ID, *own, *(output.name for output in self.outputs))
        self.keys = (*self.columns, MODEL)

    @cached_property
    def line(self) -> Any:
        """The type of one prediction that is encoded fastest."""
        return msgspec.defstruct("Prediction", [(name, Any) for name in self.keys], gc=False)


class PredictionBatch(Sequence[dict[str, Any]]):
    """The predictions of n rows by one model: a sequence of JSON objects that is held as columns.

    Parameters
    ----------
    declaration : Declaration
        What is predicted.
    prediction_ids : sequence of str
        n ids.
    identifiers : sequence, optional
        The callers' own ids, JSON values; None where the problem has no identifier.
    outputs : mapping
        For each output, by name, a list of n JSON values or an array of n values as they are held; of an output with
        parts n lists of numbers, or an array of shape [n, parts].
    model : str
        Tag of the model.

    Attributes
    ----------
    columns : tuple
        The n values of each key but `model`, in the order of `form.columns`.
    """

    def __init__(
        self,
        declaration: Declaration,
        prediction_ids: Sequence[str],
        identifiers: Sequence[Any] | None,
        outputs: Mapping[str, Sequence[Any] | NDArray[Any]],
        model: str,
    ) -> None:
        values = [output_values(output, outputs[output.name]) for output in declaration.outputs]
        self.form = PredictionForm(declaration)
        own = () if declaration.identifier is None else (identifiers or (),)
        self.columns: tuple[Sequence[Any], ...] = (prediction_ids, *own, *values)
        self.model = model

    @classmethod
    def of_columns(cls, form: PredictionForm, columns: tuple[Sequence[Any], ...], model: str) -> PredictionBatch:
        """The predictions whose columns are there as JSON values, in the order of `form.columns`."""
        batch = cls.__new__(cls)
        batch.form, batch.columns, batch.model = form, columns, model
        return batch

    @classmethod
    def empty(cls, declaration: Declaration) -> PredictionBatch:
        """No predictions."""
        form = PredictionForm(declaration)
        return cls.of_columns(form, ((),) * len(form.columns), "")

    def column(self, name: str) -> Sequence[Any]:
        """The n values of one key, but not of `model`; of an output with parts, n lists of its parts' numbers."""
        return self.columns[self.form.columns.index(name)]

    def json(self) -> bytes:
        """The objects as a JSON list, faster than by encoding them one by one."""
        columns = self._objects_of_parts() if self.form.parts else self.columns
        return _ENCODER.encode(list(map(self.form.line, *columns, repeat(self.model))))

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> PredictionBatch: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | PredictionBatch:
        if isinstance(index, slice):
            return self.of_columns(self.form, tuple(values[index] for values in self.columns), self.model)
        row = range(len(self))[index]
        return next(iter(self[row : row + 1]))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = self._objects_of_parts() if self.form.parts else self.columns
        return map(dict, map(zip, repeat(self.form.keys), zip(*columns, repeat(self.model), strict=False)))

    def __repr__(self) -> str:
        return repr(list(self))

    def _objects_of_parts(self) -> list[Sequence[Any]]:
        """The columns, each value of an output with parts as an object."""
        parts = self.form.parts
        return [
            [dict(zip(parts[name], value, strict=True)) for value in values] if name in parts else values
            for name, values in zip(self.form.columns, self.columns, strict=True)
        ]


_ENCODER = msgspec.json.Encoder()


def output_values(output: Output, values: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """The values of an output as JSON values, lists of numbers where it has parts."""
    if not isinstance(values, np.ndarray):
        return values
    if output.parts or output.kind is Kind.NUMBER:
        numbers: list[Any] = values.tolist()
        return numbers
    return json_values(output.kind, values)


def held_output(output: Output, values: Sequence[Any]) -> NDArray[Any]:
    """JSON values of an output as arrays, in the form that a package gives them in.

    Parameters
    ----------
    output : Output
        The output.
    values : sequence
        n JSON values; lists of the parts' numbers where it has parts.

    Returns
    -------
    ndarray of shape [n] or [n, parts]
    """
    if output.parts:
        return np.array(values, dtype=np.float64).reshape(len(values), len(output.parts))
    plain = [held(output.kind, value) for value in values]
    return np.array(plain, dtype=Field(output.name, output.kind).dtype)
