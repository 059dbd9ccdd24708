"""LightGBM's gradient boosted trees, kept in its text format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.errors import PackageError, TrainingError
from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.without_scipy import scipy_stood_in
from tabular_bento.tasks import Task

OBJECTIVES = {"squared_error": "regression", "log_loss": "binary", "multiclass_log_loss": "multiclass"}

ROUNDS = 120
"""Rounds where neither a number nor a validation part is given."""

MOST_ROUNDS = 1_000
MOST_TREES = 10_000
PATIENCE = 30
"""Rounds without a smaller loss on the validation part, after which the smallest is taken to be found."""

SUM_FILE = "model.json"

_FIXED = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "bagging_freq": 1}


class LightGBMParameters(base.Parameters):
    """Parameters of `lightgbm.train`."""

    rounds: int | None = Field(default=None, ge=1)
    """Trees, of several classes for each class. By default as many as make the loss on the validation part smallest, at
    most 1,000, or 10,000 over all of many classes."""
    num_leaves: int = Field(default=31, ge=2)
    """Most leaves of a tree."""
    learning_rate: float = Field(default=0.05, gt=0)
    """What each tree's correction is multiplied by."""
    min_data_in_leaf: int = Field(default=20, ge=1)
    """Fewest rows of a leaf."""
    lambda_l2: float = Field(default=1.0, ge=0)
    """L2 regularisation of leaves."""
    bagging_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of rows drawn for each tree."""
    feature_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of features drawn for each tree."""
    categorical: bool = False
    """Whether codes are split into sets of codes instead of by their size."""

    search: ClassVar[Mapping[str, base.Range]] = MappingProxyType(
        {
            "num_leaves": base.Range(4, 127, log=True),
            "learning_rate": base.Range(0.01, 0.3, log=True),
            "min_data_in_leaf": base.Range(2, 200, log=True),
            "lambda_l2": base.Range(0.01, 30.0, log=True),
            "bagging_fraction": base.Range(0.5, 1.0),
            "feature_fraction": base.Range(0.3, 1.0),
        }
    )

    @property
    def needs_validation(self) -> bool:
        return self.rounds is None


class LightGBMRunner:
    """A booster, predicting on one thread.

    Parameters
    ----------
    text : str
        The fitted trees, as LightGBM writes them.
    """

    kind: ClassVar[str] = "lightgbm"
    takes: ClassVar[str] = "matrix"
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    losses: ClassVar[tuple[str, ...]] = tuple(OBJECTIVES)
    distribution: ClassVar[str] = "lightgbm"
    Parameters: ClassVar[type[base.Parameters]] = LightGBMParameters
    file: ClassVar[str] = "model.txt"

    def __init__(self, text: str) -> None:
        self.text = text
        self.chosen: dict[str, int] = {}
        self.booster = _lightgbm(PackageError).Booster(model_str=text)

    @classmethod
    def fit(cls, data: base.FittingData, parameters: LightGBMParameters, task: Task, seed: int) -> Self:
        lightgbm = _lightgbm(TrainingError)
        objective = base.objective_of(task, OBJECTIVES, cls.kind, data.y)
        given = {
            **parameters.model_dump(exclude={"rounds", "categorical"}),
            **_FIXED,
            "objective": objective,
            "seed": seed,
        }
        if task.raw_columns > 1:
            given["num_class"] = task.raw_columns
        categorical = list(data.coded) if parameters.categorical else []
        rows = lightgbm.Dataset(data.X, data.y, weight=data.weights, categorical_feature=categorical, params=given)
        rounds, validation = parameters.rounds, data.validation
        if rounds is not None or validation is None:
            return cls(lightgbm.train(given, rows, rounds or ROUNDS).model_to_string())
        unseen = rows.create_valid(validation.X, validation.y, weight=validation.weights)
        most = min(MOST_ROUNDS, max(MOST_TREES // task.raw_columns, ROUNDS))
        stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
        booster = lightgbm.train(given, rows, most, valid_sets=[unseen], callbacks=[stopping])
        found = cls(booster.model_to_string(num_iteration=booster.best_iteration))
        found.chosen = {"rounds": booster.best_iteration}
        return found

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        if not len(X):
            return base.no_scores(self, X)
        scores: NDArray[np.float64] = self.booster.predict(X, raw_score=True, num_threads=1)
        return scores.reshape(len(X), -1)

    def explain(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Contributions by exact TreeSHAP, see `ExplainingRunner`."""
        if not len(X):
            return self.explain(np.zeros((1, X.shape[1]), dtype=np.float32))[:0]
        contributions: NDArray[np.float64] = self.booster.predict(X, pred_contrib=True, num_threads=1)
        return contributions.reshape(len(X), -1, X.shape[1] + 1)

    def save(self, directory: Path) -> None:
        content = self.text.encode()
        (directory / self.file).write_bytes(content)
        document = {"sha256": hashlib.sha256(content).hexdigest()}
        (directory / SUM_FILE).write_text(json.dumps(document) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a model whose sum is right: LightGBM may end the process on a file that is damaged."""
        content = (directory / cls.file).read_bytes()
        wanted = json.loads((directory / SUM_FILE).read_text(encoding="utf-8"))["sha256"]
        if hashlib.sha256(content).hexdigest() != wanted:
            raise ValueError(f"its SHA-256 sum is not the one in {SUM_FILE}")
        return cls(content.decode())


def _lightgbm(refusal: type[Exception]) -> Any:
    """The library; `refusal` where the system lacks the OpenMP library that its wheels leave out."""
    try:
        with scipy_stood_in():
            import lightgbm
    except OSError as error:
        raise refusal(
            f"LightGBM cannot be loaded ({error}): install the OpenMP library of the system, "
            "as by apt-get install libgomp1."
        ) from error
    return lightgbm
