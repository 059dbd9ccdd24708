"""The errors to expect of a regression whose rows have no event time: how far windows of random rows are off.

Without days nothing says how stretches of time differ, so the interval allows for chance alone: that of the window's
rows and that of the rows that the error model was learnt from, see `tolerance`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.error_model import FOLDS, learn_error_model, load_error_model, losses_of, mean_losses
from tabular_bento.evaluation.reference.calibration import rounded
from tabular_bento.evaluation.reference.estimate import Estimate, Withheld, feature_matrix
from tabular_bento.evaluation.reference.tolerance import WIDEST, Tolerance, Window, learn_tolerances
from tabular_bento.scoring.package import ERROR_MODEL_FILE

if TYPE_CHECKING:
    import xgboost

Array = NDArray[np.float64]

LOSSES = {"rmse": 2, "mae": 1}
"""The metrics of the two losses, and which root of the mean loss each is."""

MOST = 3.0
"""An estimate that may be off by e to this is none."""

LEAST_ROWS = 50
"""Rows below which nothing is learnt of others."""


def learn_row_errors(X: NDArray[np.float32], error: Array, seed: int) -> dict[str, Any]:
    """The entry `estimate` of a profile's `error`; for fewer than `LEAST_ROWS` rows with a label their number alone.

    Parameters
    ----------
    X : ndarray of shape [n, features]
        Features of rows that the model had not seen.
    error : ndarray of shape [n]
        Predictions of them less their labels; NaN is left out.
    seed : int
        Of folds and error models.
    """
    known = ~np.isnan(error)
    X, error = X[known], error[known]
    if len(error) < LEAST_ROWS:
        return {"rows": len(error)}
    fold = np.random.default_rng(seed).permutation(len(error)) % FOLDS
    expected = np.empty((len(error), len(LOSSES)))
    for number in range(FOLDS):
        held_out = fold == number
        expected[held_out] = mean_losses(learn_error_model(X[~held_out], error[~held_out], seed), X[held_out])
    residuals = dict(zip(LOSSES, (losses_of(error) - expected).T, strict=True))
    squares = (expected**2).mean(axis=0).tolist()
    return {
        **learn_tolerances(residuals, None),
        "expected": {name: rounded(value) for name, value in zip(LOSSES, squares, strict=True)},
    }


class RowErrors:
    """A package's error model of rows without an event time.

    Parameters
    ----------
    booster : Booster
        Made by `learn_error_model`; of too few rows it is not used.
    entry : dict
        What `learn_row_errors` returned.
    features : tuple of str
        Names of the features.
    """

    def __init__(self, booster: xgboost.Booster, entry: dict[str, Any], features: tuple[str, ...]) -> None:
        self._booster, self._entry, self._features = booster, entry, features
        self._tolerance = {name: Tolerance.read(entry, name) for name in entry.get("off", {})}

    @classmethod
    def read(cls, directory: Path, error: dict[str, Any], features: tuple[str, ...]) -> RowErrors | None:
        """That of the package in `directory`, whose problem has these features; None where it has none."""
        path, entry = directory / ERROR_MODEL_FILE, error.get("estimate", {})
        if not features or not path.exists() or not ("off" in entry or "rows" in entry):
            return None
        return cls(load_error_model(path), entry, features)

    def estimate(self, features: NDArray[np.float32], rows: int | None = None) -> Estimate | Withheld | None:
        """The error to expect of n rows, or why there is no estimate; None for no rows.

        Parameters
        ----------
        features : ndarray of shape [n, features]
            Of the rows.
        rows : int, optional
            How many rows they are a sample of; by default all.
        """
        n = len(features)
        if not n:
            return None
        if not self._tolerance:
            return Withheld(
                f"{self._entry['rows']:,} rows with a label that the model had not seen are there to learn from, and "
                f"{LEAST_ROWS} are needed"
            )
        window, learnt = Window(n, max(rows or n, n), 1.0), self._tolerance["rmse"].off.rows
        if window.rows > learnt:
            return Withheld(
                f"it would be learnt from {learnt:,} rows that the model had not seen, and a window of more, of "
                f"{window.rows:,}, may hold errors that are larger than any of theirs"
            )
        found: dict[str, Any] = {}
        for expected, (name, root) in zip(mean_losses(self._booster, features).T, LOSSES.items(), strict=True):
            tolerance, usual = self._tolerance[name], self._entry["expected"][name]
            value = float(expected.mean()) + tolerance.off.mean
            # The deviation of a loss goes with its mean, as that of squares of errors of one shape does.
            noise = float((expected**2).mean()) / usual if usual else 1.0
            reach, of_labels = tolerance.reach(noise, float(expected.var()), window)
            off = reach / value / root if value > 0 else np.inf  # of the logarithm: up by a factor as likely as down
            if root * value * np.sinh(min(off, MOST)) > WIDEST * of_labels or off > MOST:
                return tolerance.withheld(window)
            factor = float(np.exp(off))
            level = float(value ** (1 / root))
            found |= {name: level, f"{name}_interval": (level / factor, level * factor)}
        return Estimate(n=n, **found)

    def estimate_sample(
        self,
        sample: pa.Table,
        event: str | None,  # noqa: ARG002
        days: float,  # noqa: ARG002
        resamples: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        rows: int | None = None,
    ) -> Estimate | Withheld | None:
        """The same of rows as they were logged; None where they lack a feature. Nothing is drawn at random."""
        features = feature_matrix(sample, self._features)
        return None if features is None else self.estimate(features, rows)
