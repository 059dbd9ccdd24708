"""Made-up tables that runners are checked on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.tasks import Binary, Multiclass, Regression, Task

Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]
"""What a runner predicts from: a matrix, or columns by the name of the field."""

TASKS: tuple[Task, ...] = (
    Regression(Field("cost", Kind.NUMBER)),
    Binary(Field("late", Kind.BOOLEAN)),
    Multiclass(Field("grade", Kind.TEXT), classes=("a", "b", "c", "d")),
)
"""One task of each loss of this library."""

NAMES = ("signal", "gaps", "noise", "city_code", "constant", "empty")
"""Features of the made-up table."""

ROWS = 400

_CODES = 6
_CODED = NAMES.index("city_code")


def made_up(task: Task, with_validation: bool = False, seed: int = 0) -> FittingData:
    """400 rows with the features `NAMES`, of which the first and the code say something of the label.

    Parameters
    ----------
    task : Task
        Regression, binary or multiclass.
    with_validation : bool
        Whether there are 400 more for validation.
    seed : int
        Of the random numbers.
    """
    random = np.random.default_rng(seed)
    X = random.normal(size=(ROWS, len(NAMES))).astype(np.float32)
    X[:, _CODED] = random.integers(0, _CODES, ROWS)
    score = X[:, 0] + (X[:, _CODED] % 2) + random.normal(0, 0.5, ROWS)
    X[random.random(ROWS) < 0.3, 1] = np.nan
    X[random.random(ROWS) < 0.03, 0] = np.nan
    X[:, -2], X[:, -1] = 7, np.nan
    y = score.astype(np.float64)
    if task.classes:
        y = np.digitize(score, np.quantile(score, np.linspace(0, 1, len(task.classes) + 1)[1:-1])).astype(np.float64)
    validation = made_up(task, seed=seed + 1) if with_validation else None
    return FittingData(X, y, None, validation, NAMES, (_CODED,))


def length(inputs: Inputs) -> int:
    """The number of rows."""
    return len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)


def taken(inputs: Inputs, places: Any) -> Inputs:
    """Some of the rows."""
    if isinstance(inputs, Mapping):
        return {name: values[places] for name, values in inputs.items()}
    return np.ascontiguousarray(inputs[places])
