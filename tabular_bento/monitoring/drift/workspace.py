"""The metrics of each window in an Evidently workspace, with panels of their trends for `evidently ui`.

A window is one snapshot of a table of one row: our own metrics, as Evidently can plot them. Its id follows from
the window, so a window that is judged again replaces its snapshot. Everything is written by Evidently's own workspace
in a folder beside the real one and then moved into it, so that neither `evidently ui` nor a second job meets half a
file. A remote workspace can delete no snapshot, so this takes a folder.
"""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.files import locked

_NAMES = uuid.UUID("6f0e6b0c-6d6c-4ad5-9f0f-0b6f1c7c5b5e")
"""The namespace of the ids made here."""

METRIC = "DriftFigure"
_VERDICTS = {"no_drift": 0.0, "drift": 1.0}

PANELS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Verdict", "1 is drift, 0 is no drift; windows that could not be judged have no point", ("drift", "alert")),
    ("Share of features drifted", "By importance; the limit beside it", ("drifted_share", "max_drifted_share")),
    ("Prediction and the worst columns", "Score over limit: drift above 1", ("prediction", "worst")),
    (
        "Error",
        "RMSE, or log loss, of mature predictions, of the naive baseline, and estimated without labels",
        ("error", "naive_baseline", "estimated"),
    ),
    ("Error over the naive baseline's", "Above 1 the model is worse than no model", ("ratio",)),
    ("Bias", "Prediction, or its probability, less label", ("bias",)),
    ("Rows", "Judged, and lines that could not be read", ("rows", "bad_lines")),
    ("Labels", "Share of the predictions that have one", ("coverage", "mature")),
)
"""Title, subtitle, and the metrics that each panel draws."""

_COLUMN = "column "
SCORES = "Each column's score over its limit"


def metrics(result: DriftResult) -> dict[str, float]:
    """What is plotted of a window, by name; what could not be measured is left out."""
    scores = {_COLUMN + column.name: column.excess for column in result.columns if column.excess is not None}
    found: dict[str, float | None] = {
        "drift": _VERDICTS.get(result.verdict),
        "alert": float(result.alert.alert),
        "drifted_share": result.decision.drifted_share,
        "max_drifted_share": result.decision.max_drifted_share,
        "prediction": result.prediction_excess,
        "worst": max(scores.values(), default=None),
        "error": result.at(f"labels.model.{result.metric}"),
        "naive_baseline": result.at(f"labels.naive_baseline.{result.metric}"),
        "estimated": Entry.of(result).estimated,
        "ratio": result.labels.ratio_to_naive_baseline,
        "bias": result.at("labels.model.bias"),
        "rows": result.rows.scored,
        "bad_lines": result.rows.bad,
        "coverage": result.labels.coverage,
        "mature": result.at("labels.maturity.share"),
    }
    return {name: float(value) for name, value in (found | scores).items() if value is not None}


def add_to_workspace(folder: Path, result: DriftResult) -> Path:
    """Put the window into the workspace in `folder`, and give its snapshot's file.

    The windows of one length of one model, whatever its version, are a project; they are dated by their end. Raises
    whatever Evidently raises.
    """
    folder = folder.absolute()
    with (
        warnings.catch_warnings(),
        locked(folder),
        tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch,
    ):
        warnings.simplefilter("ignore")
        return _add(folder, Path(scratch), result)


def project_name(result: DriftResult) -> str:
    """What the project is called that the window is drawn in."""
    window = result.window
    days = (window.end - window.start).total_seconds() / DAY
    span = "month" if 28 <= days <= 31 else {1: "day", 7: "week"}.get(int(days) if days.is_integer() else 0)
    model = (result.model or "no model").partition(":")[0]
    return f"Drift of {model} by {span or f'{days:.3g} days'} of {window.on}"


def _add(folder: Path, scratch: Path, result: DriftResult) -> Path:
    from evidently.sdk.models import ProjectModel
    from evidently.ui.workspace import Workspace

    name = project_name(result)
    project_id, snapshot_id = (uuid.uuid5(_NAMES, text) for text in (name, repr(Entry.of(result).key)))
    workspace = Workspace.create(str(scratch))
    project = workspace.add_project(ProjectModel(id=project_id, name=name))
    columns = sorted(name for name in metrics(result) if name.startswith(_COLUMN))
    workspace.save_dashboard(project.id, _dashboard(columns))
    written = Path(workspace.add_run(project.id, _snapshot(result)).url)
    made, target = scratch / str(project_id), folder / str(project_id)
    (target / "snapshots").mkdir(parents=True, exist_ok=True)
    for file in sorted(made.glob("*.json")):  # the project and its panels; those a user has changed stay
        if not (target / file.name).exists():
            os.replace(file, target / file.name)
    os.replace(written, target / "snapshots" / f"{snapshot_id}.json")
    return target / "snapshots" / f"{snapshot_id}.json"


def _snapshot(result: DriftResult) -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report

    values, window, metric = metrics(result), result.window, _metric()
    table = pd.DataFrame({name: [value] for name, value in values.items()})
    dataset = Dataset.from_pandas(table, DataDefinition(numerical_columns=list(values)))
    report = Report([metric(figure=name) for name in values])
    return report.run(
        dataset,
        timestamp=window.end.replace(tzinfo=None),
        name=f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}: {result.verdict}",
        metadata={"model": str(result.model), "log": window.log, "verdict": result.verdict, "on": window.on},
        tags=[result.verdict],
    )


def _dashboard(columns: list[str]) -> Any:
    """Two tabs of panels: the main metrics, and all columns."""
    from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric
    from evidently.sdk.panels import line_plot_panel

    def panel(title: str, subtitle: str, names: Sequence[str], size: str) -> Any:
        values = [PanelMetric(legend=name, metric=METRIC, metric_labels={"figure": name}) for name in names]
        return line_plot_panel(title, values, subtitle, size=size)

    panels = [panel(title, subtitle, names, "half") for title, subtitle, names in PANELS]
    scores = panel(SCORES, "Drift above 1", columns, "full")
    tabs = [
        DashboardTabModel(title="Drift", panels=[panel.id for panel in panels]),
        DashboardTabModel(title="Columns", panels=[scores.id]),
    ]
    return DashboardModel(tabs=tabs, panels=[*panels, scores])


def _metric() -> Any:
    """The metric class, defined where Evidently is imported. `evidently ui` reads its results without knowing it.

    Evidently's own `MeanValue` would do, in twelve times the time and fifteen times the space: it draws a histogram.
    """
    from evidently.core.metric_types import SingleValueCalculation, SingleValueMetric

    if METRIC in _MADE:
        return _MADE[METRIC]

    class DriftFigure(SingleValueMetric):  # type: ignore[misc]  # Evidently is not typed here
        figure: str

    class _Calculation(SingleValueCalculation[DriftFigure]):  # type: ignore[misc]
        def calculate(self, _: Any, current_data: Any, __: Any) -> Any:
            return self.result(float(current_data.column(self.metric.figure).data.iloc[0]))

        def display_name(self) -> str:
            return str(self.metric.figure)

    _MADE[METRIC] = DriftFigure
    return DriftFigure


_MADE: dict[str, Any] = {}
