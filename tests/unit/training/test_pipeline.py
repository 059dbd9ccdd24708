from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tabular_bento import Problem
from tabular_bento.data import Split
from tabular_bento.errors import ConfigError, DataError, GateError, TableError
from tabular_bento.features import FeatureSet
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import find_model
from tabular_bento.training import load_config, publish, train
from tests.unit import models
from tests.unit.models import DATED, PARCELS, PRICES, SMALL, parcels, prices

NAMES = ("parcels", "prices", "dated")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_measured_beside_its_baselines(name: str) -> None:
    model = models.trained(name)
    baselines = {"naive_baseline", "ridge"} | ({"historical_baseline"} if name == "dated" else set())
    assert set(model.baselines) == baselines
    for part in ("validation", "test"):
        assert model.metrics[part].n == len(model.parts[part])
        assert model.metrics[part].rmse_interval is not None
        assert {parts[part].n for parts in model.baselines.values()} == {model.metrics[part].n}
    json.dumps(model.document(), allow_nan=False)


def test_it_learns_what_there_is_to_learn() -> None:
    model = models.trained("parcels")
    assert model.document()["ratio_to_naive_baseline"] < 0.4
    target = model.parts["train"].target
    naive = model.baselines["naive_baseline"]["test"]
    assert naive.bias == pytest.approx(float(target.mean() - model.parts["test"].target.mean()))


def test_the_naive_baseline_is_the_offset_where_there_is_one() -> None:
    model = models.trained("prices")
    test = model.parts["test"]
    error = test.columns["guess"] - test.target
    assert model.baselines["naive_baseline"]["test"].rmse == pytest.approx(float(np.sqrt((error**2).mean())))


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    model = models.trained("parcels")
    assert (len(model.dataset), sum(map(len, model.parts.values()))) == (300, 270)
    from tabular_bento.training.publishing import _provenance

    provenance = _provenance(model, None)
    assert (provenance["rows"], provenance["rows_without_label"], provenance["rows_in_no_part"]) == (300, 30, 0)


@pytest.mark.parametrize("runner", ["xgboost", "sklearn"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_and_seed_give_the_same_package(name: str, runner: str, tmp_path: Path) -> None:
    dataset = {"parcels": parcels, "prices": prices, "dated": lambda: prices(DATED)}[name]()
    problem: Any = dataset.problem
    parameters: Any = {**SMALL, "runner": runner}
    parameters["parameters"] = {"xgboost": {"rounds": 20}, "sklearn": {"max_iter": 20}}
    config = load_config(**parameters)
    fingerprints = [models.write(tmp_path / str(number), train(problem, dataset, config)) for number in range(2)]
    assert fingerprints[0] == fingerprints[1]
    package = ModelPackage.load(tmp_path / "0", f"{name}:x", problem)
    assert package.runner.kind == runner
    batch = dataset.columns
    rows = rows_of(batch, problem.field_names)
    alone = np.concatenate([package.predict([row]).value for row in rows[:20]])
    assert package.predictor.predict_columns(batch).value[:20].tobytes() == alone.tobytes()


def test_withheld_features_do_not_matter_to_the_model() -> None:
    config = load_config(**SMALL, withheld=["weight", "weight_of_all"])
    model = train(PARCELS, parcels(), config)
    other = {**parcels().columns, "weight": np.ones(len(parcels()))}
    assert (
        model.predictor.predict_columns(other).value.tolist()
        == model.predictor.predict_columns(parcels().columns).value.tolist()
    )
    assert model.metrics["test"].rmse > 2 * models.trained("parcels").metrics["test"].rmse


def test_a_model_that_the_gate_refuses_is_not_made() -> None:
    with pytest.raises(GateError, match="on the test part RMSE"):
        train(PARCELS, parcels(), load_config(**SMALL, gate={"max_rmse": 0.1}))
    model = train(PARCELS, parcels(), load_config(**SMALL, gate={"warn_max_r2": 0.1}))
    assert len(model.warnings) == 1


@pytest.mark.parametrize(
    ("problem", "settings", "error", "message"),
    [
        (PARCELS, {"gate": {"max_auc": 1.0}}, ConfigError, "no metric 'auc'"),
        (PARCELS, {"folds": "month"}, ConfigError, "event time"),
        (replace(PARCELS, features=FeatureSet(), example={}), {}, ConfigError, "no features"),
    ],
)
def test_settings_are_checked_before_anything_is_fitted(
    problem: Problem, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    steps: list[str] = []
    with pytest.raises(error, match=message):
        train(problem, parcels(), load_config(**SMALL, **settings), steps.append)
    assert steps == []


def test_months_without_rows_are_reported() -> None:
    months = {"train": ("2017-01", "2020-12"), "validation": ("2030-01", "2030-01"), "test": ("2031-01", "2031-02")}
    with pytest.raises(DataError, match="2030-01 to 2030-01"):
        train(DATED, prices(DATED), load_config(**SMALL, split=Split.model_validate(months)))


def test_a_table_that_a_look_up_needs_is_named() -> None:
    with pytest.raises(TableError, match=r"cities\.name, which the source does not provide"):
        train(PRICES, replace(prices(), tables={}), load_config(**SMALL))


def test_a_calibration_part_is_kept_apart() -> None:
    config = load_config(**SMALL, split={"train": 0.5, "validation": 0.2, "calibration": 0.1, "test": 0.2})
    model = train(PARCELS, parcels(), config)
    assert {name: len(part) for name, part in model.parts.items()} == {
        "train": 135, "validation": 54, "calibration": 27, "test": 54,
    }  # fmt: skip
    from tabular_bento.training.publishing import unseen_rows

    unseen = unseen_rows(model)
    assert (len(unseen.features), len(unseen.codes), unseen.days) == (81, 81, None)


def test_published_it_is_in_the_store_with_all_that_a_package_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    BentoMLContainer.bentoml_home.set(str(tmp_path))  # BentoML reads the variable once a process
    try:
        tag, fingerprint = publish(models.trained("dated"))
    finally:
        BentoMLContainer.bentoml_home.reset()
    found = find_model(tag)
    assert find_model("dated:latest") == found
    package = ModelPackage.load(found.directory, tag, DATED)
    assert package.fingerprint == fingerprint
    provenance = package.provenance
    assert provenance["split"]["train"].keys() == {"rows", "first_day", "last_day"}
    assert provenance["folds"] == {"by": 5, "number": 5}
    assert provenance["libraries"]["xgboost-cpu"]
    assert provenance["libraries"]["tabular-bento"]
    assert provenance["python"].startswith("3.")
    assert provenance["trained_at"].endswith("+00:00")
    reference = pq.read_table(found.directory / "reference.parquet")
    assert reference.column_names == [
        *(f"input.{name}" for name in DATED.field_names),
        *(f"feature.{name}" for name in DATED.feature_names),
        "output.price",
        "label",
    ]
    assert reference.num_rows == 180
    assert reference["label"].null_count == 0
