from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tabular_bento.errors import ConfigError
from tabular_bento.training.config import DEFAULT_FILE, TrainingConfig, load_config


def test_the_defaults_are_the_commented_file_and_nothing_is_missing_from_it() -> None:
    values = tomllib.loads(DEFAULT_FILE.read_text())
    assert set(values) == set(TrainingConfig.model_fields)
    assert load_config().model_dump(mode="json") == TrainingConfig.model_validate(values).model_dump(mode="json")


def test_every_line_of_the_file_that_is_not_a_tree_parameter_or_obvious_says_what_it_means() -> None:
    lines = DEFAULT_FILE.read_text().splitlines()
    settings = [line for line in lines if "=" in line and line.split("=")[0].strip() in TrainingConfig.model_fields]
    assert settings
    assert all("#" in line for line in settings)


def test_the_split_is_by_time_and_its_parts_do_not_meet() -> None:
    split = load_config().split
    assert split.train[0] <= split.train[1] < split.validation[0] <= split.validation[1] < split.test[0]
    assert split.test[0] <= split.test[1]


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('runner = "sklearn"\n[xgboost]\nrounds = 7\n')
    config, default = load_config(path), load_config()

    assert config.runner == "sklearn"
    assert config.xgboost.rounds == 7
    assert config.xgboost.max_depth == default.xgboost.max_depth
    assert config.gate == default.gate
    assert config.seed == default.seed


def test_an_option_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("seed = 1\n")
    assert load_config(path, seed=2).seed == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("roundz = 3", "roundz"),
        ("[xgboost]\nroundz = 3", "xgboost.roundz"),
        ("[xgbost]\nrounds = 3", "xgbost"),
        ('runner = "lightgbm"', "runner"),
        ("[xgboost]\nrounds = 0", "xgboost.rounds"),
        ("[xgboost]\nsubsample = 1.5", "xgboost.subsample"),
        ('[gate]\nmax_rmse = "high"', "gate.max_rmse"),
        ("shrinkage = 0", "shrinkage"),
        ("parity_rows = 0", "parity_rows"),
        ('[split]\ntest = ["2013-09"]', "split.test"),
        ('seed = "x"', "seed"),
        ("xgboost = 3", "xgboost"),
    ],
)
def test_a_setting_that_is_unknown_or_out_of_range_is_named_with_its_file(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "other.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: {place}")


def test_a_file_that_is_not_there_or_not_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_config(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match=r"bad\.toml cannot be read"):
        load_config(tmp_path / "bad.toml")
