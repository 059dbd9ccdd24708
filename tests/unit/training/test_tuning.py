from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.errors import ConfigError
from tabular_bento.scoring.runners import BUILT_IN, runner_class
from tabular_bento.training import load_config, train
from tabular_bento.training.tuning import Gain, Tuning, compare, tune
from tests.unit.models import PARCELS, parcels

BAD = {"rounds": 3, "learning_rate": 0.01}
"""Parameters that anything else is better than."""


def settings(**changed: Any) -> Any:
    return load_config(parameters={"xgboost": BAD}, report=False, resamples=100, **changed)


def search(folder: Path, trials: int, **changed: Any) -> tuple[Tuning, list[int]]:
    seen: list[int] = []
    return tune(PARCELS, parcels(), settings(**changed), trials, folder, on_trial=seen.append), seen


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuning, list[int], Path]:
    folder = tmp_path_factory.mktemp("tune")
    return *search(folder, 6), folder


def test_better_parameters_than_bad_ones_are_found(found: tuple[Tuning, list[int], Path]) -> None:
    tuning, seen, _ = found
    assert tuning.changed
    assert tuning.parameters["rounds"] == 3  # nothing that is not searched is changed
    assert tuning.parameters["learning_rate"] > 0.01
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    assert (tuning.trials, tuning.new_trials) == (6, 6)


def test_what_it_gained_is_measured_on_the_test_part_with_an_interval(found: tuple[Tuning, list[int], Path]) -> None:
    tuning, *_ = found
    dataset, before = parcels(), settings()
    tuned = train(PARCELS, dataset, tuning.config(before))
    gain = compare(PARCELS, dataset, before, tuned, lambda _: None)
    plain = train(PARCELS, dataset, before)
    assert gain == Gain.of(plain, tuned)
    assert gain.before == pytest.approx(plain.metrics["test"].to_dict()["rmse"])
    assert gain.after == pytest.approx(tuned.metrics["test"].to_dict()["rmse"])
    low, high = gain.interval
    assert low < gain.after - gain.before < high < 0


def test_the_file_is_settings_of_a_training(found: tuple[Tuning, list[int], Path], tmp_path: Path) -> None:
    tuning, *_ = found
    path = tmp_path / "tuned.toml"
    path.write_text(tuning.to_toml("Found.\nBy a test."))
    assert path.read_text().startswith("# Found.\n# By a test.\n")
    assert tomllib.loads(path.read_text())["runner"] == "xgboost"
    assert load_config(path).parameters_of("xgboost") == tuning.config(settings()).parameters_of("xgboost")


def test_a_search_goes_on_where_it_ended(found: tuple[Tuning, list[int], Path]) -> None:
    _, _, folder = found
    tuning, seen = search(folder, 7)
    assert seen == [6, 7]
    assert (tuning.trials, tuning.new_trials) == (7, 1)
    again, seen = search(folder, 7)
    assert seen == [7]
    assert again == Tuning(tuning.runner, tuning.parameters, 7, 0, tuning.changed)


def test_other_settings_are_another_search(found: tuple[Tuning, list[int], Path]) -> None:
    _, _, folder = found
    tuning, seen = search(folder, 1, seed=5)
    assert seen == [0, 1]
    assert not tuning.changed  # the only trial is of the project's own parameters
    assert tuning.parameters["learning_rate"] == 0.01


def test_with_auto_the_chosen_runner_is_tuned(tmp_path: Path) -> None:
    config = load_config(
        runner="auto",
        parameters={"auto": {"candidates": ("sklearn", "xgboost")}, "xgboost": BAD, "sklearn": {"max_iter": 30}},
        report=False,
        resamples=100,
    )
    tuning = tune(PARCELS, parcels(), config, 1, tmp_path)
    assert tuning.runner == "sklearn"
    assert tuning.config(config).runner == "sklearn"
    assert tuning.config(config).fits_again, "the runner that auto chose is fitted again as auto does"
    (tmp_path / "tuned.toml").write_text(tuning.to_toml("Found."))
    assert load_config(tmp_path / "tuned.toml").fits_again


def test_without_optuna_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'tabular-bento\[tune\]'"):
        search(tmp_path, 1)


def test_where_there_is_nothing_to_tune_the_runners_that_have_something_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'pipeline' has nothing to tune; --runner names another, such as .*xgboost"):
        search(tmp_path, 1, runner="pipeline")


def test_the_first_trial_has_the_parameters_of_the_project_with_what_the_runner_chooses_itself(tmp_path: Path) -> None:
    own = {"rounds": 5, "max_depth": (2, 3)}
    config = load_config(parameters={"xgboost": own}, report=False, resamples=100)
    tuning = tune(PARCELS, parcels(), config, 1, tmp_path)
    assert tuning.config(config).parameters_of("xgboost") == config.parameters_of("xgboost")
    (tmp_path / "tuned.toml").write_text(tuning.to_toml("Found."))
    assert load_config(tmp_path / "tuned.toml").parameters_of("xgboost") == config.parameters_of("xgboost")


@pytest.mark.parametrize("kind", [kind for kind in BUILT_IN if kind not in ("pipeline", "keras")])
def test_every_runner_that_learns_from_a_matrix_is_tuned(kind: str, tmp_path: Path) -> None:
    config = load_config(runner=kind, report=False, resamples=100)
    tuning = tune(PARCELS, parcels(), config, 3, tmp_path)
    assert tuning.trials == 3
    assert set(runner_class(kind).Parameters.search) <= set(tuning.parameters)
    assert train(PARCELS, parcels(), tuning.config(config)).kind == kind


def test_a_network_draws_parameters_that_it_accepts() -> None:
    parameters = runner_class("keras").Parameters
    for name, over in parameters.search.items():
        for end in (over.low, over.high):
            assert getattr(parameters(**{name: end}), name) == end


def test_a_number_of_trials_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 is no number of trials"):
        search(tmp_path, 0)
