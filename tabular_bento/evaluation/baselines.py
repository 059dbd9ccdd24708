"""What a model must beat: three ways to predict that need no trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.definition import HISTORICAL_GAIN
from features.functions import FEATURE_NAMES

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]

_HISTORICAL_GAIN = FEATURE_NAMES.index(HISTORICAL_GAIN)


def baseline_gains(X: Matrix, gain: Array, parts: dict[str, Matrix]) -> dict[str, dict[str, Array]]:
    """Predicted gains by baseline, then by part; X [n, features] and gain [n] are the training flights'.

    `zero_gain` arrives as late as it left, `HISTORICAL_GAIN` catches up what the carrier did on the route before, and
    `ridge` is linear in all features.
    """
    overall = float(gain.mean())
    ridge = make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(X.astype(np.float64), gain)
    return {
        "zero_gain": {name: np.zeros(len(part)) for name, part in parts.items()},
        HISTORICAL_GAIN: {
            name: np.nan_to_num(part[:, _HISTORICAL_GAIN].astype(np.float64), nan=overall)
            for name, part in parts.items()
        },
        "ridge": {name: ridge.predict(part.astype(np.float64)) for name, part in parts.items()},
    }
