"""XGBoost's gradient boosted trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.without_scipy import scipy_stood_in
from tabular_bento.tasks import Task

OBJECTIVES = {
    "squared_error": "reg:squarederror",
    "log_loss": "binary:logistic",
    "multiclass_log_loss": "multi:softprob",
}


class XGBoostParameters(base.Parameters):
    """Parameters of `xgboost.train`."""

    rounds: int = Field(default=120, ge=1)
    """Trees."""
    max_depth: int = Field(default=6, ge=1)
    """Depth of a tree."""
    learning_rate: float = Field(default=0.08, gt=0)
    """What each tree's correction is multiplied by."""
    min_child_weight: float = Field(default=10.0, ge=0)
    """Fewest rows of a leaf, with squared error; of a classification, each counts p (1 - p)."""
    reg_lambda: float = Field(default=1.0, ge=0)
    """L2 regularisation of leaves."""
    subsample: float = Field(default=0.8, gt=0, le=1)
    """Share of rows drawn for each tree."""
    colsample_bytree: float = Field(default=0.8, gt=0, le=1)
    """Share of features drawn for each tree."""


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
    distribution: ClassVar[str] = "xgboost-cpu"
    Parameters: ClassVar[type[base.Parameters]] = XGBoostParameters
    file: ClassVar[str] = "model.ubj"

    def __init__(self, booster: Any) -> None:
        booster.set_param({"nthread": 1})
        self.booster = booster

    @classmethod
    def fit(
        cls,
        X: NDArray[np.float32],
        y: NDArray[np.float64],
        parameters: XGBoostParameters,
        task: Task,
        seed: int,
        weights: NDArray[np.float64] | None = None,
    ) -> Self:
        xgboost = _xgboost()
        settings = parameters.model_dump()
        rounds = settings.pop("rounds")
        objective = base.objective_of(task, OBJECTIVES, cls.kind, y)
        given = {"tree_method": "hist", "objective": objective, "seed": seed, **settings}
        if task.raw_columns > 1:
            given["num_class"] = task.raw_columns
        return cls(xgboost.train(given, xgboost.DMatrix(X, y, weight=weights), rounds))

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float32] = self.booster.inplace_predict(X, predict_type="margin", validate_features=False)
        return scores.astype(np.float64).reshape(len(X), -1 if len(X) else 1)

    def save(self, directory: Path) -> None:
        self.booster.save_model(directory / self.file)

    @classmethod
    def load(cls, directory: Path) -> Self:
        booster = _xgboost().Booster()
        booster.load_model(directory / cls.file)
        return cls(booster)


def _xgboost() -> Any:
    with scipy_stood_in():
        import xgboost

    return xgboost
