"""Columns that give the target away: each predicts it almost perfectly by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.evaluation.evaluators import Outputs
from tabular_bento.schema import Kind

ALMOST_ALL = 0.98
"""Share of what there is to explain of the target that a single column explains, from which it is suspicious."""

ROWS = 10_000
"""Rows that are looked at."""

_TOO_GOOD = 0.9
"""A model that explains less has no such column, or does not use it."""

_LINE = 0.99
"""What a line explains counts from this on: the steps of a tree lose a percent or more of such a relation."""

_FEWEST = 30
_FOLDS = 3
_LEAVES = 64
_LEAF_ROWS = 5

Array = NDArray[np.float64]


def explained_alone(x: Array, y: Array, *, number: bool, category: bool) -> float:
    """How much of a target a column explains by itself, out of fold.

    A tree of few leaves is fitted to the column, or a line that explains more; or the means of its categories.

    Parameters
    ----------
    x : ndarray of shape [n]
        The column; NaN where a value is missing. Of categories their codes.
    y : ndarray of shape [n]
        The target; of classes their codes.
    number : bool
        Whether the target is a number.
    category : bool
        Whether the column is of categories.

    Returns
    -------
    float
        As of `explained`.
    """
    learn = _learn_categories if category else _learn_tree
    fold = np.arange(len(y)) % _FOLDS
    predicted = np.empty(len(y))
    for held_out in (fold == each for each in range(_FOLDS)):
        predicted[held_out] = learn(x[~held_out], y[~held_out], number)(x[held_out])
    share = explained(predicted, y, number=number)
    line = _explained_by_a_line(x, y) if number and not category else 0.0
    return max(share, line) if line >= _LINE else share


def explained(predicted: Array, y: Array, *, number: bool) -> float:
    """R² of numbers; of classes the share of what guessing the most frequent one gets wrong that is right."""
    if number:
        return float(1 - ((predicted - y) ** 2).sum() / max(((y - y.mean()) ** 2).sum(), 1e-300))
    wrong = np.mean(y != np.bincount(y.astype(np.int64)).argmax())
    return float(1 - np.mean(predicted != y) / wrong) if wrong else 0.0


def suspicion(column: str, target: str, share: float, *, number: bool) -> str:
    """What is said of a column that explains that share."""
    return (
        f"{column!r} alone predicts {target!r} almost perfectly ({'R²' if number else 'skill'} {share:.3f}): is it "
        "known when a prediction is asked for?"
    )


def leaks_of(part: Dataset, outputs: Outputs, features: Mapping[str, NDArray[Any]]) -> list[str]:
    """A warning of each feature that gives the target away.

    They are looked for on rows that nothing was learnt from, and only where the model is nearly perfect itself.

    Parameters
    ----------
    part : Dataset
        n labelled rows.
    outputs : mapping
        What the model predicts for them.
    features : mapping
        The features of these rows by name, shapes [n]; where there are none, fields are looked at.
    """
    problem = part.problem
    task, number = problem.task, not problem.task.classes
    y = part.residual
    rows = np.random.default_rng(0).permutation(len(y))[:ROWS]
    y = y[rows]
    predicted = task.encode(outputs[task.target.name], part.offset)[rows]
    if len(y) < _FEWEST or explained(predicted, y, number=number) < _TOO_GOOD:
        return []
    columns = {name: (_numbers(values), False) for name, values in features.items()} or _fields(part)
    shares = {
        name: explained_alone(values[rows], y, number=number, category=category)
        for name, (values, category) in columns.items()
    }
    return [
        f"{suspicion(name, task.target.name, share, number=number)} If not, the model is not as good as it looks."
        for name, share in shares.items()
        if share >= ALMOST_ALL
    ]


def _fields(part: Dataset) -> dict[str, tuple[Array, bool]]:
    """The fields of a request as numbers, and whether each is of categories."""
    problem = part.problem
    used = [item for item in problem.fields if item.name not in (problem.identifier, problem.event_time)]
    return {item.name: (_numbers(part.columns[item.name]), item.kind is Kind.TEXT) for item in used}


def _numbers(values: NDArray[Any]) -> Array:
    if values.dtype != object:
        return np.asarray(values, dtype=np.float64)
    texts = values.tolist()
    codes = {text: float(code) for code, text in enumerate(sorted({text for text in texts if text is not None}))}
    return np.array([np.nan if text is None else codes[text] for text in texts])


_Predict = Callable[[Array], Array]


def _explained_by_a_line(x: Array, y: Array) -> float:
    """R² of a line, which a tree of few rows does not come near to."""
    filled = np.where(np.isnan(x), np.nanmean(x) if not np.isnan(x).all() else 0.0, x)
    filled, target = filled - filled.mean(), y - y.mean()
    size = float((filled**2).sum() * (target**2).sum())
    return float((filled * target).sum() ** 2 / size) if size else 0.0


def _learn_tree(x: Array, y: Array, number: bool) -> _Predict:
    """A tree of few leaves over a number."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = (DecisionTreeRegressor if number else DecisionTreeClassifier)(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_LEAF_ROWS, random_state=0
    )
    below = np.nanmin(x, initial=0.0) - 1.0  # where missing values go

    def prepared(values: Array) -> Array:
        return np.where(np.isnan(values), below, values)[:, None]

    fitted = tree.fit(prepared(x), y)
    return lambda values: np.asarray(fitted.predict(prepared(values)), dtype=np.float64)


def _learn_categories(x: Array, y: Array, number: bool) -> _Predict:
    """The mean, or the most frequent class, of each category; of one that is new, that of all rows."""

    def usual(labels: Array) -> float:
        return float(labels.mean() if number else np.bincount(labels.astype(np.int64)).argmax())

    codes = np.where(np.isnan(x), -1.0, x)
    order = np.argsort(codes, kind="stable")
    distinct, starts = np.unique(codes[order], return_index=True)
    known = dict(zip(distinct.tolist(), map(usual, np.split(y[order], starts[1:])), strict=True))
    otherwise = usual(y)
    return lambda values: np.array([known.get(code, otherwise) for code in np.where(np.isnan(values), -1.0, values)])
