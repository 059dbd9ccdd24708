"""Fitting the calibration of a classifier, on rows that nothing else was fitted on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.tasks import Calibration

Array = NDArray[np.float64]
Method = Literal["none", "platt", "isotonic"]

LEAST_ROWS = {"platt": 50, "isotonic": 200}
"""Rows of the calibration part: two numbers ask for fewer than a curve does."""

LEAST_OF_A_CLASS = 5
"""Rows of each class in the calibration part."""

_CURVE = 2
"""Numbers of a logistic curve: its slope and its intercept."""

_SMALLEST = 1e-15


def fit_calibration(probability: Array, codes: Array, method: Method, threshold: float = 0.5) -> Calibration:
    """The calibration of a classifier.

    Of more than two classes each is calibrated against the rest, and rows are made to add up to 1 (Zadrozny and Elkan,
    Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002).

    Parameters
    ----------
    probability : ndarray of shape [n, k]
        Its probabilities of rows that it was not fitted on.
    codes : ndarray of shape [n]
        Their labels.
    method : {"none", "platt", "isotonic"}
        `platt` is a logistic curve of the log-odds (Platt, 1999), drawn towards the model's own probabilities where the
        rows hardly contradict them; `isotonic` is the best curve that never falls.
    threshold : float
        The decision threshold.
    """
    if method == "none":
        return Calibration("none", {}, threshold)
    fit = _platt if method == "platt" else _isotonic
    columns = [1] if probability.shape[1] == 2 else range(probability.shape[1])
    curves = [fit(probability[:, column], (codes == column).astype(np.float64)) for column in columns]
    return Calibration(method, {name: [curve[name] for curve in curves] for name in curves[0]}, threshold)


def _platt(probability: Array, is_label: Array) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression

    # Platt's targets, away from 0 and 1: each row counts in both classes, by how likely it is in each.
    positive = is_label.sum()
    high, low = (positive + 1) / (positive + 2), 1 / (len(is_label) - positive + 2)
    target = np.where(is_label == 1, high, low)
    odds = np.log(np.maximum(probability, _SMALLEST)) - np.log(np.maximum(1 - probability, _SMALLEST))
    model = LogisticRegression(C=np.inf, max_iter=1000)
    model.fit(
        np.concatenate([odds, odds])[:, None],
        np.repeat([1, 0], len(odds)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    kept = _kept(2 * (_log_loss(odds, target) - _log_loss(slope * odds + intercept, target)))
    return {"slope": 1 + kept * (slope - 1), "intercept": kept * intercept}


def _kept(statistic: float) -> float:
    """How much of a change of `_CURVE` numbers is kept, from 0 to 1.

    A fitted curve costs as much as its numbers are uncertain, and a model that is calibrated already gains nothing by
    it. The prior is centred on no change, with the shape of the likelihood and a width that is estimated from the same
    rows (empirical Bayes: George and Foster, Calibration and Empirical Bayes Variable Selection, Biometrika 2000).

    Parameters
    ----------
    statistic : float
        Of the likelihood ratio test of no change.
    """
    return max(0.0, 1 - _CURVE / statistic) if statistic > 0 else 0.0


def _log_loss(odds: Array, target: Array) -> float:
    """What all rows cost, whose log-odds are `odds` and whose labels are 1 with probability `target`."""
    return float((np.logaddexp(0, odds) - target * odds).sum())


def _isotonic(probability: Array, is_label: Array) -> dict[str, Any]:
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(is_label) + 2)  # no share of so many rows says that a class never occurs
    model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(probability, is_label)
    return {"x": model.X_thresholds_.tolist(), "y": model.y_thresholds_.tolist()}
