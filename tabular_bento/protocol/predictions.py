"""Predictions, which stay columns as long as nobody asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.protocol.values import json_values
from tabular_bento.schema import Kind
from tabular_bento.tasks import Output

PREDICTION_ID = "prediction_id"
MODEL = "model"


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
    """

    def __init__(
        self,
        declaration: Declaration,
        prediction_ids: Sequence[str],
        identifiers: Sequence[Any] | None,
        outputs: Mapping[str, Sequence[Any] | NDArray[Any]],
        model: str,
    ) -> None:
        self.declaration = declaration
        self.model = model
        self._columns: dict[str, Sequence[Any]] = {PREDICTION_ID: prediction_ids}
        self._parts: dict[str, tuple[str, ...]] = {}
        if declaration.identifier is not None:
            self._columns[declaration.identifier] = () if identifiers is None else identifiers
        for output in declaration.outputs:
            self._columns[output.name] = output_values(output, outputs[output.name])
            if output.parts:
                self._parts[output.name] = output.parts

    @classmethod
    def empty(cls, declaration: Declaration) -> PredictionBatch:
        """No predictions."""
        return cls(declaration, (), (), {output.name: () for output in declaration.outputs}, "")

    def column(self, name: str) -> Sequence[Any]:
        """The n values of one key, but not of `model`; of an output with parts, n lists of its parts' numbers."""
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns[PREDICTION_ID])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> PredictionBatch: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | PredictionBatch:
        if isinstance(index, slice):
            part = object.__new__(PredictionBatch)
            part.declaration, part.model, part._parts = self.declaration, self.model, self._parts
            part._columns = {name: values[index] for name, values in self._columns.items()}
            return part
        return self._objects([[values[index]] for values in self._columns.values()])[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._objects(self._columns.values()))

    def __repr__(self) -> str:
        return repr(list(self))

    def _objects(self, columns: Any) -> list[dict[str, Any]]:
        names, model = (*self._columns, MODEL), self.model
        objects = [dict(zip(names, (*values, model), strict=True)) for values in zip(*columns, strict=True)]
        for name, parts in self._parts.items():
            for item in objects:
                item[name] = dict(zip(parts, item[name], strict=True))
        return objects


def output_values(output: Output, values: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """The values of an output as JSON values, lists of numbers where it has parts."""
    if not isinstance(values, np.ndarray):
        return values
    if output.parts or output.kind is Kind.NUMBER:
        numbers: list[Any] = values.tolist()
        return numbers
    return json_values(output.kind, values)
