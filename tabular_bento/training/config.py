"""How a model is trained: typed settings with a default each, which a project's TOML file overrides."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tabular_bento.data.splits import Split
from tabular_bento.data.uris import check_uri
from tabular_bento.errors import ConfigError, SourceError
from tabular_bento.problem import Declaration, Problem
from tabular_bento.scoring.runners import Parameters, kinds, runner_class
from tabular_bento.scoring.runners.base import FIELDS
from tabular_bento.training.calibrating import Method
from tabular_bento.training.gate import limit_of

_Model = TypeVar("_Model", bound=BaseModel)

AUTO = "auto"
"""The setting `runner` that chooses between several."""


class AutoParameters(Parameters):
    """How `runner = "auto"` chooses."""

    candidates: tuple[str, ...] = ("linear", "xgboost")
    """The kinds of runner that are tried, the simplest first; their parameters are in the tables of their names."""
    standard_errors: float = Field(default=1.0, ge=0)
    """The simplest is taken whose mean loss is within so many standard errors of the smallest; 0 takes the smallest."""

    @field_validator("candidates")
    @classmethod
    def _check_candidates(cls, candidates: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(candidates)) < max(2, len(candidates)):
            raise ValueError("there must be at least two, each once")
        for kind in candidates:
            if kind not in kinds():
                raise ValueError(f"there is no runner {kind!r}; there are {', '.join(kinds())}")
        return candidates


class TrainingConfig(BaseModel):
    """The whole configuration; in a file `split`, `gate` and the parameters of each runner are tables."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: str | None = None
    """URI that the project's source reads, without a password; by default its own."""
    runner: str = "xgboost"
    """The kind of model; its parameters are in the table of that name. `auto` takes the better of several."""
    refit: bool | None = None
    """Whether the runner is at last fitted again on training and validation part together, with what it chose by the
    latter, such as a number of trees. By default with `auto` alone."""
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
    """Size of an error, in the target's unit; the metric `within` is the share of errors up to it."""
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    """Weight of the rows of each class in fitting: a table by class, or `balanced`, as if all were as frequent. It
    moves the probabilities; `calibration` moves them back."""
    calibration: Method = "none"
    """How probabilities are calibrated on the calibration part: `none`, `platt` or `isotonic`."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Probability from which the positive class of two is predicted."""
    tolerance: float = Field(default=0.0, ge=0, le=0.01)
    """Of a runner that is not exact: the largest difference of a row's raw score in batches from that alone, relative
    to max(1, |score|), that is allowed. With 0, or where more was measured, its rows are scored one by one."""
    report: bool = True
    """Whether the model card holds Evidently's report of the test part."""
    split: Split = Split()
    """The parts: months of the event time, or shares of the rows."""
    gate: dict[str, float] = {}
    """Limits of metrics on the test part, such as `max_rmse`; a model that misses one is not saved."""
    parameters: dict[str, dict[str, Any]] = {}
    """Parameters by kind of runner."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str | None) -> str | None:
        try:
            check_uri(source or "")
        except SourceError as error:
            raise ValueError(str(error)) from None
        return source

    @field_validator("runner")
    @classmethod
    def _check_runner(cls, kind: str) -> str:
        if kind != AUTO and kind not in kinds():
            raise ValueError(f"there is no runner {kind!r}; there are {', '.join((AUTO, *kinds()))}")
        return kind

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: Literal["month"] | int) -> Literal["month"] | int:
        if isinstance(folds, int) and folds < 2:
            raise ValueError("there must be at least 2")
        return folds

    @field_validator("class_weight")
    @classmethod
    def _check_class_weight(
        cls, weights: Literal["balanced"] | dict[str, float] | None
    ) -> Literal["balanced"] | dict[str, float] | None:
        for name, weight in weights.items() if isinstance(weights, dict) else ():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name!r} is {weight:g}; it must be a number from 0")
        return weights

    @field_validator("gate")
    @classmethod
    def _check_gate(cls, gate: dict[str, float]) -> dict[str, float]:
        for name in gate:
            limit_of(name)
        return gate

    @property
    def runner_parameters(self) -> Parameters:
        """The parameters of the runner, or how it is chosen."""
        return self.parameters_of(self.runner)

    @property
    def fits_again(self) -> bool:
        """Whether the chosen runner is fitted again on training and validation part."""
        return self.runner == AUTO if self.refit is None else self.refit

    @property
    def candidates(self) -> tuple[str, ...]:
        """The kinds of runner that are fitted: the one of the setting `runner`, or those that `auto` chooses from."""
        if self.runner != AUTO:
            return (self.runner,)
        parameters = self.runner_parameters
        assert isinstance(parameters, AutoParameters)
        return parameters.candidates

    def parameters_of(self, kind: str) -> Parameters:
        """The parameters of a kind of runner, or those of `auto`."""
        return _parameters_class(kind).model_validate(self.parameters.get(kind, {}))

    def check(self, problem: Problem | Declaration) -> None:
        """Compare with a problem.

        Raises
        ------
        ConfigError
            Where a setting names a feature or a class that the problem does not have, asks for an event time, or is of
            another kind of task.
        """
        self._check_task(problem)
        names = problem.feature_names
        if unknown := sorted(set(self.withheld) - set(names)):
            raise ConfigError(f"withheld: there is no feature {unknown[0]!r}; there are {', '.join(names)}")
        takers = [kind for kind in self.candidates if runner_class(kind).takes != FIELDS]
        if not takers:
            if self.withheld:
                raise ConfigError(f"withheld: the runner {self.runner!r} takes the fields, and sees no feature anyway")
        elif not set(names) - set(self.withheld):
            raise ConfigError(
                "withheld: no feature is left to learn from"
                if names
                else f"the problem has no features, and the runner {takers[0]!r} predicts from them"
            )
        if problem.event_time is None and (self.folds == "month" or self.split.by_months):
            what = "folds" if self.folds == "month" else "split"
            raise ConfigError(f"{what}: months are those of the event time, and the problem has none")

    def _check_task(self, problem: Problem | Declaration) -> None:
        task = problem.task
        if not task.classes:
            given = {"class_weight": self.class_weight is not None, "calibration": self.calibration != "none"}
            for name in [name for name, is_set in given.items() if is_set]:
                raise ConfigError(f"{name}: it is of classes, and the task is a {task.kind}")
        names = task.class_names
        if isinstance(self.class_weight, dict):
            if unknown := sorted(set(self.class_weight) - set(names)):
                raise ConfigError(f"class_weight: there is no class {unknown[0]!r}; there are {', '.join(names)}")
            if not any(self.class_weight.get(name, 1.0) for name in names):
                raise ConfigError("class_weight: no class has a weight above 0")
        if self.threshold != 0.5 and len(names) != 2:
            raise ConfigError(f"threshold: it is of two classes, and the task is a {task.kind}")
        if self.calibration != "none" and self.split.calibration in (None, 0):
            raise ConfigError(
                f'calibration: "{self.calibration}" needs rows of its own: give split.calibration some, such as 0.1, '
                'or set calibration = "none"'
            )
        if task.interval is not None and self.split.calibration in (None, 0):
            raise ConfigError(
                f"split: the problem's intervals of {task.interval:g} need rows that nothing else has seen: give "
                "split.calibration some, such as 0.1"
            )


def load_config(*paths: Path, problem: Problem | Declaration | None = None, **overrides: Any) -> TrainingConfig:
    """The defaults, with what files, the later ones first, and before them `overrides` say otherwise.

    Parameters
    ----------
    *paths : Path
        TOML files, such as a project's and one with what differs for a single run.
    problem : Problem or Declaration, optional
        What the settings must fit.
    **overrides
        Settings by name.

    Raises
    ------
    ConfigError
        Naming the last file, where it is not an override that is wrong, and the setting.
    """
    values: dict[str, Any] = {}
    for path in paths:
        for name, value in _read(path).items():
            values[name] = {**values.get(name, {}), **value} if _both_tables(values.get(name), value) else value
    where = str(paths[-1]) if paths else "the configuration"
    known = [AUTO, *kinds()]
    parameters = {name: values.pop(name) for name in list(values) if name in known}
    values = {**values, **overrides}
    try:
        if parameters:
            values["parameters"] = {**parameters, **values.get("parameters", {})}
        config = _validated(TrainingConfig, values)
        for kind, given in config.parameters.items():
            _validated(_parameters_class(kind), given, kind)
        if problem is not None:
            config.check(problem)
    except ConfigError as error:
        overridden = str(error).partition(":")[0] in overrides
        raise ConfigError(str(error) if overridden else f"{where}: {error}") from error
    return config


def _parameters_class(kind: str) -> type[Parameters]:
    return AutoParameters if kind == AUTO else runner_class(kind).Parameters


def _validated(model: type[_Model], values: dict[str, Any], *prefix: str) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        found = [
            str(part) for part in (*prefix, *first["loc"]) if part not in ("parameters", "tuple[str, str]", "float")
        ]
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = f"; there are: {', '.join(model.model_fields)}" if len(first["loc"]) == 1 else ""
            message = f"there is no such setting{known}"
        raise ConfigError(f"{'.'.join(found)}: {message}" if found else message) from error


def _both_tables(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from error
