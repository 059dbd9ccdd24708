"""Features of the training rows out of fold, so that no row's own label is in the look-ups that it is learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import TrainingError
from tabular_bento.features import Codes, Extractor
from tabular_bento.problem import Problem

Folds = Literal["month"] | int


def folds_of(train: Dataset, folds: Folds, seed: int) -> NDArray[np.int64]:
    """The fold of each training row.

    Parameters
    ----------
    train : Dataset
        n rows.
    folds : int or "month"
        `month` is one for each month of the event time. A number is of stretches of the event time of about as many
        rows each, whole days where there are days enough; without an event time rows are drawn by seed.
    seed : int
        Of that draw.

    Returns
    -------
    ndarray of shape [n]
        Numbers from 0.

    Raises
    ------
    TrainingError
        Where there are fewer than two.
    """
    if folds == "month":
        months = train.months
        if months is None:
            raise TrainingError("Folds by month need an event time, and the problem has none: give a number of folds.")
        distinct, fold = np.unique(months, return_inverse=True)
        if len(distinct) < 2:
            raise TrainingError("Training by month needs at least two months: look-ups are fitted on the others.")
        return fold.astype(np.int64)
    days = train.event_days
    if days is None:
        fold = np.random.default_rng(seed).permutation(len(train)) % folds
    else:
        keys = days if len(np.unique(days)) >= folds else np.asarray(train.columns[str(train.problem.event_time)])
        distinct, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
        before = np.cumsum(counts) - counts
        fold = np.unique((before * folds // len(train))[index], return_inverse=True)[1]
    if len(np.unique(fold)) < 2:
        raise TrainingError("Training needs rows for at least two folds: look-ups are fitted on the others.")
    return fold.astype(np.int64)


def out_of_fold(
    problem: Problem, train: Dataset, fold: NDArray[np.int64], vocabularies: Mapping[str, Codes]
) -> NDArray[np.float32]:
    """Features of the training rows, those of each fold through an extractor fitted on the others.

    Parameters
    ----------
    problem : Problem
        The problem.
    train : Dataset
        n rows.
    fold : ndarray of shape [n]
        The fold of each.
    vocabularies : mapping
        The vocabularies of all training rows, so that a code means the same in every fold.

    Returns
    -------
    ndarray of shape [n, features]
    """
    matrix = np.empty((len(train), len(problem.features.features)), dtype=np.float32)
    for number in np.unique(fold).tolist():
        held_out = fold == number
        others = train.where(~held_out)
        extractor = Extractor.fit(
            problem.fields, problem.features, [others.fit_data], train.tables, vocabularies=vocabularies
        )
        matrix[held_out] = extractor.transform_columns(train.where(held_out).columns)
    return matrix
