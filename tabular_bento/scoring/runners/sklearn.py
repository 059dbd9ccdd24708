"""scikit-learn's histogram gradient boosting, kept by skops, which builds only the types named here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import skops.io
from numpy.typing import NDArray

TRUSTED_TYPES = [
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
"""The types, beyond those skops trusts by itself, that a stored HistGradientBoostingRegressor is made of."""


class SklearnRunner:
    """A fitted HistGradientBoostingRegressor."""

    kind: ClassVar[str] = "sklearn"
    file: ClassVar[str] = "model.skops"

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        prediction: NDArray[np.float64] = self.regressor.predict(X)
        return prediction

    def save(self, directory: Path) -> None:
        skops.io.dump(self.regressor, directory / self.file)

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls(skops.io.load(directory / cls.file, trusted=TRUSTED_TYPES))
