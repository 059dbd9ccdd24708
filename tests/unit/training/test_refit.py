"""Fitting the chosen runner again, on training and validation part: what it learns, and what may not see it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.data import Dataset
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.scoring.runners import fit_kind
from tabular_bento.scoring.runners.base import Parameters
from tabular_bento.scoring.runners.linear import LinearParameters
from tabular_bento.scoring.runners.xgboost import XGBoostParameters
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.card import card_of
from tabular_bento.training.fitting import Fitted, fit_again, settled
from tabular_bento.training.limits import limits_of
from tabular_bento.training.pipeline import prepare
from tabular_bento.training.publishing import unseen_rows
from tests.unit import models
from tests.unit.models import PARCELS, parcels
from tests.unit.training.test_classes import QUICK, table
from tests.unit.wide import RUNNERS, WIDE, dataset, settings

BY_HEART = {"rounds": 80, "max_depth": 12, "min_child_weight": 0.0, "reg_lambda": 0.0, "learning_rate": 0.3}
"""Trees that know the label of each row that they have seen."""


def noise() -> Dataset:
    """Parcels whose cost nothing says anything of."""
    return replace(parcels(), target=np.random.default_rng(1).normal(0, 1, models.ROWS))


@cache
def noisy(refit: bool) -> TrainedModel:
    config = load_config(parameters={"xgboost": BY_HEART}, refit=refit, report=False, resamples=100)
    return train(PARCELS, noise(), config)


def loss(model: TrainedModel, predicted: Any, part: str) -> float:
    return float(np.sqrt(np.mean((predicted - model.parts[part].target) ** 2)))


def test_the_model_has_learnt_the_validation_part_and_is_measured_there_by_one_that_has_not() -> None:
    again, once = noisy(True), noisy(False)
    rows = again.parts["validation"]
    assert loss(again, again.predictor.predict_columns(rows.columns).value, "validation") < 0.3
    assert loss(again, again.predictions["validation"].value, "validation") > 0.9
    assert again.predictions["validation"].value.tobytes() == once.predictions["validation"].value.tobytes()
    assert again.metrics["validation"].to_dict() == once.metrics["validation"].to_dict()
    assert again.predictions["test"].value.tobytes() != once.predictions["test"].value.tobytes()
    assert (again.fitted_on, once.fitted_on) == (("train", "validation"), ("train",))


def test_what_is_learnt_of_errors_is_learnt_of_rows_that_were_not_seen() -> None:
    again, once = (unseen_rows(noisy(refit)) for refit in (True, False))
    for ours, theirs in ((again.features, once.features), (again.outputs["cost"], once.outputs["cost"])):
        assert ours.tobytes() == theirs.tobytes()
    residual = again.outputs["cost"] - again.codes
    assert np.sqrt(np.mean(residual**2)) > 0.9


def test_neither_test_nor_calibration_part_is_seen() -> None:
    given, split = {"report": False, "resamples": 100}, {"train": 0.4, "validation": 0.2, "calibration": 0.2}
    config = load_config(parameters={"xgboost": BY_HEART}, refit=True, split={**split, "test": 0.2}, **given)
    first = train(PARCELS, noise(), config)
    target = first.dataset.target.copy()
    for part in ("calibration", "test"):
        target[first.dataset.parts[part]] += 1000
    second = train(PARCELS, replace(noise(), target=target), config)
    X = first.predictions["test"].features
    ours, theirs = (model.predictor.runner.predict(X) for model in (first, second))
    assert ours.tobytes() == theirs.tobytes()


def test_the_scale_of_intervals_is_that_of_rows_that_were_not_seen() -> None:
    rows = dataset(WIDE)
    once, again = (train(WIDE, rows, settings(refit=refit)) for refit in (False, True))
    X = once.predictions["test"].features
    ours, theirs = (model.predictor.spread.predict(X) for model in (again, once))
    assert ours.tobytes() == theirs.tobytes()
    outputs, test = again.predictions["test"].outputs, again.parts["test"]
    inside = (outputs["cost_lower"] <= test.target) & (test.target <= outputs["cost_upper"])
    assert 0.86 <= inside.mean() <= 0.94
    width = again.predictions["validation"].outputs["cost_upper"] - again.predictions["validation"].value
    assert np.isfinite(width).all()


def test_probabilities_of_both_fits_are_calibrated() -> None:
    problem, rows = table("tumours")
    config = load_config(**QUICK, runner="linear", refit=True, calibration="platt")
    model, once = train(problem, rows, config), train(problem, rows, config.model_copy(update={"refit": False}))
    assert model.first is not None
    for predictor in (model.first, model.predictor):
        assert predictor.calibration is not None
        assert predictor.calibration.method == "platt"
    ours, theirs = (each.predictions["validation"].outputs["probability"] for each in (model, once))
    assert ours.tobytes() == theirs.tobytes()
    assert model.metrics["test"].to_dict()["log_loss"] < 1.1 * once.metrics["test"].to_dict()["log_loss"]


def test_what_the_first_fit_chose_is_given_to_the_second() -> None:
    quick = {"report": False, "resamples": 100}
    model = train(PARCELS, parcels(), load_config(runner="xgboost", refit=True, **quick))
    rounds = model.chosen["rounds"]
    assert model.predictor.runner.booster.num_boosted_rounds() == rounds
    rows = np.sort(np.concatenate([model.dataset.parts[name] for name in model.fitted_on]))
    split = {"train": 0.8, "validation": 0.1, "test": 0.1}
    joined = replace(model.dataset.where(rows), parts={})
    whole = prepare(PARCELS, joined, load_config(runner="xgboost", split=split, **quick), lambda _: None)
    assert len(whole.train) < len(rows)
    assert model.predictor.extractor.state.vocabularies.keys() == whole.extractor.state.vocabularies.keys()


@pytest.mark.parametrize("runner", sorted(RUNNERS))
def test_every_runner_is_fitted_again(runner: str) -> None:
    once, again = (train(WIDE, dataset(WIDE, 600), settings(runner, refit=refit)) for refit in (False, True))
    assert again.first is not None
    ours, theirs = (model.predictions["validation"].value for model in (again, once))
    assert ours.tobytes() == theirs.tobytes()
    assert again.predictions["test"].value.tobytes() != once.predictions["test"].value.tobytes()
    assert again.chosen == once.chosen


def test_by_default_it_is_with_auto_alone() -> None:
    assert load_config(runner="auto").fits_again
    assert not load_config().fits_again
    assert not load_config(runner="auto", refit=False).fits_again
    assert load_config(runner="linear", refit=True).fits_again


def test_a_runner_that_does_not_say_what_it_chose_stays_as_it_is() -> None:
    config = load_config(runner="xgboost", report=False, resamples=100)
    rows = prepare(PARCELS, parcels(), config, lambda _: None)
    runner: Any = rows.fit("xgboost", config.parameters_of("xgboost"))
    assert fit_again(rows, Fitted("xgboost", runner), lambda _: None) is not None
    runner.chosen = {}
    assert fit_again(rows, Fitted("xgboost", runner), lambda _: None) is None


@pytest.mark.parametrize("parameters", [LinearParameters(), XGBoostParameters(learning_rate=0.3)])
def test_with_what_was_chosen_a_runner_needs_no_rows_to_choose_by(parameters: Parameters) -> None:
    kind = type(parameters).__name__.removesuffix("Parameters").lower()
    config = load_config(runner=kind, report=False, resamples=100)
    rows = prepare(PARCELS, parcels(), config, lambda _: None)
    runner: Any = rows.fit(kind, parameters)
    found = settled(parameters, runner)
    assert not found.needs_validation
    same = fit_kind(kind, rows.learnt, found, PARCELS.task, config.seed)
    assert same.predict(rows.X).tobytes() == runner.predict(rows.X).tobytes()


def test_the_card_and_the_package_say_so(tmp_path: Path) -> None:
    model = noisy(True)
    page = card_of(model, {})
    seen = len(model.parts["train"]) + len(model.parts["validation"])
    assert f"trained on {seen:,} rows" in page.about
    tables = {each.title: each for each in page.tables}
    assert "of the first fit, which had not seen them" in tables["Metrics of the validation part"].note
    assert "first fit" not in tables["Metrics of the test part"].note
    assert "fitted again" in [row[0] for row in tables["Settings"].rows]
    assert any(line.startswith("It was fitted again on training and validation part") for line in limits_of(model, []))
    assert not any(line.startswith("It was fitted again") for line in limits_of(noisy(False), []))
    models.write(tmp_path / "package", model)
    provenance = json.loads((tmp_path / "package" / "provenance.json").read_text())
    assert provenance["fitted_on"] == ["train", "validation"]


def test_a_comparison_leaves_out_the_validation_rows_that_a_model_has_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("BENTOML_HOME", str(store))
    given: dict[str, Any] = {**models.SMALL, "refit": True}
    rows = parcels(2_000)
    for tag, split in (("parcels:a", {"seed": 0}), ("parcels:b", {"seed": 1})):
        models.write(models.folder_of(store, tag), train(PARCELS, rows, load_config(**given, split=split)))
    result = run("parcels:a", "parcels:b", "test", "not_worse", tmp_path, CompareSettings(max_latency_ratio=None),
                 problem=PARCELS, dataset=rows)  # fmt: skip
    first, second = (load_config(split={"seed": seed}).split.positions(replace(rows, parts={})) for seed in (0, 1))
    unseen = np.setdiff1d(second["test"], np.concatenate([first["train"], first["validation"]]))
    assert result.rows.compared == len(unseen)
