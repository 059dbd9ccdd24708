"""What a model must beat: ways to predict that need no trees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tabular_bento.problem import Declaration

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]

NAIVE = "naive_baseline"
HISTORICAL = "historical_baseline"
RIDGE = "ridge"


def baseline_scores(
    declaration: Declaration, X: Matrix, y: Array, parts: Mapping[str, Matrix]
) -> dict[str, dict[str, Array]]:
    """Raw scores of the baselines.

    `naive_baseline` is the offset where there is one, so that its score is 0, otherwise the mean of the training
    labels. `historical_baseline` is the feature that the problem names as `baseline`; `ridge` is linear in all of them.

    Parameters
    ----------
    declaration : Declaration
        Of the problem.
    X : ndarray of shape [n, features]
        Features of the training rows.
    y : ndarray of shape [n]
        What a runner learns of them.
    parts : mapping
        Features of the rows to predict, by part.

    Returns
    -------
    dict
        By baseline, then by part, scores of shape [rows of the part].
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    overall = float(y.mean())
    naive = overall if declaration.offset is None else 0.0
    found = {NAIVE: {name: np.full(len(part), naive) for name, part in parts.items()}}
    if declaration.baseline is not None:
        column = declaration.feature_names.index(declaration.baseline)
        found[HISTORICAL] = {
            name: np.nan_to_num(part[:, column].astype(np.float64), nan=overall) for name, part in parts.items()
        }
    ridge = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge())
    ridge.fit(X.astype(np.float64), y)
    found[RIDGE] = {name: ridge.predict(part.astype(np.float64)) for name, part in parts.items()}
    return found
