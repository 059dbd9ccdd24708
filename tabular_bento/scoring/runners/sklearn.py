"""scikit-learn's histogram gradient boosting, kept by skops, which builds only the types named here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.skops_files import canonical
from tabular_bento.tasks import Task

TRUSTED_TYPES = [
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
"""The types, beyond those skops trusts by itself, that a stored HistGradientBoosting estimator is made of."""

_LIGHT = 1e-3
"""What a made-up row counts against the mean of the others."""

LOSSES = {"squared_error": "squared_error", "log_loss": "log_loss", "multiclass_log_loss": "log_loss"}


class SklearnParameters(base.Parameters):
    """Parameters of `sklearn.ensemble.HistGradientBoostingRegressor` and `HistGradientBoostingClassifier`."""

    max_iter: int = Field(default=200, ge=1)
    """Trees."""
    learning_rate: float = Field(default=0.05, gt=0)
    """What each tree's correction is multiplied by."""
    max_leaf_nodes: int = Field(default=31, ge=2)
    """Most leaves of a tree."""
    min_samples_leaf: int = Field(default=20, ge=1)
    """Fewest rows of a leaf."""
    l2_regularization: float = Field(default=1.0, ge=0)
    """L2 regularisation of leaves."""

    search: ClassVar[Mapping[str, base.Range]] = MappingProxyType(
        {
            "max_iter": base.Range(30, 600, log=True),
            "learning_rate": base.Range(0.01, 0.3, log=True),
            "max_leaf_nodes": base.Range(4, 127, log=True),
            "min_samples_leaf": base.Range(2, 200, log=True),
            "l2_regularization": base.Range(0.01, 30.0, log=True),
        }
    )


class SklearnRunner:
    """A fitted HistGradientBoostingRegressor, or HistGradientBoostingClassifier.

    Parameters
    ----------
    estimator : HistGradientBoostingRegressor or HistGradientBoostingClassifier
        The fitted trees.
    """

    kind: ClassVar[str] = "sklearn"
    takes: ClassVar[str] = "matrix"
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = False
    tolerance: ClassVar[float] = 0.0
    losses: ClassVar[tuple[str, ...]] = tuple(LOSSES)
    distribution: ClassVar[str] = "scikit-learn"
    Parameters: ClassVar[type[base.Parameters]] = SklearnParameters
    file: ClassVar[str] = "model.skops"

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self._scores = getattr(estimator, "decision_function", estimator.predict)

    @classmethod
    def fit(
        cls,
        data: base.FittingData,
        parameters: SklearnParameters,
        task: Task,
        seed: int,
    ) -> Self:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        loss = base.objective_of(task, LOSSES, cls.kind, data.y)
        X, y, weights = _without_empty_columns(data.X), data.y, data.weights
        estimator = HistGradientBoostingRegressor if loss == "squared_error" else HistGradientBoostingClassifier
        if loss == "log_loss":
            X, y, weights = _with_every_class(X, y, weights, max(2, task.raw_columns))
        settings = {**parameters.model_dump(), "early_stopping": False, "random_state": seed}
        return cls(estimator(loss=loss, **settings).fit(X, y, sample_weight=weights))

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        if not len(X):
            return base.no_scores(self, X)
        scores: NDArray[np.float64] = self._scores(X)
        return scores.reshape(len(X), -1)

    def save(self, directory: Path) -> None:
        import skops.io

        # The bytes depend on which equal values are one object, which loading brings into one form.
        loaded = skops.io.loads(skops.io.dumps(self.estimator), trusted=TRUSTED_TYPES)
        (directory / self.file).write_bytes(canonical(skops.io.dumps(loaded)))

    @classmethod
    def load(cls, directory: Path) -> Self:
        import skops.io

        return cls(skops.io.load(directory / cls.file, trusted=TRUSTED_TYPES))


def _without_empty_columns(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matrix with zeros in columns that have no value, which the estimator cannot bin; no tree asks for either."""
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, np.float32(0), X) if empty.any() else X


def _with_every_class(
    X: NDArray[np.float32], y: NDArray[np.float64], weights: NDArray[np.float64] | None, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64] | None]:
    """The training rows, with one of nothing but gaps and little weight for each class that has none.

    The classifier has a column of scores for each class that it has met.
    """
    absent = np.setdiff1d(np.arange(classes, dtype=np.float64), y)
    if not len(absent):
        return X, y, weights
    gaps = np.full((len(absent), X.shape[1]), np.nan, dtype=np.float32)
    counted = np.ones(len(y)) if weights is None else weights
    light = np.full(len(absent), _LIGHT * counted.mean())
    return np.concatenate([X, gaps]), np.concatenate([y, absent]), np.concatenate([counted, light])
