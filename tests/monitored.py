"""Small problems with their models and logs, for tests of monitoring that need no data set."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import profile, reference_rows
from tabular_bento.features import Columns, Extractor, FeatureSet, FitData, feature
from tabular_bento.features.columns import ColumnRows
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import read_window
from tabular_bento.traffic.log import TrafficLog


@feature(unit="kg/m2")
def body_mass(row: Any) -> Any:
    """Body mass index."""
    return row.bmi


@feature()
def treated(row: Any) -> Any:
    """Whether the patient is treated."""
    return row.treated


@feature(unit="years")
def age(row: Any) -> Any:
    """Age at the visit."""
    return row.age


FIELDS = (
    Field("age", Kind.INTEGER, "Age", unit="years", minimum=0, maximum=120),
    Field("bmi", Kind.NUMBER, "Body mass index", unit="kg/m2", minimum=5, maximum=100, optional=True),
    Field("treated", Kind.BOOLEAN, "Whether the patient is treated"),
    Field("ward", Kind.TEXT, "Ward", min_length=1, max_length=10, optional=True),
    Field("born", Kind.DATE, "Date of birth", optional=True),
    Field("seen", Kind.INSTANT, "When the patient was seen", optional=True),
    Field("note", Kind.TEXT, "Empty for nearly all", min_length=1, max_length=10, optional=True),
)
TARGET = Field("progression", Kind.NUMBER, "Progression after a year", unit="points")

PATIENTS = Problem(
    name="patients", fields=FIELDS, task=Regression(TARGET), features=FeatureSet((body_mass, treated, age))
)
"""Without offset, event time, segments, identifier."""

UNDATED_INPUTS = Problem(name="inputs", fields=FIELDS, task=Regression(TARGET))
"""Without features as well: its inputs are monitored."""

DATED = Problem(
    name="visits",
    fields=(*FIELDS, Field("visit", Kind.DATE, "Day of the visit"), Field("code", Kind.INTEGER, "Case", minimum=0)),
    task=Regression(TARGET),
    features=FeatureSet((body_mass, treated, age)),
    baseline="body_mass",
    identifier="code",
    event_time="visit",
    segments=("ward", "age", "treated"),
)
"""With days, segments of text, integer and boolean, and a baseline without an offset."""


def patients(count: int, seed: int = 0, shift: float = 0.0) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Rows and labels."""
    random = np.random.default_rng(seed)
    bmi = np.where(random.random(count) < 0.05, np.nan, random.normal(27 + shift, 4, count))
    ages = random.integers(20, 80, count)
    born = random.integers(-15_000, 9_000, count).astype(np.float64)
    notes = np.where(random.random(count) < 0.94, None, "x").astype(object)
    columns = {
        "age": ages,
        "bmi": bmi,
        "treated": random.integers(0, 2, count),
        "ward": np.array(["A", "B", "C", None], dtype=object)[random.integers(0, 4, count)],
        "born": np.where(random.random(count) < 0.1, np.nan, born),
        "seen": np.where(random.random(count) < 0.1, np.nan, 1.6e15 + random.integers(0, 10**15, count)),
        "note": notes,
        "visit": 15_000 + np.sort(random.integers(0, 120, count)),
        "code": np.arange(count),
    }
    labels = 5 * np.nan_to_num(bmi, nan=27.0) + ages + random.normal(0, 5, count)
    return columns, labels


def predicted(columns: Columns) -> NDArray[np.float64]:
    """What the model of these tests predicts."""
    return np.asarray(5 * np.nan_to_num(columns["bmi"], nan=27.0) + columns["age"])


def of(problem: Problem, columns: Columns) -> dict[str, NDArray[Any]]:
    """The columns of the problem's fields."""
    return {name: np.asarray(columns[name]) for name in problem.field_names}


def features_of(problem: Problem, columns: Columns) -> NDArray[np.float32]:
    """The feature matrix, of shape [n, features]."""
    extractor = Extractor.fit(problem.fields, problem.features, [FitData(of(problem, columns), {})])
    return extractor.transform_columns(of(problem, columns))


def reference_of(problem: Problem, count: int = 2_000, seed: int = 1) -> Reference:
    """The reference of a model that was trained on `count` rows."""
    columns, labels = patients(count, seed)
    features, outputs = features_of(problem, columns), {TARGET.name: predicted(columns)}
    given = (problem.declaration, of(problem, columns), features, outputs, labels)
    document = profile(*given, {}, 0)
    return Reference.of(f"{problem.name}:1", problem.declaration, document, reference_rows(*given))


class _Tagged:
    def __init__(self, tag: str) -> None:
        self.tag = tag


def write_log(
    directory: Path,
    problem: Problem,
    columns: Columns,
    labels: NDArray[np.float64] | None = None,
    tag: str | None = None,
) -> list[str]:
    """Log rows as a server does, and post their labels; gives the ids of the predictions."""
    log = TrafficLog(directory, problem.declaration, 1 << 30, 3600.0)
    rows = ColumnRows(of(problem, columns), problem.field_names)
    batch = log.record(
        rows, _Tagged(tag or f"{problem.name}:1"), features_of(problem, columns), {TARGET.name: predicted(columns)}
    )
    ids = [item["prediction_id"] for item in batch]
    if labels is not None:
        log.record_labels([(key, float(label)) for key, label in zip(ids, labels, strict=True)])
    log.close()
    return ids


ALL_TIME = (datetime(1990, 1, 1), datetime(2100, 1, 1))


def judged(directory: Path, reference: Reference, settings: DriftSettings | None = None, **query: Any) -> DriftResult:
    """The verdict on all of the log; its page can be made."""
    settings = settings or DriftSettings()
    asked = Query(directory, *ALL_TIME, **query)
    data = read_window(asked, reference, sample=settings.sample, seed=settings.seed, maturity_hours=0.0)
    result = judge_window(asked, reference, data, settings.model_copy(update={"maturity_hours": 0.0})).result
    result.to_json()
    page(result, None, [Entry.of(result)])
    return result
