"""How the model is trained: typed, with every default in `config.toml` beside this file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.functions import FEATURE_NAMES
from tabular_bento.errors import ConfigError

DEFAULT_FILE = Path(__file__).with_name("config.toml")

Months = tuple[str, str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Strict):
    """First and last month of each part, by scheduled departure."""

    train: Months
    validation: Months
    test: Months


class XGBoostParameters(_Strict):
    """Parameters of `xgboost.train`."""

    rounds: int = Field(ge=1)
    max_depth: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    min_child_weight: float = Field(ge=0)
    reg_lambda: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)


class SklearnParameters(_Strict):
    """Parameters of `sklearn.ensemble.HistGradientBoostingRegressor`."""

    max_iter: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(ge=1)
    l2_regularization: float = Field(ge=0)


class GateThresholds(_Strict):
    """What a model must reach on the test months to be saved."""

    max_rmse: float
    max_mae: float
    min_r2: float
    max_ratio_to_zero_gain: float
    leak_r2: float


class TrainingConfig(_Strict):
    """The whole configuration; `config.toml` says what each setting means."""

    source: str
    runner: Literal["xgboost", "sklearn"]
    seed: int
    shrinkage: float = Field(gt=0)
    withheld: tuple[str, ...]
    reference_rows: int = Field(ge=100)
    parity_rows: int = Field(ge=10)
    resamples: int = Field(ge=100)
    split: Split
    xgboost: XGBoostParameters
    sklearn: SklearnParameters
    gate: GateThresholds

    @field_validator("withheld")
    @classmethod
    def _check_withheld(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(FEATURE_NAMES)):
            raise ValueError(f"there is no feature {unknown[0]!r}; there are {', '.join(FEATURE_NAMES)}")
        if not set(FEATURE_NAMES) - set(names):
            raise ValueError("no feature is left to learn from")
        return names


def load_config(path: Path | None = None, **overrides: Any) -> TrainingConfig:
    """The defaults, with what the file at `path` and then `overrides` say otherwise.

    Raises ConfigError naming the file and the setting that is unknown or out of range.
    """
    values = _read(DEFAULT_FILE)
    for name, value in (_read(path) if path else {}).items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    try:
        return TrainingConfig.model_validate({**values, **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path or DEFAULT_FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
