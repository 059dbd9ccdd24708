"""The error to expect without labels."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.backtest.job import Grounds
from features.problem import PROBLEM
from tabular_bento.errors import PackageReferenceError
from tabular_bento.evaluation.reference.estimate import ErrorModel, Estimate
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import judge_window
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import ERROR_MODEL_FILE, ModelPackage
from tests.integration.monitoring.logs import AUGUST, JANUARY, JULY, drawn, labels_of, post, read, record, year
from tests.integration.monitoring.verdicts import verdict
from training.source import Flights

SETTINGS = DriftSettings()
EVENT = "input.sched_dep"


@pytest.fixture(scope="module")
def grounds(package: ModelPackage) -> Grounds:
    return Grounds.of(package.tag, package.directory, SETTINGS)


def test_it_is_right_on_average_where_it_was_learnt(grounds: Grounds) -> None:
    months = grounds.later.between(datetime(2013, 7, 1), datetime(2013, 9, 1))
    result = grounds.judge(months, estimated=True)
    assert result.estimate is not None
    assert result.labels.model is not None
    assert result.estimate.rmse == pytest.approx(result.labels.model.rmse, rel=0.02)
    assert result.estimate.mae == pytest.approx(result.labels.model.mae, rel=0.02)


def test_its_interval_holds_the_truth_of_most_weeks(grounds: Grounds) -> None:
    within = []
    for day in range(1, 29, 7):
        week = grounds.later.between(datetime(2013, 10, day), datetime(2013, 10, day + 7))
        result = grounds.judge(week, estimated=True)
        assert result.estimate is not None
        assert result.labels.model is not None
        low, high = result.estimate.rmse_interval
        assert low < result.estimate.rmse < high
        within.append(low <= result.labels.model.rmse <= high)
    assert sum(within) >= 3


def test_it_knows_that_delayed_flights_are_harder(grounds: Grounds) -> None:
    late = grounds.later.where(grounds.later.columns["dep_delay"] > 60)
    on_time = grounds.later.where(np.abs(grounds.later.columns["dep_delay"]) < 10)
    rmse = []
    for past in (late, on_time):
        assert grounds.reference.error_model is not None
        estimate = grounds.reference.error_model.estimate(past.features, past.event, 30, 1_000, 0)
        assert estimate is not None
        rmse.append(estimate.rmse)
    assert rmse[0] > 1.2 * rmse[1]


def test_the_job_estimates_its_sample(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 1_000))
    result = verdict(tmp_path)
    assert result.estimate is not None
    assert result.estimate.n == 1_000
    reference = Reference.read(package.directory, package.tag)
    assert reference.error_model is not None
    sample = read(year(tmp_path), reference).sample
    assert reference.error_model.estimate_sample(sample.drop_columns(["feature.temp"]), EVENT, 7, 1_000, 0) is None
    assert reference.error_model.estimate_sample(pa.table({}), EVENT, 7, 1_000, 0) is None


def test_it_never_alarms(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    """However bad: the verdict is the one without an estimate, before labels come and after."""
    table = drawn(flights, JANUARY, JULY, 1_000)
    labels = labels_of(table, record(tmp_path, package, table))
    reference = Reference.load(package.tag)
    terrible = Estimate(n=1_000, rmse=1e6, rmse_interval=(9e5, 2e6), mae=1e6, mae_interval=(9e5, 2e6))
    for come in ([], labels):
        post(tmp_path, come)
        data = read(year(tmp_path), reference)
        without, beside = (
            judge_window(year(tmp_path), reference, data, SETTINGS, estimate=estimate).result
            for estimate in (None, terrible)
        )
        assert (beside.verdict, beside.labels.matched) == ("no_drift", len(come))
        same = without.model_copy(update={"estimate": terrible, "made_at": beside.made_at})
        assert beside.to_json() == same.to_json()


def test_a_package_without_one_has_no_estimate(package_copy: Path, package: ModelPackage) -> None:
    (package_copy / ERROR_MODEL_FILE).unlink()
    assert ErrorModel.read(package_copy, package.profile["error"], PROBLEM.feature_names) is None


def test_serving_does_not_load_it(package_copy: Path, package: ModelPackage) -> None:
    """A package whose error model is none is served; only who wants to estimate gets a message."""
    (package_copy / ERROR_MODEL_FILE).write_bytes(b"no model")
    write_manifest(package_copy)
    served = ModelPackage.load(package_copy, package.tag, PROBLEM)
    assert served.parity_rows == package.parity_rows > 0
    with pytest.raises(PackageReferenceError, match="its profile cannot be used"):
        Reference.read(package_copy, package.tag)
