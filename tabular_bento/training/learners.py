"""One learner for each runner: features and gains in, a fitted runner out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from features.functions import FEATURE_NAMES
from tabular_bento.scoring.runners import Runner
from tabular_bento.scoring.runners.sklearn import SklearnRunner
from tabular_bento.scoring.runners.xgboost import XGBoostRunner
from tabular_bento.training.config import TrainingConfig


def learn(config: TrainingConfig, X: NDArray[np.float32], gain: NDArray[np.float64]) -> Runner:
    """A runner of kind `config.runner`, fitted on features [n, features] and gains [n].

    Features that the configuration withholds are missing in every row, so that no tree asks for them: the model is
    served like any other, and answers the same whatever they hold.
    """
    return _LEARNERS[config.runner](config, _without(X, config.withheld), gain)


def _without(X: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
    if not names:
        return X
    shown = X.copy()
    shown[:, [FEATURE_NAMES.index(name) for name in names]] = np.nan
    return shown


def _xgboost(config: TrainingConfig, X: NDArray[np.float32], gain: NDArray[np.float64]) -> Runner:
    parameters = config.xgboost.model_dump()
    rounds = parameters.pop("rounds")
    data = xgboost.DMatrix(X, gain, feature_names=list(FEATURE_NAMES))
    booster = xgboost.train({"tree_method": "hist", "seed": config.seed, **parameters}, data, rounds)
    return XGBoostRunner(booster)


def _sklearn(config: TrainingConfig, X: NDArray[np.float32], gain: NDArray[np.float64]) -> Runner:
    regressor = HistGradientBoostingRegressor(
        **config.sklearn.model_dump(), early_stopping=False, random_state=config.seed
    )
    return SklearnRunner(regressor.fit(X, gain))


_LEARNERS = {"xgboost": _xgboost, "sklearn": _sklearn}
