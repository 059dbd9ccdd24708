"""Fitting a linear model: the columns made of features, the penalty chosen on the validation part, the coefficients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.coefficients import Array, Coefficients
from tabular_bento.tasks import Task

ALPHAS: dict[str, tuple[float, ...]] = {
    "squared_error": tuple(10.0 ** (power / 2) for power in range(-4, 11)),
    "log_loss": tuple(10.0**power for power in range(-2, 5)),
}
"""What is tried where `alpha` is not given. Columns are standardised."""

MOST_CODES = 200
"""Codes of one feature that have a coefficient, at most: the most frequent."""

_ITERATIONS = 300
_PATIENCE = 2
_CHOOSING_ROWS = 20_000


@dataclass(frozen=True)
class Design:
    """The columns that a linear model is fitted on, and the features that they are of.

    Parameters
    ----------
    columns : scipy.sparse.csr_array of shape [n, p]
        Standardised numbers, then indicators of missing values, then indicators of codes.
    lower, upper, mean, scale : ndarray of shape [m]
        Of each feature in training; 0 of coded ones, the scale 1.
    numbers, gaps : list of int
        The features of the first two kinds of columns.
    coded : tuple of int
        Features that hold codes.
    codes : list of ndarray
        The codes of each of them that have a column.
    last : ndarray
        The largest of each, 0 where none has a column.
    """

    columns: Any
    lower: Array
    upper: Array
    mean: Array
    scale: Array
    numbers: list[int]
    gaps: list[int]
    coded: tuple[int, ...]
    codes: list[NDArray[np.intp]]
    last: Array

    @classmethod
    def of(cls, data: base.FittingData, min_code_rows: int) -> Self:
        """The columns of training rows."""
        from scipy import sparse

        n, m = data.X.shape
        lower, upper, mean, scale = np.zeros(m), np.zeros(m), np.zeros(m), np.ones(m)
        numbers, gaps, columns, indicators = [], [], [], []
        for place in sorted(set(range(m)) - set(data.coded)):
            values = data.X[:, place].astype(np.float64)
            finite, known = values[np.isfinite(values)], ~np.isnan(values)
            if not len(finite):
                continue
            lower[place], upper[place] = finite.min(), finite.max()
            values = np.clip(values, lower[place], upper[place])
            mean[place], deviation = values[known].mean(), values[known].std()
            if lower[place] < upper[place] and deviation > 0:
                scale[place] = deviation
                numbers.append(place)
                columns.append(sparse.csr_array(np.where(known, (values - mean[place]) / deviation, 0.0)[:, None]))
            if not known.all():
                gaps.append(place)
                indicators.append(sparse.csr_array((~known).astype(np.float64)[:, None]))
        codes = [_frequent(data.X[:, place], min_code_rows) for place in data.coded]
        shown = [
            sparse.csr_array((data.X[:, place, None] == found).astype(np.float64))
            for place, found in zip(data.coded, codes, strict=True)
        ]
        every = sparse.hstack([*columns, *indicators, *shown, sparse.csr_array((n, 1))], format="csr")
        last = np.array([found.max() if len(found) else 0 for found in codes], dtype=np.float64)
        return cls(every, lower, upper, mean, scale, numbers, gaps, data.coded, codes, last)

    def model(self, intercept: Array, fitted: Array) -> Coefficients:
        """A model from an intercept of shape [k] and coefficients of the columns, shape [k, p]."""
        k, m = len(intercept), len(self.mean)
        slope, missing = np.zeros((k, m)), np.zeros((k, m))
        first, column = len(self.numbers), len(self.numbers) + len(self.gaps)
        slope[:, self.numbers] = fitted[:, :first] / self.scale[self.numbers]
        missing[:, self.gaps] = fitted[:, first:column]
        codes, start = np.zeros((int((self.last + 2).sum()), k)), 0
        for found, last in zip(self.codes, self.last, strict=True):
            codes[start + found] = fitted[:, column : column + len(found)].T
            start, column = start + int(last) + 2, column + len(found)
        coded = np.array(self.coded, dtype=np.float64)
        nothing = np.zeros((k, m))
        return Coefficients(
            intercept, self.lower, self.upper, self.mean, slope, missing, nothing, coded, self.last, codes
        )


def _frequent(values: NDArray[np.float32], min_rows: int) -> NDArray[np.intp]:
    """The codes from 1 that enough rows have, in their order."""
    codes, counts = np.unique(values[values >= 1].astype(np.intp), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_CODES]
    return np.sort(codes[order][counts[order] >= min_rows])


def ridge(design: Design, data: base.FittingData, alphas: Sequence[float]) -> Coefficients:
    """The model with the smallest loss on the validation part, or the only one.

    The normal equations of centred columns, as `sklearn.linear_model.Ridge` solves them; their matrix is that of all
    penalties.
    """
    X, y = design.columns, data.y
    weights = np.ones(len(y)) if data.weights is None else data.weights
    total = weights.sum()
    mean, center = X.T @ weights / total, float(weights @ y) / total
    weighted = X.multiply(weights[:, None]).tocsr()
    products = (weighted.T @ X).toarray() - total * np.outer(mean, mean)
    moments = weighted.T @ (y - center)
    best = _Best("squared_error", data.validation)
    for alpha in alphas:
        slopes = np.linalg.solve(products + alpha * np.eye(len(mean)), moments)
        best.add(design.model(np.array([center - mean @ slopes]), slopes[None]), alpha)
    return best.found


def logistic(design: Design, data: base.FittingData, alphas: Sequence[float], task: Task, seed: int) -> Coefficients:
    """The same of log-odds. Of many rows some choose the penalty, and all are fitted with it.

    Each fit begins where the one with the next larger penalty ended, until a smaller one no longer helps.
    """
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    n = len(data.y)
    some = _some_of_each_class(data.y, seed) if len(alphas) > 1 else np.arange(n)
    best = _Best("log_loss", data.validation)
    start: tuple[Any, Any] | None = None
    for alpha in alphas:
        _fit_quietly(estimator, alpha * len(some) / n, design.columns[some], data, some)
        if best.add(design.model(*_of_all_classes(estimator, task, n)), alpha):
            start = estimator.coef_, estimator.intercept_
        elif best.worse == _PATIENCE:
            break
    if len(some) == n or start is None:
        return best.found
    estimator.coef_, estimator.intercept_ = start
    _fit_quietly(estimator, best.alpha, design.columns, data, np.arange(n))
    return design.model(*_of_all_classes(estimator, task, n))


def _fit_quietly(estimator: Any, alpha: float, columns: Any, data: base.FittingData, rows: NDArray[np.intp]) -> None:
    """Fit, and take what is found where the steps run out, as they do of classes that features tell apart fully."""
    from sklearn.exceptions import ConvergenceWarning

    weights = None if data.weights is None else data.weights[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.set_params(C=1 / alpha).fit(columns, data.y[rows], weights)


def _some_of_each_class(y: Array, seed: int) -> NDArray[np.intp]:
    """Places of so many rows that a penalty can be chosen by them, with one of each class at least."""
    if len(y) <= _CHOOSING_ROWS:
        return np.arange(len(y))
    drawn = np.random.default_rng(seed).choice(len(y), _CHOOSING_ROWS, replace=False)
    return np.union1d(drawn, np.unique(y, return_index=True)[1])


def _of_all_classes(estimator: Any, task: Task, rows: int) -> tuple[Array, Array]:
    """Intercepts and coefficients of the task's scores, of several classes one of each, which add up to 0.

    So the largest score is 0 or more, and a class that no training row has stays below 1 in twice the number of rows.
    """
    intercept, coefficients = estimator.intercept_, estimator.coef_
    if task.raw_columns == 1:
        return intercept.copy(), coefficients.copy()
    if len(intercept) == 1:
        intercept = np.concatenate([-intercept, intercept]) / 2
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
    places = estimator.classes_.astype(np.intp)
    every = np.full(task.raw_columns, -np.log(2.0 * rows))
    every[places] = intercept - intercept.mean()
    slopes = np.zeros((task.raw_columns, coefficients.shape[1]))
    slopes[places] = coefficients - coefficients.mean(axis=0)
    return every, slopes


class _Best:
    """The model with the smallest loss on the validation part; without one, the last.

    Parameters
    ----------
    loss : str
        The loss that is fitted.
    validation : FittingData, optional
        The part.
    """

    def __init__(self, loss: str, validation: base.FittingData | None) -> None:
        self.loss, self.validation = loss, validation
        self.smallest, self.alpha, self.worse = np.inf, 0.0, 0
        self.model: Coefficients | None = None

    @property
    def found(self) -> Coefficients:
        """The model."""
        assert self.model is not None
        return self.model

    def add(self, model: Coefficients, alpha: float) -> bool:
        """Take a model if it is better than those before, and return whether it is."""
        found = -np.inf if self.validation is None else self._mean_loss(model, self.validation)
        better = self.model is None or found < self.smallest
        if better:
            self.smallest, self.alpha, self.model = found, alpha, model
        self.worse = 0 if better else self.worse + 1
        return better

    def _mean_loss(self, model: Coefficients, rows: base.FittingData) -> float:
        scores, y = model.scores(rows.X), rows.y
        if self.loss == "squared_error":
            losses = (scores[:, 0] - y) ** 2
        else:
            every = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
            losses = np.logaddexp.reduce(every, axis=1) - every[np.arange(len(y)), y.astype(np.intp)]
        return float(np.average(losses, weights=rows.weights))
