"""Evidently's plots of a window: its healthy columns against the reference rows, and the errors where they are known.

Evidently draws; it does not decide. Its own tests drop missing values, bin by equal width, and depend on the size of a
sample, so the scores it shows here are those of the streamed pass over all rows. Its import takes seconds and brings
pandas: nothing is imported before it is needed.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tabular_bento.evaluation.reference.bins import numbers_of
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.monitoring.drift.result import Column, DriftResult
from tabular_bento.monitoring.window.data import WindowData, event_column
from tabular_bento.pages.evidently import PREDICTION, datasets, preset_of
from tabular_bento.tasks import Task
from tabular_bento.traffic.schema import LABEL, TIME, output_column

if TYPE_CHECKING:
    import pandas as pd

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
    first = None
    if reference.declaration is not None:
        first = output_column(reference.declaration.outputs[0].columns[0])
    wanted = {column.name for column in columns}
    names = {
        column.log_name: PREDICTION if column.log_name == first else _apart(column)
        for column in reference.columns
        if column.name in wanted
    }
    event = event_column(reference.declaration)
    drawn = [column.model_copy(update={"name": _drawn(column, reference, names)}) for column in columns]
    with warnings.catch_warnings(action="ignore"), _frozen():
        task = reference.declaration.task if reference.declaration else None
        now = _named(_frame(data.sample.sort_by(event or TIME.name), names), task, coded=True)
        before = _named(_frame(reference.rows, names), task, coded=False)
        drawn = [column for column in drawn if column.name in before and before[column.name].notna().any()]
        html: str = _snapshot(drawn, _within(now, before), before, task).get_html_str(as_iframe=False)
        return html


@contextmanager
def _frozen() -> Iterator[None]:
    """Import Evidently without garbage collection, and leave out of it whatever there is by then: to search all of that
    again and again would take a fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        import evidently.metrics
        import evidently.presets  # noqa: F401

        gc.freeze()
        if enabled:
            gc.enable()
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def _apart(column: ReferenceColumn) -> str:
    return column.log_name if column.name in (PREDICTION, LABEL) else column.name


def _drawn(column: Column, reference: Reference, names: dict[str, str]) -> str:
    """What a column is called in the plots."""
    if column.role == "label":
        return LABEL
    return names[next(one.log_name for one in reference.columns if one.name == column.name)]


def _frame(rows: pa.Table, names: dict[str, str]) -> pd.DataFrame:
    """The columns to draw, and the labels."""
    import pandas as pd

    chosen = {log_name: name for log_name, name in ({LABEL: LABEL} | names).items() if log_name in rows.column_names}
    values = {log_name: rows[log_name] for log_name in chosen}
    return pd.DataFrame(
        {
            chosen[log_name]: column.to_pandas() if pa.types.is_string(column.type) else numbers_of(column)
            for log_name, column in values.items()
        }
    )


def _named(frame: pd.DataFrame, task: Task | None, *, coded: bool) -> pd.DataFrame:
    """The frame with the classes' texts for labels, which may be `coded` already, and predictions."""
    if task is None or not task.class_names:
        return frame
    for name in {LABEL, PREDICTION} & set(frame.columns):
        values = frame[name].to_numpy()
        codes = values if coded and name == LABEL else task.encode(values, None)
        frame[name] = [None if code != code else task.class_names[int(code)] for code in codes.tolist()]
    return frame


def _within(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    numbers = before.select_dtypes("number").columns
    span = (before[numbers].max() - before[numbers].min()) * _STRETCH
    clipped = now.copy()
    clipped[numbers] = now[numbers].clip(before[numbers].min() - span, before[numbers].max() + span, axis=1)
    return clipped


def _snapshot(columns: list[Column], now: pd.DataFrame, before: pd.DataFrame, task: Task | None) -> Any:
    from evidently import Report
    from evidently.metrics import ValueDrift

    _register({column.name: column for column in columns})
    first = [column for column in columns if column.drifted or not column.weighs]
    ordered = [*first, *(column for column in columns if column not in first)]
    metrics: list[Any] = [ValueDrift(column=c.name, method=_TEST, threshold=c.threshold) for c in ordered]
    measured: dict[str, Any] = {}
    labelled = PREDICTION in now and min(frame[LABEL].notna().sum() for frame in (now, before)) >= MIN_PLOTTED
    if labelled and task is not None and (found := preset_of(task, _positive(task, now))):
        measured, preset = found
        metrics.insert(len(first), preset)
        if task.class_names:  # a class that is not known cannot be drawn
            now, before = (frame[frame[LABEL].notna()] for frame in (now, before))
    return Report(metrics).run(*datasets([now, before], measured))


def _positive(task: Task, drawn: pd.DataFrame) -> list[str]:
    """The column of the last class's probability, where it is drawn: of two classes, that of the positive one."""
    columns = task.outputs[-1].columns[-1:]
    return [name for name in columns if len(task.class_names) == 2 and name in drawn]


def _register(columns: dict[str, Column]) -> None:
    """Make the scores of the full pass a test that Evidently can name, in place of those of a former run."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def score(_: Any, current: Any, *__: Any) -> tuple[float, bool]:
        column = columns[current.name]
        return column.score or 0.0, column.drifted

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(_TEST, "PSI of all rows, fixed bins", kinds, 0.2), default_impl=score)
