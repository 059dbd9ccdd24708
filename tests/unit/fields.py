"""A runner that takes the fields of the rows: the mean of the target, or the log-odds, by a field of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from tabular_bento.scoring.runners import base
from tabular_bento.tasks import Task


class MeansParameters(base.Parameters):
    """What is learnt."""

    by: str = "kind"
    """The field."""


class MeansRunner:
    """Raw scores by the value of a field."""

    kind: ClassVar[str] = "means"
    takes: ClassVar[str] = base.FIELDS
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = False
    tolerance: ClassVar[float] = 0.0
    losses: ClassVar[tuple[str, ...]] = ("squared_error", "log_loss", "multiclass_log_loss")
    distribution: ClassVar[str] = "numpy"
    Parameters: ClassVar[type[base.Parameters]] = MeansParameters

    def __init__(self, by: str, scores: dict[str, list[float]], other: list[float]) -> None:
        self.by, self.scores, self.other = by, scores, other

    @classmethod
    def fit(cls, data: base.FittingData, parameters: MeansParameters, task: Task, seed: int) -> Self:  # noqa: ARG003
        assert data.columns is not None
        assert data.X.shape == (len(data.y), 0)
        values = np.asarray(data.columns[parameters.by], dtype=object)

        def scores(y: Any) -> list[float]:
            if not task.classes:
                return [float(y.mean())]
            shares = np.log(np.array([np.sum(y == code) + 1 for code in range(len(task.classes))]))
            return [float(shares[1] - shares[0])] if task.raw_columns == 1 else shares.tolist()

        known = sorted({*values.tolist()} - {None})
        return cls(parameters.by, {value: scores(data.y[values == value]) for value in known}, scores(data.y))

    def predict(self, columns: Any) -> Any:
        values = columns[self.by].tolist()
        return np.array([self.scores.get(value, self.other) for value in values]).reshape(len(values), len(self.other))

    def save(self, directory: Path) -> None:
        (directory / "means.json").write_text(json.dumps([self.by, self.scores, self.other]))

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls(*json.loads((directory / "means.json").read_text()))


class UnevenRunner(MeansRunner):
    """One whose scores depend on the batch."""

    kind: ClassVar[str] = "uneven"
    exact: ClassVar[bool] = False

    def predict(self, columns: Any) -> Any:
        return super().predict(columns) + 1e-10 * len(columns[self.by])


RUNNERS = {"means": (__name__, "MeansRunner"), "uneven": (__name__, "UnevenRunner")}
