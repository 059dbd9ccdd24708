"""What a runner is: a fitted model behind one method, and the file it is kept in."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray


class Runner(Protocol):
    """Predicts the gain from the feature matrix.

    `predict` is row independent: a row's prediction is the same bits in any batch. `file` is written by `save` and
    read by `load` without unpickling anything.
    """

    kind: ClassVar[str]
    file: ClassVar[str]

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Gain in minutes, shape [n], for features of shape [n, features]."""

    def save(self, directory: Path) -> None:
        """Write `file` into `directory`; equal models write equal bytes."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what `save` wrote. Raises an exception of the model's library where it is damaged."""
