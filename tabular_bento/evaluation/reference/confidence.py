"""The metrics to expect of predicted classes whose labels are not there yet, from the probabilities themselves.

Where probabilities are shares, they say how often each prediction will be right: confidence-based performance
estimation, as NannyML calls it. Here they are recalibrated on rows that the model had not seen, and the estimate is
corrected by how far it was off on such rows when they were held out. What it cannot see is a change of the labels that
the features do not show: its interval allows for as much of it as days of those rows differ by.

The interval is of what labels of the window would show, a tolerance interval: to the chance of the window's labels and
days it adds that of the rows and days that it was learnt from, which all windows of a model share. A few unlikely
labels make most of a log loss, so that the variance is itself little known where there were few: the quantile is that
of Student's t with as many degrees of freedom as a variance of such losses has. Where there were hardly any, or where
the interval would be too wide to be of use, no estimate is given but the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.calibration import LEAST_RUNS, RUNS, spread_of
from tabular_bento.evaluation.reference.estimate import Estimate, Interval, Withheld
from tabular_bento.evaluation.reference.thresholds import Spread

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

METRICS = ("log_loss", "brier", "accuracy")
COVERAGE = 0.90
"""Of the windows of a model, that its intervals are for."""

CONFIDENCE = 0.80
"""Of the models whose intervals hold so many of their windows: all windows share the rows that it was learnt from."""

FOLDS = 5
LEAST_ROWS = 50
"""Rows below which nothing is learnt of others."""

LEAST_UNLIKELY = 10
"""Rows whose label the model gave a probability below a half, from which on intervals held what they should."""

WIDEST = 1.85
"""Times the interval of the metric by labels, beyond which an estimate is of no use. Those by labels of windows stray
from what is expected, and that of twice is to be kept."""

FEWEST_DAYS = 5
"""Days of a window from which on the interval of a metric by labels is by days, and holds what these differ by."""

OF_LABELS = 1.959964
"""Standard errors that the 95 % interval of a metric by labels reaches."""

LEAST_FREEDOM = 2.0

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
    off, usual, freedom, by_days = {}, {}, {}, {}
    for i, name in enumerate(METRICS):
        residual = observed[i] - expected[i]
        usual[name] = _rounded(variance[i].mean())
        off[name], by_days[name] = _spread(residual, index)
        # A model that happened to be right on few rows is not therefore right on all.
        off[name]["row_sd"] = max(off[name]["row_sd"], _rounded(usual[name] ** 0.5))
        freedom[name] = _rounded(_freedom(residual))
    return {
        "scale": asdict(fit_scale(probability, true)),
        "threshold": threshold,
        "off": off,
        "variance": usual,
        "freedom": freedom,
        "days": by_days,
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
        self._off = {name: Spread(**values) for name, values in entry.get("off", {}).items()}
        self._rows: int = self._off[METRICS[0]].rows if self._off else entry["rows"]
        if not self._off:
            return
        self._scale = Scale(entry["scale"]["slope"], tuple(entry["scale"]["intercepts"]))
        self._threshold = float(entry["threshold"])
        self._variance: dict[str, float] = entry["variance"]
        self._freedom: dict[str, float] = entry.get("freedom", {})
        self._days: dict[str, dict[str, float]] = entry.get("days", {})
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
            off = self._off[name]
            value = float(expected[index].mean()) + off.mean
            most = 1.0 if name == "accuracy" else np.inf
            value = float(np.clip(value, 0.0, most))
            usual = self._variance[name]
            noise = float(variance[index].mean()) / usual if usual else 1.0
            reach, of_labels = self._reach(name, noise, float(expected[index].var()), n, max(rows or n, n), days)
            if reach > WIDEST * of_labels:
                if index:
                    continue  # the log loss, which is judged, has an estimate
                of, over = (f" of {off.days:,} days", f" of {days:.2g} days") if off.days else ("", "")
                return Withheld(
                    f"it would be learnt from {learnt:,} rows{of} that the model had not seen, and is of a window of "
                    f"{rows or n:,} rows{over}: its interval would be too wide beside that of labels"
                )
            interval: Interval = (max(value - reach, 0.0), float(min(value + reach, most)))
            found |= {name: value, f"{name}_interval": interval}
        return Estimate(n=n, **found)

    def _reach(self, name: str, noise: float, mixed: float, n: int, rows: int, days: float) -> tuple[float, float]:
        """Half of the width of the interval, and of that which labels would have.

        `noise` is the variance of a row's loss about what is expected of it, over that of the rows it was learnt from;
        `mixed` that of what is expected of rows.
        """
        off = self._off[name]
        row, day = off.row_sd**2, off.day_sd**2 if off.days else 0.0
        of_window = row * noise / rows + day / max(days, 1) + mixed * (1 / n - 1 / rows)
        of_learnt = row / off.rows + day / max(off.days, 1)
        # The degrees of freedom of a sum of variances (Satterthwaite, 1946).
        of_days = day * (1 / max(days, 1) + 1 / max(off.days, 1))
        of_rows = of_window + of_learnt - of_days
        single = self._days.get(name, {"sd": off.day_sd, "freedom": off.days - 1})
        parts = of_rows**2 / self._freedom.get(name, off.rows - 1) + of_days**2 / max(single["freedom"], 1)
        freedom = max((of_rows + of_days) ** 2 / parts, LEAST_FREEDOM) if parts else LEAST_FREEDOM
        windows, models = stats.t.ppf(((1 + COVERAGE) / 2, CONFIDENCE), freedom).tolist()
        reach = windows * of_window**0.5 + models * of_learnt**0.5
        of_labels = (row * noise + mixed) / rows + (single["sd"] ** 2 / days if days >= FEWEST_DAYS else 0.0)
        return float(reach), float(OF_LABELS * of_labels**0.5)

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


def _spread(values: Array, days: Integers | None) -> tuple[dict[str, float], dict[str, float]]:
    """The spread of n values, and how single days differ, with the degrees of freedom of the spread by days.

    Days in a row resemble each other: what counts is the length of runs by which means differ most, in terms of days.
    """
    found = spread_of(values, days)
    by_days = {"sd": found["day_sd"], "freedom": float(max(found["days"] - 1, 0))}
    if days is None:
        return found, by_days
    for run in RUNS[1:]:
        runs = spread_of(values, days // run)
        if runs["days"] < LEAST_RUNS:
            break
        if (sd := _rounded(runs["day_sd"] * run**0.5)) > found["day_sd"]:
            found["day_sd"], by_days["freedom"] = sd, float(runs["days"] - 1)
    return found, by_days


def _freedom(residual: Array) -> float:
    """The degrees of freedom of the variance of n values: fewer than n - 1 where few large ones make most of it.

    The variance of a sample variance goes with the kurtosis (Box, Non-Normality and Tests on Variances, 1953).
    """
    n, square = len(residual), float(((residual - residual.mean()) ** 2).mean())
    if not square:
        return LEAST_FREEDOM
    kurtosis = float(((residual - residual.mean()) ** 4).mean()) / square**2
    return float(np.clip(2 * n / max(kurtosis - 1, 1e-9), LEAST_FREEDOM, max(n - 1, LEAST_FREEDOM)))


def _folds(n: int, days: Integers | None, seed: int) -> Integers:
    """Stretches of days of about as many days each; of fewer days than folds, or no time, rows by seed."""
    if days is not None and len(np.unique(days)) >= FOLDS:
        distinct, index = np.unique(days, return_inverse=True)
        return np.asarray(index * FOLDS // len(distinct))
    return np.random.default_rng(seed).permutation(n) % FOLDS


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
