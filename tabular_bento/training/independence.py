"""How far the scores of a runner that is not exact are off in batches, on real rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features import Extractor
from tabular_bento.features.columns import arrays_of
from tabular_bento.problem import Problem
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.predictor import BatchDifference
from tabular_bento.scoring.runners.base import FIELDS, OneByOne, Runner

ROWS = 200
"""Rows that are measured, at most."""

ROWS_AT_IMPORT = 1_000
"""Rows that must have the same bits before a Pipeline counts as independent; of a linear one some 1 in 200 differs."""

BATCHES = (3, 16, ROWS)
"""Rows of the batches that each of them is scored in."""

_UNSEEN = "?"


def measure_batches(
    problem: Problem,
    extractor: Extractor,
    runner: Runner,
    columns: Mapping[str, NDArray[Any]],
    tolerance: float,
    seed: int,
    most: int | None = None,
) -> BatchDifference:
    """Score rows alone and in batches of several sizes, in another order.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    extractor : Extractor
        The fitted features.
    runner : Runner
        The runner.
    columns : mapping
        The fields of n rows; up to `most` of them are used, every second one without a value that may be missing.
    tolerance : float
        What the project allows.
    seed : int
        Of the draw and of the order.
    most : int, optional
        How many rows are measured, where there are as many; by default `ROWS`.
    """
    random = np.random.default_rng(seed)
    arrays = arrays_of(columns, problem.fields)
    count = len(next(iter(arrays.values())))
    chosen = random.choice(count, min(most or ROWS, count), replace=False)
    rows = with_gaps({name: values[chosen] for name, values in arrays.items()}, problem)
    given: Any = rows if runner.takes == FIELDS else extractor.transform_columns(rows)
    alone = OneByOne(runner).predict(given)
    largest, order = 0.0, random.permutation(len(chosen))
    for size in BATCHES:
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            part = {name: values[batch] for name, values in rows.items()} if runner.takes == FIELDS else given[batch]
            off = np.abs(runner.predict(part) - alone[batch]) / np.maximum(1, np.abs(alone[batch]))
            largest = max(largest, float(off.max()))
    return BatchDifference(largest, len(chosen), tolerance)


def is_independent(problem: Problem, extractor: Extractor, runner: Runner, columns: Mapping[str, NDArray[Any]]) -> bool:
    """Whether rows have the same bits alone and in batches: `ROWS` of them, and then up to `ROWS_AT_IMPORT`.

    The parameters are those of `measure_batches`.
    """
    count = len(next(iter(columns.values())))
    steps = (ROWS, ROWS_AT_IMPORT) if count > ROWS else (ROWS,)
    return not any(measure_batches(problem, extractor, runner, columns, 0.0, 0, most).difference for most in steps)


def with_gaps(rows: Mapping[str, NDArray[Any]], problem: Problem) -> dict[str, NDArray[Any]]:
    """The rows, every second one without one value that may be missing, or with one text that nobody has seen."""
    found = {name: values.copy() for name, values in rows.items()}
    changed = [item for item in problem.fields if item.optional or item.kind is Kind.TEXT]
    for place, item in enumerate(changed):
        places = slice(2 * place + 1, None, 2 * len(changed))
        found[item.name][places] = item.missing if item.optional else unseen_text(item)
    return found


def unseen_text(item: Field) -> str:
    """A text that a field allows, and that nobody has seen."""
    return _UNSEEN * (item.max_length or max(item.min_length or 1, 1))
