"""XGBoost's gradient boosted trees."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.scoring.runners.without_scipy import scipy_stood_in

with scipy_stood_in():
    import xgboost


class XGBoostRunner:
    """A booster, predicting in place on one thread: with busy neighbours more threads are slower, not faster."""

    kind: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"

    def __init__(self, booster: xgboost.Booster) -> None:
        booster.set_param({"nthread": 1})
        self.booster = booster

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        gain: NDArray[np.float32] = self.booster.inplace_predict(X, validate_features=False)
        return gain.astype(np.float64)

    def save(self, directory: Path) -> None:
        self.booster.save_model(directory / self.file)

    @classmethod
    def load(cls, directory: Path) -> Self:
        booster = xgboost.Booster()
        booster.load_model(directory / cls.file)
        return cls(booster)
