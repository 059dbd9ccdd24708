"""The error model: how wrong the model is likely to be on a row, learnt from months that it had not seen.

It says what error to expect of traffic whose outcomes are not there yet: direct loss estimation (as NannyML calls it;
the idea is that of Guillory et al., Predicting with Confidence on Unseen Distributions, ICCV 2021). Only monitoring
reads it. What it cannot see, such as a storm on the way, it cannot expect: `spread` says how far off it is.
"""

from __future__ import annotations

import numpy as np
import xgboost
from numpy.typing import NDArray

from features.functions import FEATURE_NAMES

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

    `X` is of shape [n, features] and `error` of shape [n]. The means are the booster's attributes.
    """
    labels = _losses(error)
    means = labels.mean(axis=0)
    data = xgboost.DMatrix(X, labels / means, feature_names=list(FEATURE_NAMES))
    booster = xgboost.train({**PARAMETERS, "seed": seed}, data, ROUNDS)
    booster.set_attr(mean_squared=repr(float(means[0])), mean_absolute=repr(float(means[1])))
    return booster


def spread(X: NDArray[np.float32], error: Array, days: NDArray[np.int64], seed: int) -> dict[str, list[float]]:
    """By span in days: the root mean square of ln(realised / estimated), of RMSE and of MAE.

    Each stretch of days is estimated by a model of the others, as it will be for months to come. Nothing where there
    are fewer days than folds.
    """
    distinct, place = np.unique(days, return_inverse=True)
    if len(distinct) < max(FOLDS, 2 * SPANS[0]):
        return {"days": [], "rmse": [], "mae": []}
    fold = place * FOLDS // len(distinct)
    expected = np.empty((len(error), 2))
    for number in range(FOLDS):
        held_out = fold == number
        booster = learn_error_model(X[~held_out], error[~held_out], seed)
        expected[held_out] = booster.inplace_predict(X[held_out], validate_features=False) * _losses(
            error[~held_out]
        ).mean(axis=0)
    sums = [np.stack([np.bincount(place, weights=part) for part in losses.T]) for losses in (_losses(error), expected)]
    found: dict[str, list[float]] = {"days": [], "rmse": [], "mae": []}
    for span in (span for span in SPANS if span <= len(distinct) // 2):
        starts = np.arange(0, len(distinct) - span + 1, span)
        realised, estimated = (np.add.reduceat(part, starts, axis=1)[:, : len(starts)] for part in sums)
        off = np.sqrt((np.log(realised / np.maximum(estimated, 1e-9)) ** 2).mean(axis=1))
        found["days"].append(float(span))
        found["rmse"].append(float(f"{off[0] / 2:.4g}"))  # the root halves the logarithm
        found["mae"].append(float(f"{off[1]:.4g}"))
    return found


def _losses(error: Array) -> Array:
    return np.stack([error**2, np.abs(error)], axis=1)
