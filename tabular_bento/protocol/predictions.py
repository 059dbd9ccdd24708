"""Answers, which stay columns as long as nobody asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from features.definition import TARGET

_NAMES = ("prediction_id", "id", TARGET.name)


class Answers(Sequence[dict[str, Any]]):
    """What n rows are answered by the model of one tag: a sequence of JSON objects that is held as columns."""

    def __init__(self, prediction_ids: Sequence[str], ids: Sequence[Any], targets: Sequence[float], model: str) -> None:
        self._columns = (prediction_ids, ids, targets)
        self.model = model

    def column(self, name: str) -> Sequence[Any]:
        """The values of one key, shape [n]; not of `model`."""
        return self._columns[_NAMES.index(name)]

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Answers: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Answers:
        prediction_ids, ids, targets = self._columns
        if isinstance(index, slice):
            return Answers(prediction_ids[index], ids[index], targets[index], self.model)
        return self._answer(prediction_ids[index], ids[index], targets[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._answer, *self._columns)

    def __repr__(self) -> str:
        return repr(list(self))

    def _answer(self, prediction_id: str, own_id: str | None, target: float) -> dict[str, Any]:
        return {"prediction_id": prediction_id, "id": own_id, TARGET.name: target, "model": self.model}
