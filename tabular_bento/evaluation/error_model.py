"""The error model: how wrong the model is likely to be on a row, learnt from rows that it had not seen.

It says what error to expect of traffic whose labels are not there yet: direct loss estimation (as NannyML calls it;
the idea is that of Guillory et al., Predicting with Confidence on Unseen Distributions, ICCV 2021). Only monitoring
reads it. What it cannot see, such as a storm on the way, it cannot expect: `spread` says how far off it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xgboost

Array = NDArray[np.float64]

PARAMETERS = {
    "tree_method": "hist",
    "objective": "reg:squarederror",  # of the errors themselves, so that their mean comes out right
    "base_score": 1.0,
    "max_depth": 3,
    "learning_rate": 0.1,
    "min_child_weight": 500,
    "reg_lambda": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
}
ROUNDS = 40
FOLDS = 4
SPANS = (1, 2, 4, 7, 14)
"""Days of the windows that the spread is measured on."""


def learn_error_model(X: NDArray[np.float32], error: Array, seed: int) -> xgboost.Booster:
    """A booster of two outputs, the squared and the absolute error, each over its mean in `error`.

    Parameters
    ----------
    X : ndarray of shape [n, features]
        Features of rows that the model had not seen.
    error : ndarray of shape [n]
        Predictions of them less their labels.
    seed : int
        Of the draws of rows and features.

    Returns
    -------
    xgboost.Booster
        The means are its attributes `mean_squared` and `mean_absolute`.
    """
    import xgboost

    labels = losses_of(error)
    means = np.where(labels.any(axis=0), labels.mean(axis=0), 1.0)
    booster = xgboost.train({**PARAMETERS, "seed": seed}, xgboost.DMatrix(X, labels / means), ROUNDS)
    booster.set_attr(mean_squared=repr(float(means[0])), mean_absolute=repr(float(means[1])))
    return booster


def spread(X: NDArray[np.float32], error: Array, days: NDArray[np.int64] | None, seed: int) -> dict[str, list[float]]:
    """By span in days, the root mean square of ln(observed / estimated), of RMSE and of MAE.

    Each stretch of days is estimated by a model of the others, as it will be for months to come. Nothing where there
    are fewer days than folds, or no event time.

    Parameters
    ----------
    X, error, seed
        As of `learn_error_model`.
    days : ndarray of shape [n], optional
        The day of each row.
    """
    distinct, index = np.unique(np.empty(0) if days is None else days, return_inverse=True)
    if days is None or len(distinct) < max(FOLDS, 2 * SPANS[0]):
        return {"days": [], "rmse": [], "mae": []}
    fold = index * FOLDS // len(distinct)
    expected = np.empty((len(error), 2))
    for number in range(FOLDS):
        held_out = fold == number
        booster = learn_error_model(X[~held_out], error[~held_out], seed)
        expected[held_out] = booster.inplace_predict(X[held_out], validate_features=False) * losses_of(
            error[~held_out]
        ).mean(axis=0)
    both = (losses_of(error), expected)
    sums = [np.stack([np.bincount(index, weights=part) for part in losses.T]) for losses in both]
    found: dict[str, list[float]] = {"days": [], "rmse": [], "mae": []}
    for span in (span for span in SPANS if span <= len(distinct) // 2):
        starts = np.arange(0, len(distinct) - span + 1, span)
        observed, estimated = (np.add.reduceat(part, starts, axis=1)[:, : len(starts)] for part in sums)
        off = np.sqrt((np.log(np.maximum(observed, 1e-9) / np.maximum(estimated, 1e-9)) ** 2).mean(axis=1))
        found["days"].append(float(span))
        found["rmse"].append(float(f"{off[0] / 2:.4g}"))  # the root halves the logarithm
        found["mae"].append(float(f"{off[1]:.4g}"))
    return found


def mean_losses(booster: xgboost.Booster, X: NDArray[np.float32]) -> Array:
    """The squared and the absolute error that an error model expects of n rows, shape [n, 2]."""
    means = np.array([float(booster.attr(name)) for name in ("mean_squared", "mean_absolute")])
    expected = np.maximum(booster.inplace_predict(X, validate_features=False) * means, 0.0)
    return np.asarray(expected.astype(np.float64))


def load_error_model(path: Path) -> xgboost.Booster:
    """One that `learn_error_model` made and that was saved; it predicts in one thread."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(path)
    booster.set_param({"nthread": 1})
    return booster


def losses_of(error: Array) -> Array:
    """The squared and the absolute errors, shape [n, 2]."""
    return np.stack([error**2, np.abs(error)], axis=1)
