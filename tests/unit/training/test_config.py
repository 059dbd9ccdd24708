from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tabular_bento.data import Split
from tabular_bento.errors import ConfigError
from tabular_bento.scoring import runners
from tabular_bento.scoring.runners.sklearn import SklearnParameters
from tabular_bento.scoring.runners.xgboost import XGBoostParameters
from tabular_bento.training import TrainingConfig, load_config
from tests.unit.models import DATED, PARCELS, PRICES


@pytest.mark.parametrize("model", [TrainingConfig, Split, XGBoostParameters, SklearnParameters])
def test_every_setting_has_a_default_and_a_line_of_documentation(model: type[BaseModel]) -> None:
    assert model() is not None
    lines = inspect.getsource(model).splitlines()
    for name in model.model_fields:
        place = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}: "))
        assert lines[place + 1].strip().startswith('"""'), name


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('runner = "sklearn"\n[xgboost]\nrounds = 7\n[gate]\nmax_rmse = 3\n')
    config, default = load_config(path), load_config()

    assert config.runner == "sklearn"
    assert config.parameters == {"xgboost": {"rounds": 7}}
    assert config.gate == {"max_rmse": 3.0}
    assert (config.seed, config.split, config.resamples) == (default.seed, default.split, default.resamples)
    assert isinstance(config.runner_parameters, SklearnParameters)
    assert load_config(path, runner="xgboost").runner_parameters == XGBoostParameters(rounds=7)


def test_a_second_file_comes_before_the_first_setting_by_setting(tmp_path: Path) -> None:
    first, second = tmp_path / "project.toml", tmp_path / "run.toml"
    first.write_text("seed = 1\nresamples = 200\n[xgboost]\nrounds = 7\nmax_depth = 3\n")
    second.write_text("seed = 2\n[xgboost]\nrounds = 8\n")
    config = load_config(first, second)
    assert (config.seed, config.resamples) == (2, 200)
    assert config.runner_parameters == XGBoostParameters(rounds=8, max_depth=3)


def test_an_option_comes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("seed = 1\n")
    assert load_config(path, seed=2).seed == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("roundz = 3", "roundz: there is no such setting; there are: source, runner, "),
        ("[split]\ntrian = 0.5", r"split\.trian: there is no such setting"),
        ("[xgboost]\nroundz = 3", r"xgboost\.roundz"),
        ("[xgbost]\nrounds = 3", "xgbost"),
        ('runner = "catboost"', "runner: there is no runner 'catboost'; there are auto, xgboost"),
        ("[xgboost]\nrounds = 0", r"xgboost\.rounds"),
        ("[xgboost]\nsubsample = 1.5", r"xgboost\.subsample"),
        ('[gate]\nmax_rmse = "high"', r"gate\.max_rmse"),
        ("[gate]\nrmse = 3", "gate: 'rmse' is no threshold"),
        ("folds = 1", "folds: there must be at least 2"),
        ('folds = "week"', "folds"),
        ("parity_rows = 0", "parity_rows"),
        ('[split]\ntest = ["2013-09"]', r"split\.test"),
        ("[split]\ntrain = 0.9", "split: the fractions are more than 1"),
        ('seed = "x"', "seed"),
        ("xgboost = 3", "xgboost"),
        ("seed = ", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"wrong\.toml.*{place}"):
        load_config(path)


def test_an_option_that_is_wrong_is_not_blamed_on_a_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("seed = 1\n")
    with pytest.raises(ConfigError, match=r"^runner: there is no runner 'torch'; there are auto, "):
        load_config(path, runner="torch")


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml cannot be read"):
        load_config(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("problem", "settings", "message"),
    [
        (PARCELS, {"withheld": ["colour"]}, "no feature 'colour'; there are weight, kind, weight_of_all"),
        (PARCELS, {"withheld": PARCELS.feature_names}, "no feature is left to learn from"),
        (PARCELS, {"folds": "month"}, "folds: months are those of the event time"),
        (PRICES, {"split": dict.fromkeys((), ("2020-01", "2020-01")) | {
            "train": ("2020-01", "2020-02"), "validation": ("2020-03", "2020-03"), "test": ("2020-04", "2020-04")}},
         "split: months are those of the event time"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_problem_are_refused(problem: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(problem=problem, **settings)
    assert load_config(problem=DATED, folds="month").folds == "month"


class Other:
    """A runner of another distribution."""

    kind = "other"
    Parameters = XGBoostParameters


def test_a_runner_of_another_distribution_is_known_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("other", f"{__name__}:Other", runners.GROUP)
    monkeypatch.setattr(runners, "entry_points", lambda group: [entry] if group == runners.GROUP else [])
    path = tmp_path / "other.toml"
    path.write_text('runner = "other"\n[other]\nrounds = 3\n')
    assert runners.kinds() == [*runners.BUILT_IN, "other"]
    assert load_config(path).runner_parameters == XGBoostParameters(rounds=3)
    path.write_text('runner = "other"\n[other]\nroundz = 3\n')
    with pytest.raises(ConfigError, match=r"other\.roundz"):
        load_config(path)
    monkeypatch.setattr(runners, "entry_points", lambda group: [EntryPoint("other", "nowhere:Nothing", group)])
    with pytest.raises(ConfigError, match=r"'other', nowhere:Nothing, cannot be imported"):
        runners.runner_class("other")
