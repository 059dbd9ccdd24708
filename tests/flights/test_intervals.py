"""Intervals of the flights: coverage on halves of the calibration part, by month of the test part, and the alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.problem import PROBLEM
from tabular_bento import Regression
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features.columns import ColumnRows
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import read_window
from tabular_bento.tasks import Conformal
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.training import TrainedModel, load_config, train
from tests.models import ROOT
from tests.unit import models
from training.source import SOURCE

pytestmark = pytest.mark.slow

FLIGHTS = replace(PROBLEM, task=Regression(PROBLEM.target, offset="dep_delay", interval=0.9))
TAG = "flights:one"
MONTHS = {"2013-09": 0.906, "2013-10": 0.918, "2013-11": 0.899, "2013-12": 0.902}
"""What docs/train.md shows."""


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """The project's own model, with intervals."""
    config = load_config(ROOT / "training" / "config.toml", problem=FLIGHTS)
    return train(FLIGHTS, replace(SOURCE.load(), problem=FLIGHTS), config)


@pytest.fixture(scope="module")
def reference(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("flights") / "package"
    models.write(folder, model)
    return Reference.read(folder, TAG)


def test_a_half_of_the_calibration_part_covers_the_other(model: TrainedModel) -> None:
    predictor, part = model.predictor, model.parts["calibration"]
    assert predictor.conformal is not None
    predictions = model.predictions["calibration"]
    residual = part.target - predictions.outputs["arrival_delay"]
    scale = predictor.spread.predict(predictions.features)[:, 0]
    for seed in range(20):
        first = np.random.default_rng(seed).permutation(len(part)) < len(part) // 2
        fitted = Conformal.fit(0.9, residual[first], scale[first], predictor.conformal.floor)
        covered = np.abs(residual[~first]) <= fitted.half_widths(scale[~first], int((~first).sum()))
        assert 0.88 <= covered.mean() <= 0.92, seed


def test_the_months_are_those_of_the_page(model: TrainedModel) -> None:
    found = {each["month"]: each for each in model.document()["intervals"]["test"]["by_month"]}
    page = (ROOT / "docs" / "train.md").read_text()
    assert {month: round(each["coverage"], 3) for month, each in found.items()} == pytest.approx(MONTHS, abs=0.003)
    for month in MONTHS:
        assert f"| {month} | {found[month]['n']:,} | {MONTHS[month]:.3f} (" in page


class Tagged:
    tag = TAG


def judged(folder: Path, model: TrainedModel, reference: Reference, month: str, width: float = 1.0) -> DriftResult:
    """The verdict on a month, with intervals that are so many times as wide."""
    test = model.parts["test"]
    days = test.columns["sched_dep"].astype("datetime64[s]")
    rows = np.flatnonzero(days.astype("datetime64[M]") == np.datetime64(month))
    outputs = {name: values[rows] for name, values in model.predictions["test"].outputs.items()}
    half = width * (outputs["arrival_delay_upper"] - outputs["arrival_delay"])
    outputs |= FLIGHTS.task.bounds(outputs, half)
    columns: Any = {name: np.asarray(values)[rows] for name, values in test.columns.items()}
    log = TrafficLog(folder, FLIGHTS.declaration, 1 << 30, 3600.0)
    features = model.predictions["test"].features[rows]
    batch = log.record(ColumnRows(columns, FLIGHTS.field_names), Tagged(), features, outputs)
    log.record_labels(list(zip(batch.column("prediction_id"), test.target[rows].tolist(), strict=True)))
    log.close()
    query = Query(folder, datetime(2013, 1, 1), datetime(2014, 2, 1), on="sched_dep")
    settings = DriftSettings(maturity_hours=0.0)
    data = read_window(query, reference, sample=settings.sample, seed=settings.seed, maturity_hours=0.0)
    return judge_window(query, reference, data, settings).result


@pytest.mark.parametrize("month", MONTHS)
def test_no_month_is_below_the_level_and_none_alarms(
    model: TrainedModel, reference: Reference, tmp_path: Path, month: str
) -> None:
    result = judged(tmp_path, model, reference, month)
    known = result.labels.interval
    assert known is not None
    assert known.coverage == pytest.approx(MONTHS[month], abs=0.003)
    assert known.coverage_interval is not None
    assert known.coverage_interval[1] > 0.9
    assert "interval_coverage" not in result.decision.reasons


def test_a_month_that_is_below_alarms(model: TrainedModel, reference: Reference, tmp_path: Path) -> None:
    """Intervals of rows that the scale was fitted on are too narrow, which October shows."""
    ours = model.predictor.conformal
    assert ours is not None
    part, predictions = model.parts["validation"], model.predictions["validation"]
    residual = part.target - predictions.outputs["arrival_delay"]
    seen = Conformal.fit(0.9, residual, model.predictor.spread.predict(predictions.features)[:, 0], ours.floor)
    result = judged(tmp_path, model, reference, "2013-10", seen.quantile / ours.quantile)
    known = result.labels.interval
    assert known is not None
    assert known.coverage == pytest.approx(0.883, abs=0.003)
    assert known.coverage_interval is not None
    assert known.coverage_interval[1] < 0.9
    assert result.verdict == "drift"
    assert "interval_coverage" in result.decision.reasons
