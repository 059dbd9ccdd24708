"""A column of texts of which few are distinct, as codes of carriers and airports are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class RepeatedTexts(Sequence[str]):
    """n texts, by their `distinct` values and the place of each among those, an array of shape [n]."""

    def __init__(self, distinct: list[str], places: NDArray[np.intp]) -> None:
        self.distinct = distinct
        self.places = places

    def tolist(self) -> list[str]:
        """The n texts."""
        texts: list[str] = np.array(self.distinct, dtype=object)[self.places].tolist()
        return texts

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> RepeatedTexts: ...
    def __getitem__(self, index: int | slice) -> str | RepeatedTexts:
        if isinstance(index, slice):
            return RepeatedTexts(self.distinct, self.places[index])
        return self.distinct[int(self.places[index])]
