"""The metrics to expect of predicted classes whose labels are not there yet, from the probabilities themselves.

Where probabilities are shares, they say how often each prediction will be right: confidence-based performance
estimation, as NannyML calls it. Here they are recalibrated on rows that the model had not seen, and the estimate is
corrected by how far it was off on such rows when they were held out. What it cannot see is a change of the labels that
the features do not show: its interval allows for as much of it as days of those rows differ by.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.calibration import spread_of
from tabular_bento.evaluation.reference.estimate import Estimate, Interval
from tabular_bento.evaluation.reference.thresholds import Spread

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

METRICS = ("log_loss", "brier", "accuracy")
COVERAGE = 0.90
"""Of the intervals."""

FOLDS = 5
LEAST_ROWS = 20
"""Rows below which nothing is said of others."""

PENALTY = 1.0
"""Of the squared distance from no recalibration, so that few rows do not change much."""

_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scale:
    """A recalibration: the softmax of `slope` times the logarithm of the probabilities plus `intercepts`."""

    slope: float
    intercepts: tuple[float, ...]

    def apply(self, probability: Array) -> Array:
        """Recalibrated probabilities, of the same shape."""
        scores = self.slope * np.log(np.maximum(probability, _SMALLEST)) + np.array(self.intercepts)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_scale(probability: Array, codes: Integers) -> Scale:
    """The recalibration of n predictions that makes their labels most likely, less a penalty for straying from none.

    Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017) with an intercept a class.

    Parameters
    ----------
    probability : ndarray of shape [n, k]
        The probabilities.
    codes : ndarray of shape [n]
        The labels.
    """
    from scipy.optimize import minimize

    logs, true = np.log(np.maximum(probability, _SMALLEST)), np.eye(probability.shape[1])[codes]
    start = np.concatenate([[1.0], np.zeros(probability.shape[1])])

    def loss(values: Array) -> tuple[float, Array]:
        scores = values[0] * logs + values[1:]
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        sums = powers.sum(axis=1, keepdims=True)
        off, away = powers / sums - true, values - start
        value = float((np.log(sums[:, 0]) - (scores * true).sum(axis=1)).sum() + PENALTY / 2 * (away**2).sum())
        return value, np.concatenate([[(off * logs).sum()], off.sum(axis=0)]) + PENALTY * away

    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return Scale(_rounded(found[0]), tuple(_rounded(value) for value in found[1:]))


def losses(probability: Array, threshold: float) -> Array:
    """What each prediction costs for each label that it may have, by METRICS: shape [3, n, k].

    The last is 1 where the label is the predicted class.
    """
    n, k = probability.shape
    squares = (probability**2).sum(axis=1, keepdims=True) - 2 * probability + 1
    predicted = (probability[:, 1] >= threshold).astype(np.int64) if k == 2 else probability.argmax(axis=1)
    right = np.zeros((n, k))
    right[np.arange(n), predicted] = 1.0
    kept = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    return np.stack([-np.log(kept), squares / 2 if k == 2 else squares, right])


def learn_confidence(
    probability: Array, codes: Array, days: Integers | None, threshold: float, seed: int
) -> dict[str, Any]:
    """The entry `estimate` of a profile's `error`; empty for fewer than `LEAST_ROWS` rows with a label.

    Parameters
    ----------
    probability : ndarray of shape [n, k]
        Predictions of rows that the model had not seen.
    codes : ndarray of shape [n]
        Their labels, NaN where there is none.
    days : ndarray of shape [n], optional
        The day of each row, where rows have a time.
    threshold : float
        The decision threshold.
    seed : int
        Of the folds of rows without a time; those of others are stretches of days.
    """
    known = ~np.isnan(codes)
    probability, true = probability[known], codes[known].astype(np.int64)
    days = None if days is None else days[known]
    if len(true) < LEAST_ROWS:
        return {}
    fold = _folds(len(true), days, seed)
    costs = losses(probability, threshold)
    observed = costs[:, np.arange(len(true)), true]
    expected, variance = np.empty_like(observed), np.empty_like(observed)
    for number in np.unique(fold):
        held_out = fold == number
        scale = fit_scale(probability[~held_out], true[~held_out])
        expected[:, held_out], variance[:, held_out] = _moments(costs[:, held_out], scale.apply(probability[held_out]))
    index = None if days is None else np.unique(days, return_inverse=True)[1]
    off, usual = {}, {}
    for i, name in enumerate(METRICS):
        usual[name] = _rounded(variance[i].mean())
        off[name] = spread_of(observed[i] - expected[i], index)
        # A model that happened to be right on few rows is not therefore right on all.
        off[name]["row_sd"] = max(off[name]["row_sd"], _rounded(usual[name] ** 0.5))
    return {"scale": asdict(fit_scale(probability, true)), "threshold": threshold, "off": off, "variance": usual}


class ConfidenceModel:
    """What to expect of a package's predictions, by the entry `error: estimate` of its profile.

    Parameters
    ----------
    entry : dict
        What `learn_confidence` returned.
    columns : tuple of str
        The columns of the probabilities in the log.
    """

    def __init__(self, entry: dict[str, Any], columns: tuple[str, ...]) -> None:
        self._scale = Scale(entry["scale"]["slope"], tuple(entry["scale"]["intercepts"]))
        self._threshold = float(entry["threshold"])
        self._off = {name: Spread(**values) for name, values in entry["off"].items()}
        self._variance: dict[str, float] = entry["variance"]
        self._columns = columns

    def estimate(self, probability: Array, days: float) -> Estimate | None:
        """The metrics to expect of n predictions, spread over `days` days; None for no rows.

        Parameters
        ----------
        probability : ndarray of shape [n, k]
            The predictions.
        days : float
            Over how many days they are spread.
        """
        if not len(probability):
            return None
        expected, variance = _moments(losses(probability, self._threshold), self._scale.apply(probability))
        found: dict[str, Any] = {}
        for index, name in enumerate(METRICS):
            off = self._off[name]
            value = float(expected[index].mean()) + off.mean
            most = 1.0 if name == "accuracy" else np.inf
            value = float(np.clip(value, 0.0, most))
            usual = self._variance[name]
            noise = float(variance[index].mean()) / usual if usual else 1.0
            reach = off.limit(len(probability), days, 1 - COVERAGE, noise)
            interval: Interval = (max(value - reach, 0.0), float(min(value + reach, most)))
            found |= {name: value, f"{name}_interval": interval}
        return Estimate(n=len(probability), **found)

    def estimate_sample(
        self,
        sample: pa.Table,
        event: str | None,  # noqa: ARG002
        days: float,
        resamples: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Estimate | None:
        """The same of rows as they were logged; None where they lack a probability. Nothing is drawn at random."""
        if any(name not in sample.column_names for name in self._columns):
            return None
        probability = np.column_stack([numbers_of(sample[name]) for name in self._columns])
        return self.estimate(probability[np.isfinite(probability).all(axis=1)], days)


def _moments(costs: Array, probability: Array) -> tuple[Array, Array]:
    """Mean and variance of the costs, shape [m, n, k], where labels have these probabilities: shape [m, n] each."""
    mean = (costs * probability).sum(axis=-1)
    return mean, np.maximum((costs**2 * probability).sum(axis=-1) - mean**2, 0.0)


def _folds(n: int, days: Integers | None, seed: int) -> Integers:
    """Stretches of days of about as many days each; of fewer days than folds, or no time, rows by seed."""
    if days is not None and len(np.unique(days)) >= FOLDS:
        distinct, index = np.unique(days, return_inverse=True)
        return np.asarray(index * FOLDS // len(distinct))
    return np.random.default_rng(seed).permutation(n) % FOLDS


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
