"""What is suspicious in a table: columns that give the target away, and rows that are there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.csv_files import MISSING
from tabular_bento.scaffold.choices import Choices
from tabular_bento.scaffold.columns import Chosen
from tabular_bento.scaffold.summary import TableSummary
from tabular_bento.schema import Kind

LEAK = 0.98
"""Share of what there is to explain of the target that a single column explains, from which it is suspicious."""

_Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_ROWS = 10_000
_FOLDS = 3
_LEAVES = 64
_LEAF_ROWS = 5


def suspected_leaks(table: TableSummary, choices: Choices) -> list[str]:
    """Columns that alone predict the target almost perfectly, each with how well it does.

    A tree of few leaves is fitted to each column by itself, or the means of its categories, and judged out of fold: by
    R² of a number, and of classes by the share of what guessing the most frequent one gets wrong and it gets right.

    Parameters
    ----------
    table : TableSummary
        The table.
    choices : Choices
        What is declared of it.
    """
    target = _target(table.sample, choices)
    labelled = np.flatnonzero(~np.isnan(target))
    rng = np.random.default_rng(0)
    rows = rng.permutation(labelled)[:_ROWS]
    y = target[rows]
    fold = np.arange(len(rows)) % _FOLDS
    found = []
    for item in choices.features:
        x = _column(table.sample, item, choices)[rows]
        score = _score(x, y, fold, choices.task == "regression", item.field.kind is Kind.TEXT)
        if score >= LEAK:
            found.append(
                f"{item.column!r} alone predicts {choices.target.column!r} almost perfectly "
                f"({'R²' if choices.task == 'regression' else 'skill'} {score:.3f}): is it known when a prediction is "
                "asked for? If not, delete its line from FIELDS."
            )
    return found


def duplicates(table: TableSummary) -> list[str]:
    """How many rows of the sample are equal to an earlier one in every column."""
    sample = table.sample
    names = [name for name in sample.column_names if not pa.types.is_nested(sample.schema.field(name).type)]
    if not sample.num_rows or not names:
        return []
    distinct = sample.select(names).group_by(names, use_threads=False).aggregate([]).num_rows
    repeated = sample.num_rows - distinct
    if not repeated:
        return []
    of = f"{sample.num_rows:,} rows drawn from {table.rows:,}" if table.sampled else f"{table.rows:,} rows"
    return [
        f"{repeated:,} of {of} are equal to another row in every column. Equal rows in training and test make a model "
        "look better than it is; drop them if they are the same event."
    ]


def _score(x: NDArray[np.float64], y: NDArray[np.float64], fold: NDArray[np.int64], number: bool, text: bool) -> float:
    learn = _learn_categories if text else _learn_tree
    predicted = np.empty(len(y))
    for held_out in _masks(fold):
        predicted[held_out] = learn(x[~held_out], y[~held_out], number)(x[held_out])
    if number:
        return float(1 - ((predicted - y) ** 2).sum() / max(((y - y.mean()) ** 2).sum(), 1e-300))
    wrong = np.mean(y != np.bincount(y.astype(np.int64)).argmax())
    return float(1 - np.mean(predicted != y) / wrong) if wrong else 0.0


def _learn_tree(x: NDArray[np.float64], y: NDArray[np.float64], number: bool) -> _Predict:
    """A tree of few leaves over a number."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = (DecisionTreeRegressor if number else DecisionTreeClassifier)(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_LEAF_ROWS, random_state=0
    )
    below = np.nanmin(x, initial=0.0) - 1.0  # where missing values go

    def prepared(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isnan(values), below, values)[:, None]

    fitted = tree.fit(prepared(x), y)
    return lambda values: np.asarray(fitted.predict(prepared(values)), dtype=np.float64)


def _learn_categories(x: NDArray[np.float64], y: NDArray[np.float64], number: bool) -> _Predict:
    """The mean, or the most frequent class, of each category; of one that is new, that of all rows."""

    def usual(labels: NDArray[np.float64]) -> float:
        return float(labels.mean() if number else np.bincount(labels.astype(np.int64)).argmax())

    codes = np.where(np.isnan(x), -1.0, x)
    order = np.argsort(codes, kind="stable")
    distinct, starts = np.unique(codes[order], return_index=True)
    known = dict(zip(distinct.tolist(), map(usual, np.split(y[order], starts[1:])), strict=True))
    otherwise = usual(y)
    return lambda values: np.array([known.get(code, otherwise) for code in np.where(np.isnan(values), -1.0, values)])


def _masks(fold: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    for number in range(_FOLDS):
        yield fold == number


def _target(sample: pa.Table, choices: Choices) -> NDArray[np.float64]:
    """The target as numbers: classes by their order."""
    item = choices.target
    if choices.task == "regression":
        return _column(sample, item, choices)
    codes = {str(value).lower(): float(code) for code, value in enumerate(choices.classes)}
    texts = [None if value is None else str(value).lower() for value in sample[item.column].to_pylist()]
    if item.field.kind is Kind.INTEGER:
        texts = [text if text is None else text.removesuffix(".0").strip() for text in texts]
    return np.array([codes.get(text, np.nan) if text is not None else np.nan for text in texts])


def _column(sample: pa.Table, item: Chosen, choices: Choices) -> NDArray[np.float64]:
    """A column as numbers, NaN where there is none: of categories and times their place in order."""
    column = sample[item.column]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = item.field.kind
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        missing = pa.array([*MISSING, *choices.missing], column.type)
        column = pc.if_else(pc.is_in(column, missing), pa.scalar(None, column.type), column)
        if kind.is_numeric:
            return _floats(pc.utf8_trim_whitespace(column).cast(pa.float64()))
    elif kind.is_numeric or kind is Kind.BOOLEAN:
        return _floats(
            column.cast(pa.float64(), safe=False) if kind.is_numeric else column.cast(pa.int8()).cast(pa.float64())
        )
    return _codes(column)


def _codes(column: Any) -> NDArray[np.float64]:
    values = column.to_pylist()
    order = {value: float(code) for code, value in enumerate(sorted({v for v in values if v is not None}))}
    return np.array([np.nan if value is None else order[value] for value in values])


def _floats(column: Any) -> NDArray[np.float64]:
    return np.asarray(
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy(), np.float64
    )
