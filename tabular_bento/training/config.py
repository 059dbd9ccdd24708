"""How a model is trained: typed settings with a default each, which a project's TOML file overrides."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tabular_bento.data.splits import Split
from tabular_bento.errors import ConfigError
from tabular_bento.problem import Declaration, Problem
from tabular_bento.scoring.runners import Parameters, kinds, runner_class
from tabular_bento.training.gate import limit_of


class TrainingConfig(BaseModel):
    """The whole configuration. In a file each setting is a line, `split`, `gate` and a runner's parameters are tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str | None = None
    """URI that the project's source reads; by default its own."""
    runner: str = "xgboost"
    """The kind of model; its parameters are in the table of that name."""
    seed: int = 0
    """The same seed, data and machine give the same model, byte for byte."""
    folds: Literal["month"] | int = 5
    """Folds of the training rows, whose look-ups are fitted on the others: a number, or `month`."""
    withheld: tuple[str, ...] = ()
    """Features that the model is not shown: what are they worth?"""
    reference_rows: int = Field(default=5000, ge=100)
    """Training rows that are kept in the package for drift reports."""
    parity_rows: int = Field(default=120, ge=10)
    """Rows kept with their exact features and predictions, which every server recomputes."""
    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples behind each interval."""
    within: float | None = Field(default=None, gt=0)
    """Size of an error up to which a prediction counts as near, in the target's unit; the metric `within` is their share."""
    split: Split = Split()
    """The parts: months of the event time, or shares of the rows."""
    gate: dict[str, float] = {}
    """Limits of metrics on the test part, as `max_rmse`; a model that misses one is not saved. See `tabular_bento.training.gate`."""
    parameters: dict[str, dict[str, Any]] = {}
    """Parameters by kind of runner."""

    @field_validator("runner")
    @classmethod
    def _check_runner(cls, kind: str) -> str:
        if kind not in kinds():
            raise ValueError(f"there is no runner {kind!r}; there are {', '.join(kinds())}")
        return kind

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: Literal["month"] | int) -> Literal["month"] | int:
        if isinstance(folds, int) and folds < 2:
            raise ValueError("there must be at least 2")
        return folds

    @field_validator("gate")
    @classmethod
    def _check_gate(cls, gate: dict[str, float]) -> dict[str, float]:
        for name in gate:
            limit_of(name)
        return gate

    @property
    def runner_parameters(self) -> Parameters:
        """The parameters of the runner."""
        return runner_class(self.runner).Parameters.model_validate(self.parameters.get(self.runner, {}))

    def check(self, problem: Problem | Declaration) -> None:
        """Compare with a problem.

        Raises
        ------
        ConfigError
            Where a setting names a feature that the problem does not have, or asks for an event time.
        """
        names = problem.feature_names
        if unknown := sorted(set(self.withheld) - set(names)):
            raise ConfigError(f"withheld: there is no feature {unknown[0]!r}; there are {', '.join(names)}")
        if not set(names) - set(self.withheld):
            raise ConfigError("withheld: no feature is left to learn from" if names else "the problem has no features")
        if problem.event_time is None and (self.folds == "month" or self.split.by_months):
            what = "folds" if self.folds == "month" else "split"
            raise ConfigError(f"{what}: months are those of the event time, and the problem has none")


def load_config(path: Path | None = None, problem: Problem | Declaration | None = None, **overrides: Any) -> TrainingConfig:
    """The defaults, with what a file and then `overrides` say otherwise.

    Parameters
    ----------
    path : Path, optional
        A TOML file.
    problem : Problem or Declaration, optional
        What the settings must fit.
    **overrides
        Settings by name.

    Raises
    ------
    ConfigError
        Naming the file and the setting that is unknown or out of range.
    """
    values = _read(path) if path else {}
    where = str(path) if path else "the configuration"
    known = kinds()
    parameters = {name: values.pop(name) for name in list(values) if name in known}
    values = {**values, **overrides}
    try:
        if parameters:
            values["parameters"] = {**parameters, **values.get("parameters", {})}
        config = TrainingConfig.model_validate(values)
        for kind, given in config.parameters.items():
            _check_parameters(where, kind, given)
        if problem is not None:
            config.check(problem)
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != "parameters"]
        raise ConfigError(f"{where}: {'.'.join(place)}: {first['msg']}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if not str(error).startswith(where) else str(error)) from error
    return config


def _check_parameters(where: str, kind: str, given: dict[str, Any]) -> None:
    try:
        runner_class(kind).Parameters.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {'.'.join(map(str, (kind, *first['loc'])))}: {first['msg']}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
