from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import ConfigError
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.fitting import Candidate, fit_runner
from tabular_bento.training.pipeline import prepare
from tests.unit import models
from tests.unit.models import PARCELS, parcels

TREES = {"xgboost": {"rounds": 15, "min_child_weight": 1.0}, "sklearn": {"max_iter": 15}}
QUICK = {"report": False, "resamples": 100}


def settings(*candidates: str, **auto: Any) -> Any:
    return load_config(runner="auto", parameters={**TREES, "auto": {"candidates": candidates, **auto}}, **QUICK)


def trained(*candidates: str, **auto: Any) -> TrainedModel:
    return train(PARCELS, parcels(), settings(*candidates, **auto))


def candidates(model: TrainedModel) -> dict[str, Candidate]:
    assert model.selection is not None
    return {candidate.runner: candidate for candidate in model.selection.candidates}


def test_the_better_of_two_is_taken_and_both_are_kept_in_the_metrics() -> None:
    model = trained("sklearn", "xgboost", standard_errors=0.0)
    found = candidates(model)
    best = min(found.values(), key=lambda candidate: candidate.value)
    assert best.chosen
    assert sum(candidate.chosen for candidate in found.values()) == 1
    assert (best.difference, best.standard_error) == (0.0, 0.0)
    other = next(candidate for candidate in found.values() if not candidate.chosen)
    assert other.difference > 0
    assert other.standard_error > 0
    assert model.kind == model.predictor.runner.kind == best.runner
    document = json.loads(json.dumps(model.document(), allow_nan=False))["selection"]
    assert [each["runner"] for each in document["candidates"]] == ["sklearn", "xgboost"]
    assert document["candidates"][1]["parameters"]["rounds"] == 15
    assert document["metric"] == "rmse"


def test_the_simpler_is_taken_where_the_difference_may_be_chance() -> None:
    better = next(name for name, one in candidates(trained("sklearn", "xgboost")).items() if not one.difference)
    worse = ({"sklearn", "xgboost"} - {better}).pop()
    assert trained(worse, better, standard_errors=1e9).kind == worse
    assert trained(worse, better, standard_errors=0.0).kind == better


def test_a_small_training_part_is_compared_on_too_by_folds_that_were_not_learnt() -> None:
    model = trained("sklearn", "xgboost")
    assert model.selection is not None
    assert model.selection.of_training == len(model.parts["train"])
    assert model.selection.rows == len(model.parts["train"]) + len(model.parts["validation"])
    # What was learnt would look much better than what was not.
    chosen = next(candidate for candidate in model.selection.candidates if candidate.chosen)
    assert chosen.value > 0.7 * model.metrics["test"].to_dict()["rmse"]


def test_a_large_training_part_is_not_compared_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabular_bento.training.fitting.FOLDED_ROWS", 10)
    model = trained("sklearn", "xgboost")
    assert model.selection is not None
    assert (model.selection.of_training, model.selection.rows) == (0, len(model.parts["validation"]))


def test_the_chosen_runner_is_the_one_that_it_would_be_by_its_own_name() -> None:
    model = trained("sklearn", "xgboost")
    alone = train(PARCELS, parcels(), load_config(runner=model.kind, refit=True, parameters=TREES, **QUICK))
    rows = models.parcels(50, seed=3)
    ours, theirs = (each.predictor.predict_columns(rows.columns).value for each in (model, alone))
    assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    assert model.parameters == alone.parameters
    assert alone.selection is None
    assert "selection" not in alone.document()


def test_losses_of_a_day_are_not_taken_for_independent() -> None:
    problem, dataset = models.DATED, models.prices(models.DATED)
    by_day = prepare(problem, dataset, settings("sklearn", "xgboost"), lambda _: None)
    selection = fit_runner(by_day, lambda _: None).selection
    assert selection is not None
    assert {candidate.runner for candidate in selection.candidates} == {"sklearn", "xgboost"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("xgboost",), "candidates: there must be at least two, each once"),
        (("xgboost", "xgboost"), "candidates: there must be at least two, each once"),
        (("xgboost", "catboost"), "candidates: there is no runner 'catboost'"),
    ],
)
def test_candidates_are_checked(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(*given)
