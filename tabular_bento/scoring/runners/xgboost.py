"""XGBoost's gradient boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

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
"""Rounds where neither a number nor rows to choose it by are given."""

MOST_ROUNDS = 1_000
MOST_TREES = 10_000
PATIENCE = 30
"""Rounds without a smaller loss on unseen rows, after which the smallest is taken to be found."""

FEW_ROWS = 20_000
"""Up to so many rows are learnt from on one thread: several spend their time in waiting for each other."""


class XGBoostParameters(base.Parameters):
    """Parameters of `xgboost.train`."""

    rounds: int | None = Field(default=None, ge=1)
    """Trees, of several classes for each class. By default as many as make the loss smallest on the validation part
    and, of few training rows, on each fold of them; at most 1,000, or 10,000 over all of many classes."""
    max_depth: Annotated[int, Field(ge=1)] | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = 6
    """Depth of a tree, or several of which the one is taken that loses least on the rows that `rounds` is chosen by."""
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
        return self.rounds is None or len(self.depths) > 1

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths to choose from."""
        return self.max_depth if isinstance(self.max_depth, tuple) else (self.max_depth,)


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
        if len(data.X) <= FEW_ROWS:
            given["nthread"] = 1
        depths, given["max_depth"] = parameters.depths, parameters.depths[0]
        if not parameters.needs_validation or not (data.folds or data.validation):
            return cls(xgboost.train(given, _matrix(xgboost, data), rounds or ROUNDS))
        most = rounds or min(MOST_ROUNDS, max(MOST_TREES // task.raw_columns, ROUNDS))
        growths = [_grown(xgboost, data, {**given, "max_depth": depth}, most, rounds is None) for depth in depths]
        best = min(range(len(depths)), key=lambda place: growths[place][0])
        found = cls(growths[best][1])
        found.chosen = {} if rounds is not None else {"rounds": found.booster.num_boosted_rounds()}
        if len(depths) > 1:
            found.chosen["max_depth"] = depths[best]
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


def _matrix(xgboost: Any, data: base.FittingData) -> Any:
    return xgboost.DMatrix(data.X, data.y, weight=data.weights)


def _grown(xgboost: Any, data: base.FittingData, given: dict[str, Any], most: int, stops: bool) -> tuple[float, Any]:
    """The loss on unseen rows, and the booster of all rows; where it `stops`, of the rounds that make it smallest.

    The unseen rows are those of the validation part, and of each fold, which a booster of the other folds predicts. All
    boosters grow by a round at a time; they draw from one stream of random numbers, so that the last is fitted by
    itself.
    """
    whole = _matrix(xgboost, data)
    learnt = [whole, *(_matrix(xgboost, each) for each in data.folds)]
    unseen = [each.validation and _matrix(xgboost, each.validation) for each in (data, *data.folds)]
    boosters = [xgboost.Booster(given, [rows]) for rows in learnt]
    loss, smallest, best = np.inf, np.inf, 0
    for number in range(most):
        loss = 0.0
        for booster, seen, rows in zip(boosters, learnt, unseen, strict=True):
            booster.update(seen, number)
            if rows is not None and (stops or number == most - 1):
                loss += _total_loss(booster, rows)
        if stops and loss < smallest:
            smallest, best = loss, number + 1
        elif stops and number + 1 - best >= PATIENCE:
            break
    smallest, best = (smallest, max(best, 1)) if stops else (loss, most)
    return smallest, xgboost.train(given, whole, best) if data.folds else boosters[0][:best]


def _total_loss(booster: Any, rows: Any) -> float:
    """What rows cost a booster, each by its weight: squared errors, or the log loss."""
    metric, value = booster.eval(rows).rsplit("\t", 1)[1].rsplit("-", 1)[1].rsplit(":", 1)
    weights = rows.get_weight()
    total = float(weights.sum()) if len(weights) else float(rows.num_row())
    return total * (float(value) ** 2 if metric == "rmse" else float(value))


def _xgboost() -> Any:
    with scipy_stood_in():
        import xgboost

    return xgboost
