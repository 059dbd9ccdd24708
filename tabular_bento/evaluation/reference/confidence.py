"""The metrics to expect of predicted classes whose labels are not there yet, from the probabilities themselves.

Where probabilities are shares, they say how often each prediction will be right: confidence-based performance
estimation, as NannyML calls it. Here they are recalibrated on rows that the model had not seen, and the estimate is
corrected by how far it was off on such rows when they were held out. What it cannot see is a change of the labels that
the features do not show: its interval allows for as much of it as days of those rows differ by.

Its interval is a tolerance interval, see `tolerance`. Where there were hardly any unlikely labels, or where the
interval would be too wide to be of use, no estimate is given but the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.calibration import rounded
from tabular_bento.evaluation.reference.estimate import Estimate, Interval, Withheld
from tabular_bento.evaluation.reference.tolerance import WIDEST, Tolerance, Window, learn_tolerances

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

METRICS = ("log_loss", "brier", "accuracy")
FOLDS = 5
LEAST_ROWS = 50
"""Rows below which nothing is learnt of others."""

LEAST_UNLIKELY = 10
"""Rows whose label the model gave a probability below a half, from which on intervals held what they should."""

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
    from threadpoolctl import threadpool_limits

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

    with threadpool_limits(1):  # BLAS has a handful of numbers here: a second thread only costs time
        found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return Scale(rounded(found[0]), tuple(rounded(value) for value in found[1:]))


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
    """The entry `estimate` of a profile's `error`; for fewer than `LEAST_ROWS` rows with a label their number alone.

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
        return {"rows": len(true)}
    fold = _folds(len(true), days, seed)
    costs = losses(probability, threshold)
    observed = costs[:, np.arange(len(true)), true]
    expected, variance = np.empty_like(observed), np.empty_like(observed)
    for number in np.unique(fold):
        held_out = fold == number
        scale = fit_scale(probability[~held_out], true[~held_out])
        expected[:, held_out], variance[:, held_out] = _moments(costs[:, held_out], scale.apply(probability[held_out]))
    index = None if days is None else np.unique(days, return_inverse=True)[1]
    usual = {name: rounded(of_metric.mean()) for name, of_metric in zip(METRICS, variance, strict=True)}
    # A model that happened to be right on few rows is not therefore right on all.
    least = {name: value**0.5 for name, value in usual.items()}
    return {
        "scale": asdict(fit_scale(probability, true)),
        "threshold": threshold,
        **learn_tolerances(dict(zip(METRICS, observed - expected, strict=True)), index, least),
        "variance": usual,
        "unlikely": int((probability[np.arange(len(true)), true] < 0.5).sum()),
    }


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
        self._columns = columns
        self._tolerance = {name: Tolerance.read(entry, name) for name in entry.get("off", {})}
        self._rows: int = self._tolerance[METRICS[0]].off.rows if self._tolerance else entry["rows"]
        if not self._tolerance:
            return
        self._scale = Scale(entry["scale"]["slope"], tuple(entry["scale"]["intercepts"]))
        self._threshold = float(entry["threshold"])
        self._variance: dict[str, float] = entry["variance"]
        self._unlikely: int = entry.get("unlikely", LEAST_UNLIKELY)

    def estimate(self, probability: Array, days: float, rows: int | None = None) -> Estimate | Withheld | None:
        """The metrics to expect of n predictions, spread over `days` days, or why there is no estimate; None for none.

        Parameters
        ----------
        probability : ndarray of shape [n, k]
            The predictions.
        days : float
            Over how many days they are spread.
        rows : int, optional
            How many rows they are a sample of; by default all.
        """
        n, learnt = len(probability), self._rows
        if not n:
            return None
        if learnt < LEAST_ROWS:
            return Withheld(
                f"{learnt:,} rows with a label that the model had not seen are there to learn from, and {LEAST_ROWS} "
                "are needed"
            )
        if self._unlikely < LEAST_UNLIKELY:
            return Withheld(
                f"of the {learnt:,} rows with a label that it would be learnt from, which the model had not seen, "
                f"{self._unlikely} had a label that it held for unlikely, and {LEAST_UNLIKELY} are needed"
            )
        expected, variance = _moments(losses(probability, self._threshold), self._scale.apply(probability))
        found: dict[str, Any] = {}
        for index, name in enumerate(METRICS):
            tolerance = self._tolerance[name]
            value = float(expected[index].mean()) + tolerance.off.mean
            most = 1.0 if name == "accuracy" else np.inf
            value = float(np.clip(value, 0.0, most))
            usual = self._variance[name]
            noise = float(variance[index].mean()) / usual if usual else 1.0
            window = Window(n, max(rows or n, n), days)
            steps = name == "accuracy"
            reach, of_labels = tolerance.reach(noise, float(expected[index].var()), window, in_steps=steps)
            if reach > WIDEST * of_labels:
                if index:
                    continue  # the log loss, which is judged, has an estimate
                return tolerance.withheld(window)
            interval: Interval = (max(value - reach, 0.0), float(min(value + reach, most)))
            found |= {name: value, f"{name}_interval": interval}
        return Estimate(n=n, **found)

    def estimate_sample(
        self,
        sample: pa.Table,
        event: str | None,  # noqa: ARG002
        days: float,
        resamples: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        rows: int | None = None,
    ) -> Estimate | Withheld | None:
        """The same of rows as they were logged; None where they lack a probability. Nothing is drawn at random."""
        if any(name not in sample.column_names for name in self._columns):
            return None
        probability = np.column_stack([numbers_of(sample[name]) for name in self._columns])
        return self.estimate(probability[np.isfinite(probability).all(axis=1)], days, rows)


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
