"""A runner that takes the fields of the rows, and problems without features: trained, packed, monitored, served."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.data import Dataset
from tabular_bento.errors import ConfigError
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features import ColumnRows, FeatureSet
from tabular_bento.features.columns import RepeatedTexts, rows_of
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.skew import Tally, check
from tabular_bento.monitoring.window.data import Query
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import BUILT_IN, OneByOne
from tabular_bento.testing.checks import CHECKS, check_row_independence
from tabular_bento.testing.project import ProjectUnderTest
from tabular_bento.testing.runners import check_fitted_runner, check_runner
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import ScanCounts
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.card import card_of
from tests import monitored_classes as classes
from tests.unit import fields, models

PARCELS = replace(models.PARCELS, name="bare", features=FeatureSet(), example={})
STAYS = replace(classes.GRADES, name="stays", features=FeatureSet(), fields=classes.FIELDS[:3], baseline=None)
"""Problems without features: a number, and three classes."""

SMALL = {"runner": "means", "resamples": 100}
ALL_TIME = (datetime(1990, 1, 1), datetime(2100, 1, 1))


@pytest.fixture(autouse=True)
def means(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner of the tests, as if it were built in."""
    for kind, where in fields.RUNNERS.items():
        monkeypatch.setitem(BUILT_IN, kind, where)


def data(name: str) -> Dataset:
    if name == "bare":
        return replace(models.parcels(), problem=PARCELS)
    found = classes.rows_of("grades", 600)
    return replace(found, problem=STAYS)


def trained(name: str, **settings: Any) -> TrainedModel:
    found = data(name)
    by = {"means": {"by": "kind" if name == "bare" else "ward"}}
    by["uneven"] = by["means"]
    return train(found.problem, found, load_config(parameters=by, **{**SMALL, **settings}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["bare", "stays"])
def test_a_problem_without_features_is_trained_packed_and_monitored(name: str, tmp_path: Path) -> None:
    model = trained(name)
    assert set(model.baselines) == {"naive_baseline"}
    fingerprint = models.write(tmp_path / "package", model)
    package = ModelPackage.load(tmp_path / "package", f"{name}:one", model.problem)
    assert (package.fingerprint, package.parity_rows > 0, package.extractor.features.names) == (fingerprint, True, ())
    columns = package.profile["columns"]
    watched = {key: column["importance"] for key, column in columns.items() if key.startswith("input.")}
    assert set(watched) == {f"input.{field}" for field in model.problem.field_names}
    by = "input.kind" if name == "bare" else "input.ward"
    assert watched == {key: float(key == by) for key in watched}
    report = card_of(model, {key.removeprefix("input."): share for key, share in watched.items()})
    assert f"means on {len(model.problem.fields)} fields" in report.about
    assert report.importance is not None

    rows = model.parts["test"]
    log = TrafficLog(tmp_path / "traffic", model.problem.declaration, 1 << 30, 3600.0)
    found = package.predictor.predict_columns(rows.columns)
    assert found.features.shape == (len(rows), 0)
    batch = log.record(ColumnRows(rows.columns, model.problem.field_names), package, found.features, found.outputs)
    log.record_labels([(item["prediction_id"], label) for item, label in zip(batch, rows.target.tolist(), strict=True)])
    log.close()
    reference = Reference.read(tmp_path / "package", f"{name}:one")
    result = classes.judged(tmp_path / "traffic", reference, DriftSettings())
    assert {column.name for column in result.columns if column.role == "input"} == {*model.problem.field_names}
    assert result.labels.matched == len(rows)
    tally = Tally(model.problem.declaration)
    check(Query(tmp_path / "traffic", *ALL_TIME), package.tag, package.predictor, tally, ScanCounts())
    assert (tally.checked, tally.differing) == (len(rows), 0)


@pytest.mark.parametrize("name", ["bare", "stays"])
def test_every_check_of_a_project_holds_without_features(name: str) -> None:
    found = data(name)
    by = {"means": {"by": "kind" if name == "bare" else "ward"}}
    project = ProjectUnderTest.of(found.problem, found, load_config(parameters=by, **SMALL))  # type: ignore[arg-type]
    for one in CHECKS:
        one(project)


def test_rows_columns_and_repeated_texts_reach_the_runner_alike() -> None:
    model = trained("bare")
    columns = dict(model.parts["test"].columns)
    rows = rows_of(columns, PARCELS.field_names)
    distinct, indices = np.unique(np.asarray(columns["kind"], dtype=str), return_inverse=True)
    repeated = {**columns, "kind": RepeatedTexts(distinct.tolist(), indices)}
    wanted = model.predictor.predict(rows).value.tolist()
    features = model.predictor.extractor.transform(rows)
    assert model.predictor.score(features, rows)[:, 0].tolist() == wanted
    for given in (columns, repeated):
        assert model.predictor.predict_columns(given).value.tolist() == wanted
        assert model.predictor.predict(ColumnRows(given, PARCELS.field_names)).value.tolist() == wanted


def test_rows_of_a_runner_of_fields_that_is_not_exact_are_scored_one_by_one() -> None:
    model = trained("bare", runner="uneven")
    rows = rows_of(model.parts["test"].columns, PARCELS.field_names)[:7]
    alone = [model.predictor.predict([row]).value[0] for row in rows]
    assert model.predictor.predict(rows).value.tolist() == alone


def test_a_project_may_allow_a_difference_in_batches(tmp_path: Path) -> None:
    alone, together = trained("bare", runner="uneven"), trained("bare", runner="uneven", tolerance=1e-6)
    for model, scored, tolerance in ((alone, "row by row", 0.0), (together, "in batches", 1e-6)):
        models.write(tmp_path / scored, model)
        package = ModelPackage.load(tmp_path / scored, "bare:one", PARCELS)
        described = package.describe()["batches"]
        assert (described["scored"], described["tolerance"]) == (scored, tolerance)
        assert 1e-12 < described["difference"] < 1e-6
        rows = rows_of(model.parts["test"].columns, PARCELS.field_names)
        one = np.concatenate([package.predict([row]).value for row in rows])
        off = np.abs(package.predict(rows).value - one).max()
        assert (off == 0) == (scored == "row by row")
        assert package.predictor.tolerance == tolerance
    assert any("scored one by one" in warning for warning in alone.warnings)
    assert not any("scored one by one" in warning for warning in together.warnings)
    found = data("bare")
    for tolerance in (0.0, 1e-6):
        settings = load_config(runner="uneven", resamples=100, tolerance=tolerance)
        check_row_independence(ProjectUnderTest.of(PARCELS, found, settings))
    smaller = trained("bare", runner="uneven", tolerance=1e-13)
    assert isinstance(smaller.predictor.runner, OneByOne)


def test_only_runners_of_the_matrix_need_features() -> None:
    with pytest.raises(ConfigError, match="no features, and the runner 'xgboost' predicts from them"):
        load_config(runner="xgboost").check(PARCELS)
    with pytest.raises(ConfigError, match="withheld: the runner 'means' takes the fields"):
        load_config(runner="means", withheld=("weight",)).check(models.PARCELS)
    load_config(runner="means").check(PARCELS)


def test_a_runner_of_fields_is_checked_once_it_is_fitted() -> None:
    with pytest.raises(AssertionError, match=r"it takes fields.*check_fitted_runner"):
        check_runner(fields.MeansRunner)
    model = trained("stays")
    columns = {name: np.asarray(values[:50]) for name, values in model.parts["test"].columns.items()}
    check_fitted_runner(model.predictor.runner, columns, model.problem.task)


def test_beside_features_a_runner_of_fields_has_them_for_the_log_alone() -> None:
    model = models.trained("parcels")
    runner = fields.MeansRunner("kind", {}, [1.5])
    predictor = Predictor(model.problem, model.predictor.extractor, runner)
    rows = rows_of(model.parts["test"].columns, model.problem.field_names)[:3]
    found = predictor.predict(rows)
    assert (found.value.tolist(), found.features.shape) == ([1.5] * 3, (3, 3))
