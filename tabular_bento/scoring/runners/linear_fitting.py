"""Fitting a linear model: the columns made of features, the penalty chosen on unseen rows, the coefficients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.scoring.runners import base
from tabular_bento.scoring.runners.coefficients import Array, Coefficients
from tabular_bento.tasks import Task

ALPHAS: dict[str, tuple[float, ...]] = {
    "squared_error": tuple(10.0 ** (power / 2) for power in range(-4, 11)),
    "log_loss": tuple(10.0 ** (power / 2) for power in range(-8, 9)),
}
"""What is tried where `alpha` is not given."""

LEAST_USUAL_ALPHA = 0.1
"""A smaller penalty of log-odds is taken only for a clear gain. Columns are standardised, so it allows for coefficients
beyond 3 as a matter of course (Gelman et al., A weakly informative default prior distribution for logistic and other
regression models, 2008). That is right for classes that are separated without a mistake; of others a few unseen rows do
not show what a confident mistake costs."""

CLEAR_GAIN = 1.0
"""Of the loss summed over the unseen rows, in nats: what AIC charges for a parameter."""

CLEAR_SHARE = 0.125
"""The same as a share of that loss, which is enough where it is less."""

MOST_CODES = 200
"""Codes of one feature that have a coefficient, at most: the most frequent."""

BEYOND = 1.0
"""How far beyond the range of training a number still counts as it is, by the width of that range."""

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
    lower, upper : ndarray of shape [m]
        The range that each feature is clipped to, which is wider than that of training; 0 of coded ones.
    mean, scale : ndarray of shape [m]
        Of each feature in training; 0 and 1 of coded ones.
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
            least, most = finite.min(), finite.max()
            values = np.clip(values, least, most)
            lower[place], upper[place] = least - BEYOND * (most - least), most + BEYOND * (most - least)
            mean[place], deviation = values[known].mean(), values[known].std()
            if least < most and deviation > 0:
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


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Parameters
    ----------
    model : Coefficients
        The model.
    alpha : float
        Its penalty.
    """

    model: Coefficients
    alpha: float


def ridge(data: base.FittingData, min_code_rows: int, alphas: Sequence[float]) -> Fitted:
    """The model of the penalty that loses least on unseen rows, or of the only one.

    The normal equations of centred columns, as `sklearn.linear_model.Ridge` solves them; one decomposition of their
    matrix serves all penalties that are tried.
    """
    design = Design.of(data, min_code_rows)
    equations, alpha = _Equations.of(design, data), alphas[0]
    if len(alphas) > 1:
        losses = np.zeros(len(alphas))
        for each in (data, *data.folds):
            if each.validation is not None:
                columns = design if each is data else Design.of(each, min_code_rows)
                own = equations if each is data else _Equations.of(columns, each)
                for place, solution in enumerate(own.solutions(alphas)):
                    losses[place] += total_loss(columns.model(*solution), "squared_error", each.validation)
        alpha = alphas[int(np.argmin(losses))]
    return Fitted(design.model(*equations.solution(alpha)), alpha)


@dataclass(frozen=True)
class _Equations:
    """The normal equations of a design, whose columns are centred.

    Parameters
    ----------
    products : ndarray of shape [p, p]
        The products of columns, summed over the rows.
    moments : ndarray of shape [p]
        Those with the label.
    mean : ndarray of shape [p]
        The means of the columns.
    center : float
        That of the label.
    """

    products: Array
    moments: Array
    mean: Array
    center: float

    @classmethod
    def of(cls, design: Design, data: base.FittingData) -> Self:
        X, y, weights = design.columns, data.y, _weights(data)
        total = weights.sum()
        mean, center = X.T @ weights / total, float(weights @ y) / total
        weighted = X.multiply(weights[:, None]).tocsr()
        products = (weighted.T @ X).toarray() - total * np.outer(mean, mean)
        return cls(products, weighted.T @ (y - center), mean, center)

    def solution(self, alpha: float) -> tuple[Array, Array]:
        """Intercept and coefficients, of shape [1] and [1, p]."""
        return self._with_intercept(np.linalg.solve(self.products + alpha * np.eye(len(self.mean)), self.moments))

    def solutions(self, alphas: Sequence[float]) -> Iterator[tuple[Array, Array]]:
        """Those of several penalties."""
        values, vectors = np.linalg.eigh(self.products)
        turned = vectors.T @ self.moments
        for alpha in alphas:
            yield self._with_intercept(vectors @ (turned / (np.maximum(values, 0.0) + alpha)))

    def _with_intercept(self, slopes: Any) -> tuple[Array, Array]:
        return np.array([self.center - self.mean @ slopes]), slopes[None]


def logistic(data: base.FittingData, min_code_rows: int, alphas: Sequence[float], task: Task, seed: int) -> Fitted:
    """The same of log-odds. Of many rows some choose the penalty, and all are fitted with it.

    Each fit begins where the one with the next larger penalty ended, until smaller ones no longer help; below
    `LEAST_USUAL_ALPHA` each has to gain `CLEAR_GAIN` or `CLEAR_SHARE`.
    """
    n = len(data.y)
    some = _some_of_each_class(data.y, seed) if len(alphas) > 1 else np.ones(n, dtype=np.bool_)
    design = Design.of(data, min_code_rows)
    whole = _Path(design, data, task, some)
    paths = [(whole, data.validation)]
    paths += [(_Path(Design.of(each, min_code_rows), each, task), each.validation) for each in data.folds]
    best, smallest, worse, chosen = whole.start, np.inf, 0, alphas[0]
    for alpha in alphas:
        models = [(path.fit(alpha), rows) for path, rows in paths]
        loss = sum(total_loss(model, "log_loss", rows) for model, rows in models if rows is not None)
        usual = alpha >= LEAST_USUAL_ALPHA
        needed = 0.0 if usual else min(CLEAR_GAIN, CLEAR_SHARE * smallest)
        if loss < smallest - needed:
            best, smallest, worse, chosen = whole.start, loss, 0, alpha
        elif not usual or (worse := worse + 1) == _PATIENCE:
            break
    whole.start = best
    if some.all():
        return Fitted(whole.model, chosen)
    return Fitted(_Path(design, data, task, start=best).fit(chosen), chosen)


class _Path:
    """Logistic regressions of some rows, each beginning where the one before ended.

    Parameters
    ----------
    design : Design
        The columns.
    data : FittingData
        The rows.
    task : Task
        What is predicted.
    chosen : ndarray of shape [n], optional
        Those that are fitted, a mask; by default all.
    start : tuple of ndarray, optional
        Coefficients and intercepts to begin with.

    Attributes
    ----------
    start : tuple of ndarray or None
        Those of the last fit.
    """

    def __init__(
        self,
        design: Design,
        data: base.FittingData,
        task: Task,
        chosen: NDArray[np.bool_] | None = None,
        start: tuple[Array, Array] | None = None,
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        self._design, self._task, self._rows = design, task, len(data.y)
        chosen = np.ones(self._rows, dtype=np.bool_) if chosen is None else chosen
        self._columns, self._y = design.columns[chosen], data.y[chosen]
        self._weights = None if data.weights is None else data.weights[chosen]
        self._share = float(chosen.mean())
        self._estimator: Any = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
        self.start = start
        if start is not None:
            self._estimator.coef_, self._estimator.intercept_ = start

    def fit(self, alpha: float) -> Coefficients:
        """The model with a penalty, which is that of all rows: of some of them it is as much smaller."""
        _fit_quietly(self._estimator, alpha * self._share, self._columns, self._y, self._weights)
        self.start = self._estimator.coef_, self._estimator.intercept_
        return self.model

    @property
    def model(self) -> Coefficients:
        """The model of `start`."""
        assert self.start is not None
        return self._design.model(*_of_all_classes(*self.start, self._estimator.classes_, self._task, self._rows))


def _weights(data: base.FittingData) -> Array:
    return np.ones(len(data.y)) if data.weights is None else data.weights


def _fit_quietly(estimator: Any, alpha: float, columns: Any, y: Array, weights: Array | None) -> None:
    """Fit, and take what is found where the steps run out, as they do of classes that features tell apart fully."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.set_params(C=1 / alpha).fit(columns, y, weights)


def _some_of_each_class(y: Array, seed: int) -> NDArray[np.bool_]:
    """So many rows that a penalty can be chosen by them, with one of each class at least, as a mask."""
    chosen = np.ones(len(y), dtype=np.bool_)
    if len(y) > _CHOOSING_ROWS:
        chosen[:] = False
        chosen[np.random.default_rng(seed).choice(len(y), _CHOOSING_ROWS, replace=False)] = True
        chosen[np.unique(y, return_index=True)[1]] = True
    return chosen


def _of_all_classes(
    coefficients: Array, intercept: Array, classes: Array, task: Task, rows: int
) -> tuple[Array, Array]:
    """Intercepts and coefficients of the task's scores, of several classes one of each, which add up to 0.

    So the largest score is 0 or more, and a class that no training row has stays below 1 in twice the number of rows.
    """
    if task.raw_columns == 1:
        return intercept.copy(), coefficients.copy()
    if len(intercept) == 1:
        intercept = np.concatenate([-intercept, intercept]) / 2
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
    places = classes.astype(np.intp)
    every = np.full(task.raw_columns, -np.log(2.0 * rows))
    every[places] = intercept - intercept.mean()
    slopes = np.zeros((task.raw_columns, coefficients.shape[1]))
    slopes[places] = coefficients - coefficients.mean(axis=0)
    return every, slopes


def total_loss(model: Coefficients, loss: str, rows: base.FittingData) -> float:
    """What rows cost a model, each by its weight."""
    scores, y = model.scores(rows.X), rows.y
    if loss == "squared_error":
        losses = (scores[:, 0] - y) ** 2
    else:
        every = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
        losses = np.logaddexp.reduce(every, axis=1) - every[np.arange(len(y)), y.astype(np.intp)]
    return float(_weights(rows) @ losses)
