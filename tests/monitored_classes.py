"""Two classifications with models and logs, for tests of monitoring: dated and binary, and one of three classes."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento import Binary, Field, Kind, Multiclass, Problem
from tabular_bento.data import Dataset
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features import FeatureSet, feature
from tabular_bento.features.columns import ColumnRows, Columns
from tabular_bento.features.common import target_means
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import read_window
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.training import TrainedModel, load_config, train
from tests.unit.models import folder_of, write

ROWS = 4_000
DAYS = 240
FIRST_DAY = 15_000


@feature(unit="years")
def age(row: Any) -> Any:
    """Age."""
    return row.age


@feature(unit="mg")
def dose(row: Any) -> Any:
    """Dose."""
    return row.dose


FIELDS = (
    Field("age", Kind.INTEGER, "Age", unit="years", minimum=0, maximum=120),
    Field("dose", Kind.NUMBER, "Dose", unit="mg", minimum=0, maximum=1_000, optional=True),
    Field("ward", Kind.TEXT, "Ward", min_length=1, max_length=10, optional=True),
)

RETURNS = Problem(
    name="returns",
    fields=(*FIELDS, Field("visit", Kind.DATE, "Day of the visit")),
    task=Binary(Field("returns", Kind.TEXT, "Whether the patient returns"), classes=("no", "yes")),
    features=FeatureSet((age, dose)) + target_means(("ward",)),
    baseline="ward_target_mean",
    event_time="visit",
    segments=("ward",),
)
"""Binary, of texts, with days, a segment, and a feature that is a share of the positive class."""

GRADES = Problem(
    name="grades",
    fields=FIELDS,
    task=Multiclass(Field("grade", Kind.INTEGER, "Grade"), classes=(3, 1, 2)),
    features=FeatureSet((age, dose)) + target_means(("ward",), classes=3),
    baseline=("ward_share_0", "ward_share_1", "ward_share_2"),
)
"""Of three classes that are integers, without days and segments; features are the shares of the classes."""

PROBLEMS = {problem.name: problem for problem in (RETURNS, GRADES)}
SMALL = {"parameters": {"xgboost": {"rounds": 20, "min_child_weight": 5.0}}, "report": False, "resamples": 100}
ALL_TIME = (datetime(1990, 1, 1), datetime(2100, 1, 1))


def columns_of(count: int, seed: int) -> dict[str, NDArray[Any]]:
    """Rows of both problems."""
    random = np.random.default_rng(seed)
    return {
        "age": random.integers(20, 90, count),
        "dose": np.where(random.random(count) < 0.05, np.nan, random.uniform(0, 100, count)),
        "ward": np.array(["A", "B", "C", None], dtype=object)[random.choice(4, count, p=(0.4, 0.3, 0.2, 0.1))],
        "visit": FIRST_DAY + np.sort(random.integers(0, DAYS, count)),
    }


def probability_of(problem: Problem, columns: Columns) -> NDArray[np.float64]:
    """The true probabilities of the classes of n rows, shape [n, classes]."""
    score = (np.asarray(columns["age"]) - 55) / 12 + (np.nan_to_num(columns["dose"], nan=50.0) - 50) / 30
    shift = np.select([np.asarray(columns["ward"]) == "A", np.asarray(columns["ward"]) == "C"], [-0.7, 0.9], 0.0)
    raw = np.linspace(-1, 1, len(problem.task.classes)) * (score + shift)[:, None]
    found = np.exp(raw)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def rows_of(name: str, count: int = ROWS, seed: int = 0) -> Dataset:
    """Rows with labels that were drawn with their true probabilities."""
    problem, columns = PROBLEMS[name], columns_of(count, seed)
    drawn = np.random.default_rng([seed, 1]).random(count)
    codes = (probability_of(problem, columns).cumsum(axis=1) < drawn[:, None]).sum(axis=1)
    labels = np.array([problem.task.classes[code] for code in codes.tolist()], dtype=object)
    kept = {item: columns[item] for item in problem.field_names}
    if "visit" in kept:
        kept["visit"] = kept["visit"].astype("datetime64[D]")
    return Dataset.of_table(problem, {**kept, problem.target.name: labels}, description=name)


@cache
def trained(name: str) -> TrainedModel:
    """A small model of a problem."""
    return train(PROBLEMS[name], rows_of(name), load_config(**SMALL))


def store_of(home: Path, name: str, version: str = "one") -> str:
    """A store with the problem's model, the latest; its tag."""
    tag = f"{name}:{version}"
    write(folder_of(home, tag), trained(name))
    (home / "models" / name / "latest").write_text(version)
    return tag


def write_log(
    directory: Path, name: str, rows: Dataset, tag: str, labels: NDArray[Any] | None = None, known: float = 1.0
) -> list[str]:
    """Log rows as a server does, and post their labels, or others; gives the ids of the predictions.

    `known` is the share of the rows whose label comes.
    """
    problem, model = PROBLEMS[name], trained(name)
    log = TrafficLog(directory, problem.declaration, 1 << 30, 3600.0)
    found = model.predictor.predict_columns(rows.columns)
    tagged = type("Tagged", (), {"tag": tag})()
    batch = log.record(ColumnRows(rows.columns, problem.field_names), tagged, found.features, found.outputs)
    ids = [item["prediction_id"] for item in batch]
    given = rows.target if labels is None else labels
    chosen = np.random.default_rng(5).random(len(ids)) < known
    log.record_labels([(ids[place], given[place]) for place in np.flatnonzero(chosen)])
    log.close()
    return ids


@cache
def reference_of(folder: Path, name: str) -> Reference:
    """The reference of the problem's model, whose package is written into a folder."""
    write(folder / name, trained(name))
    return Reference.read(folder / name, f"{name}:one")


def judged(directory: Path, reference: Reference, settings: DriftSettings | None = None, **query: Any) -> DriftResult:
    """The verdict on all of the log; its page can be made."""
    settings = (settings or DriftSettings()).model_copy(update={"maturity_hours": 0.0})
    asked = Query(directory, *ALL_TIME, **query)
    data = read_window(asked, reference, sample=settings.sample, seed=settings.seed, maturity_hours=0.0)
    result = judge_window(asked, reference, data, settings).result
    assert DriftResult.model_validate_json(result.to_json()) == result
    page(result, None, [Entry.of(result)])
    return result
