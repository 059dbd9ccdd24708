"""Evidently's plots of a window: its healthy columns against the reference rows, and the errors where they are known.

Evidently draws; it does not decide. Its own tests drop missing values, bin by equal width, and depend on the size of a
sample, so the scores it shows here are those of the streamed pass over all rows. Its import takes seconds and brings
pandas: nothing is imported before it is needed.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.definition import EVENT_TIME, TARGET
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import OUTCOME
from tabular_bento.monitoring.drift.result import Column, DriftResult
from tabular_bento.monitoring.window.data import WindowData

if TYPE_CHECKING:
    import pandas as pd

PREDICTION = "prediction"
MIN_PLOTTED = 30
"""Rows below which nothing is drawn."""

_TEST = "psi_of_all_rows"
_STRETCH = 1.0
"""How far beyond the reference's range values are drawn, in its width, so that an outlier does not squeeze the rest."""


def plot(result: DriftResult, reference: Reference, data: WindowData) -> str | None:
    """Evidently's page as self-contained HTML, of the window's sample; None where there is too little to draw.

    Raises whatever Evidently raises.
    """
    columns = [column for column in result.columns if column.healthy and column.score is not None]
    if data.sample.num_rows < MIN_PLOTTED or not columns:
        return None
    names = {column.log_name: column.name for column in reference.columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        now = _frame(data.sample.sort_by(EVENT_TIME), names, columns)
        before = _frame(reference.rows, names, columns)
        html: str = _snapshot(columns, _within(now, before), before).get_html_str(as_iframe=False)
        return html


def _frame(rows: pa.Table, names: dict[str, str], columns: list[Column]) -> pd.DataFrame:
    """The columns to draw, named as in the report, and the outcomes."""
    wanted = {column.name for column in columns}
    chosen = [(log_name, name) for log_name, name in names.items() if name in wanted and log_name in rows.column_names]
    arrays = {PREDICTION if name == TARGET.name else name: rows[log_name] for log_name, name in chosen}
    arrays.setdefault(OUTCOME, rows[OUTCOME])
    frame: pd.DataFrame = pa.table(arrays).to_pandas()
    return frame


def _within(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    numbers = before.select_dtypes("number").columns
    span = (before[numbers].max() - before[numbers].min()) * _STRETCH
    clipped = now.copy()
    clipped[numbers] = now[numbers].clip(before[numbers].min() - span, before[numbers].max() + span, axis=1)
    return clipped


def _snapshot(columns: list[Column], now: pd.DataFrame, before: pd.DataFrame) -> Any:
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.metrics import ValueDrift
    from evidently.presets import RegressionPreset

    drawn = [column for column in columns if before[_drawn_name(column)].notna().any()]
    _register({_drawn_name(column): column for column in drawn})
    first = [column for column in drawn if column.drifted or column.role != "feature"]
    ordered = [*first, *(column for column in drawn if column not in first)]
    metrics: list[Any] = [ValueDrift(column=_drawn_name(c), method=_TEST, threshold=c.threshold) for c in ordered]
    regression = []
    if PREDICTION in now and min(frame[OUTCOME].notna().sum() for frame in (now, before)) >= MIN_PLOTTED:
        metrics.insert(len(first), RegressionPreset())
        regression = [Regression(target=OUTCOME, prediction=PREDICTION)]
    numbers = [name for name in now if now[name].dtype.kind in "fi"]
    definition = DataDefinition(
        regression=regression,
        numerical_columns=numbers,
        categorical_columns=[name for name in now if name not in numbers],
    )
    datasets = (Dataset.from_pandas(frame, definition) for frame in (now, before))
    return Report(metrics).run(*datasets)


def _drawn_name(column: Column) -> str:
    return PREDICTION if column.role == "prediction" else column.name


def _register(columns: dict[str, Column]) -> None:
    """Make the scores of the full pass a test that Evidently can name, in place of those of a former run."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def score(_: Any, current: Any, *__: Any) -> tuple[float, bool]:
        column = columns[current.name]
        return column.score or 0.0, column.drifted

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(_TEST, "PSI of all rows, fixed bins", kinds, 0.2), default_impl=score)
