"""XGBoost's gradient boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.ubjson import check_ubjson
from tabular_bento.scoring.runners.without_scipy import scipy_stood_in
from tabular_bento.tasks import Task

OBJECTIVES = {
    "squared_error": "reg:squarederror",
    "log_loss": "binary:logistic",
    "multiclass_log_loss": "multi:softprob",
}


LEAST_WEIGHT = {"squared_error": 10.0, "log_loss": 0.5, "multiclass_log_loss": 0.5}
"""The weight of a leaf by default. A row of a class counts p (1 - p): a quarter at most, and less the surer it is."""

ROUNDS = 120
"""Rounds where neither a number nor a validation part is given."""

MOST_ROUNDS = 1_000
MOST_TREES = 10_000
PATIENCE = 30
"""Rounds without a smaller loss on the validation part, after which the smallest is taken to be found."""


class XGBoostParameters(base.Parameters):
    """Parameters of `xgboost.train`."""

    rounds: int | None = Field(default=None, ge=1)
    """Trees, of several classes for each class. By default as many as make the loss on the validation part smallest, at
    most 1,000, or 10,000 over all of many classes."""
    max_depth: int = Field(default=6, ge=1)
    """Depth of a tree."""
    learning_rate: float = Field(default=0.08, gt=0)
    """What each tree's correction is multiplied by."""
    min_child_weight: float | None = Field(default=None, ge=0)
    """Fewest rows of a leaf, with squared error; of a classification, each counts p (1 - p). By default 10, and 0.5 of
    a classification."""
    reg_lambda: float = Field(default=1.0, ge=0)
    """L2 regularisation of leaves."""
    subsample: float = Field(default=0.8, gt=0, le=1)
    """Share of rows drawn for each tree."""
    colsample_bytree: float = Field(default=0.8, gt=0, le=1)
    """Share of features drawn for each tree."""

    search: ClassVar[Mapping[str, base.Range]] = MappingProxyType(
        {
            "max_depth": base.Range(2, 10),
            "learning_rate": base.Range(0.01, 0.3, log=True),
            "min_child_weight": base.Range(0.1, 100.0, log=True),
            "reg_lambda": base.Range(0.1, 30.0, log=True),
            "subsample": base.Range(0.5, 1.0),
            "colsample_bytree": base.Range(0.3, 1.0),
        }
    )

    @property
    def needs_validation(self) -> bool:
        return self.rounds is None


class XGBoostRunner:
    """A booster, predicting in place on one thread: with busy neighbours more threads are slower, not faster.

    Parameters
    ----------
    booster : xgboost.Booster
        The fitted trees.
    """

    kind: ClassVar[str] = "xgboost"
    takes: ClassVar[str] = "matrix"
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    losses: ClassVar[tuple[str, ...]] = tuple(OBJECTIVES)
    distribution: ClassVar[str] = "xgboost-cpu"
    Parameters: ClassVar[type[base.Parameters]] = XGBoostParameters
    file: ClassVar[str] = "model.ubj"

    def __init__(self, booster: Any) -> None:
        booster.set_param({"nthread": 1})
        self.booster = booster
        self.chosen: dict[str, int] = {}

    @classmethod
    def fit(
        cls,
        data: base.FittingData,
        parameters: XGBoostParameters,
        task: Task,
        seed: int,
    ) -> Self:
        xgboost = _xgboost()
        settings = parameters.model_dump()
        rounds = settings.pop("rounds")
        objective = base.objective_of(task, OBJECTIVES, cls.kind, data.y)
        given = {"tree_method": "hist", "objective": objective, "seed": seed, **settings}
        if given["min_child_weight"] is None:
            given["min_child_weight"] = LEAST_WEIGHT[task.loss]
        if task.raw_columns > 1:
            given["num_class"] = task.raw_columns
        rows = xgboost.DMatrix(data.X, data.y, weight=data.weights)
        validation = data.validation
        if rounds is not None or validation is None:
            return cls(xgboost.train(given, rows, rounds or ROUNDS))
        unseen = xgboost.DMatrix(validation.X, validation.y, weight=validation.weights)
        booster = xgboost.train(
            given,
            rows,
            min(MOST_ROUNDS, max(MOST_TREES // task.raw_columns, ROUNDS)),
            evals=[(unseen, "validation")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        found = cls(booster[: booster.best_iteration + 1])
        found.chosen = {"rounds": booster.best_iteration + 1}
        return found

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        if not X.shape[0]:
            return base.no_scores(self, X)
        scores: NDArray[np.float32] = self.booster.inplace_predict(X, predict_type="margin", validate_features=False)
        return scores.astype(np.float64).reshape(len(X), -1)

    def explain(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Contributions by exact TreeSHAP (Lundberg et al. 2020), about a millisecond a row; see `ExplainingRunner`."""
        if not len(X):
            return self.explain(np.zeros((1, X.shape[1]), dtype=np.float32))[:0]
        rows = _xgboost().DMatrix(X, nthread=1)
        contributions: NDArray[np.float32] = self.booster.predict(
            rows, pred_contribs=True, strict_shape=True, validate_features=False
        )
        return contributions.astype(np.float64)

    def save(self, directory: Path) -> None:
        self.booster.save_model(directory / self.file)

    @classmethod
    def load(cls, directory: Path) -> Self:
        content = (directory / cls.file).read_bytes()
        check_ubjson(content)
        booster = _xgboost().Booster()
        booster.load_model(bytearray(content))
        return cls(booster)


def _xgboost() -> Any:
    with scipy_stood_in():
        import xgboost

    return xgboost
