"""What is suspicious in a table: columns that give the target away, and rows that are there twice."""

from __future__ import annotations

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
from tabular_bento.training.leakage import ALMOST_ALL, ROWS, explained_alone, suspicion


def suspected_leaks(table: TableSummary, choices: Choices) -> list[str]:
    """Columns that alone predict the target almost perfectly, each with how well it does.

    `explained_alone` says how that is measured.

    Parameters
    ----------
    table : TableSummary
        The table.
    choices : Choices
        What is declared of it.
    """
    target = _target(table.sample, choices)
    labelled = np.flatnonzero(~np.isnan(target))
    rows = np.random.default_rng(0).permutation(labelled)[:ROWS]
    y, number = target[rows], choices.task == "regression"
    found = []
    for item in choices.features:
        x = _column(table.sample, item, choices)[rows]
        share = explained_alone(x, y, number=number, category=item.field.kind is Kind.TEXT)
        if share >= ALMOST_ALL:
            warning = suspicion(item.column, choices.target.column, share, number=number)
            found.append(f"{warning} If not, delete its line from FIELDS.")
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
