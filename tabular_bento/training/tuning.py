"""Tuning a runner's parameters on the unseen rows of the project's own split, with Optuna."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from tabular_bento.data import Dataset
from tabular_bento.environment import pip_install_command
from tabular_bento.errors import ConfigError, TabularBentoError, TrainingError
from tabular_bento.evaluation import noninferiority
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import blocks_of, draw_blocks
from tabular_bento.problem import Problem
from tabular_bento.scoring.runners import BUILT_IN, runner_class
from tabular_bento.scoring.runners.base import Parameters
from tabular_bento.training.config import TrainingConfig
from tabular_bento.training.fitting import TrainingRows, fit_runner
from tabular_bento.training.pipeline import TrainedModel, prepare, train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.study import Study
    from optuna.trial import Trial

COVERAGE = 0.95
"""Of the interval of the gain."""

_OWN = "own"
"""Marks the trial of the project's own parameters, of which some may be lists, or left to the runner."""


@dataclass(frozen=True)
class Gain:
    """What tuning changed on the test part, which no trial has seen.

    Parameters
    ----------
    metric : str
        The primary metric of the task.
    before, after : float
        It with the project's own parameters and with the tuned ones.
    interval : tuple of float
        95 % interval of `after` less `before`, of pairs of rows, by whole days where there is an event time.
    """

    metric: str
    before: float
    after: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, before: TrainedModel, after: TrainedModel) -> Gain:
        """What a model has over another one of the same data set."""
        problem, test = before.problem, before.parts["test"]
        evaluator = evaluator_of(problem.task)
        codes = evaluator.codes(test.target)
        first, second = (evaluator.row_losses(model.predictions["test"].outputs, codes) for model in (before, after))
        _, sums = noninferiority.day_sums(first, second, blocks_of(problem.declaration, test.columns))
        drawn = draw_blocks(len(sums), before.config.resamples, before.config.seed)
        low, high = noninferiority.interval(sums, drawn, COVERAGE, evaluator.level)[0].tolist()
        old, new = (float(evaluator.level(each.mean(axis=0))[0]) for each in (first, second))
        return cls(evaluator.primary, old, new, (low, high))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "interval": list(self.interval)}


@dataclass(frozen=True)
class Tuning:
    """The result of a search.

    Parameters
    ----------
    runner : str
        The kind of the tuned runner.
    parameters : dict
        All of its parameters, the best that were found.
    trials, new_trials : int
        Trials of the study, and those of this call.
    changed : bool
        Whether something better than the project's own parameters was found.
    refit : bool
        Whether the runner is at last fitted on training and validation part together, see `TrainingConfig`.
    """

    runner: str
    parameters: dict[str, Any]
    trials: int
    new_trials: int
    changed: bool
    refit: bool = False

    def config(self, config: TrainingConfig) -> TrainingConfig:
        """Settings with what was found in the place of their own."""
        parameters = {**config.parameters, self.runner: self.parameters}
        return config.model_copy(update={"runner": self.runner, "refit": self.refit, "parameters": parameters})

    def to_toml(self, head: str) -> str:
        """What was found as a file for `tabular-bento train --config`, with comments as its first lines."""
        lines = [*(f"# {line}" for line in head.splitlines()), f'runner = "{self.runner}"']
        lines += [f"refit = {json.dumps(self.refit)}", "", f"[{self.runner}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in self.parameters.items() if value is not None]
        return "\n".join(lines) + "\n"


def tune(
    problem: Problem,
    dataset: Dataset,
    config: TrainingConfig,
    trials: int,
    folder: Path,
    step: Callable[[str], None] = lambda _: None,
    on_trial: Callable[[int], None] = lambda _: None,
) -> Tuning:
    """Look for the parameters with which a runner loses least on rows that it has not seen.

    Those rows are what `runner = "auto"` compares runners on; with it, the runner that it chooses is tuned. The
    project's own parameters are the first trial, and stay unless others do better. Further parameters are drawn by a
    tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kegl, Algorithms for Hyper-Parameter Optimization,
    2011). Trials are kept in a file; a search that was interrupted goes on where it ended, as long as data, features
    and settings are the same.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    dataset : Dataset
        Rows with their labels.
    config : TrainingConfig
        The settings.
    trials : int
        Trials in all, those of earlier calls included.
    folder : Path
        Where trials are kept.
    step : callable, optional
        Called with the name of each step as it begins.
    on_trial : callable, optional
        Called with the number of trials that there are, first with those of earlier calls, then after each trial.

    Raises
    ------
    ConfigError
        For a runner that has nothing to tune, fewer than one trial, or where Optuna is not installed.
    TrainingError
        Where no trial could be fitted.
    """
    if trials < 1:
        raise ConfigError(f"tune: {trials} is no number of trials; give 1 or more, such as 50")
    optuna = _optuna()
    rows = prepare(problem, dataset, config, step)
    kind = config.runner if len(config.candidates) == 1 else fit_runner(rows, step).kind
    given = config.parameters_of(kind)
    space = type(given).search
    if not space:
        others = " or ".join(name for name in BUILT_IN if runner_class(name).Parameters.search)
        raise ConfigError(f"tune: the runner {kind!r} has nothing to tune; --runner names another, such as {others}")
    step(f"tuning {kind}")
    study = _study(optuna, rows, kind, given, folder)
    before = _finished(study)
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + before)
    if not before:
        study.enqueue_trial({}, user_attrs={_OWN: True})
    on_trial(before)
    reasons: list[str] = []

    def objective(trial: Trial) -> float:
        parameters = given if _OWN in trial.user_attrs else _suggested(trial, given, space)
        try:
            runner = rows.fit(kind, parameters)
            value = float(rows.unseen_losses(kind, parameters, runner).mean())
        except TabularBentoError as error:
            reasons.append(str(error))
            raise optuna.TrialPruned from error
        if not np.isfinite(value):
            reasons.append("its loss is not finite")
            raise optuna.TrialPruned
        return value

    with _quiet(optuna):
        study.optimize(
            objective, n_trials=max(0, trials - before), callbacks=[lambda study, _: on_trial(_finished(study))]
        )
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not done:
        raise TrainingError(
            f"No trial of the runner {kind!r} could be fitted: {reasons[-1] if reasons else 'none ran'}."
        )
    best = given.model_dump(mode="json") | study.best_params
    changed = study.best_trial.number != done[0].number
    return Tuning(kind, best, _finished(study), _finished(study) - before, changed, config.fits_again)


def compare(
    problem: Problem, dataset: Dataset, config: TrainingConfig, tuned: TrainedModel, step: Callable[[str], None]
) -> Gain:
    """What a tuned model gained over one of the project's own settings, on the test part."""
    step("measuring the gain")
    own = {"runner": tuned.kind, "refit": config.fits_again, "gate": {}, "report": False}
    before = train(problem, dataset, config.model_copy(update=own))
    return Gain.of(before, tuned)


def _suggested(trial: Trial, given: Parameters, space: Any) -> Parameters:
    values = given.model_dump()
    for name, over in space.items():
        whole = isinstance(over.low, int) and isinstance(over.high, int)
        suggest: Any = trial.suggest_int if whole else trial.suggest_float
        values[name] = suggest(name, over.low, over.high, log=over.log)
    try:
        return type(given).model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"tune: {type(given).__name__}.search draws a value that it refuses: {error}") from error


def _study(optuna: Any, rows: TrainingRows, kind: str, given: Parameters, folder: Path) -> Study:
    """The study of exactly this search: it is named by all that its trials depend on."""
    problem = rows.problem
    what = {
        "runner": kind,
        "parameters": given.model_dump(mode="json"),
        "search": {name: vars(over) for name, over in type(given).search.items()},
        "declaration": problem.declaration.fingerprint,
        "features": problem.code_fingerprint,
        "data": rows.dataset.fingerprint,
        "settings": rows.config.model_dump(mode="json", exclude={"parameters", "gate", "report", "runner", "refit"}),
    }
    name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(folder / f"{kind}-{name}.log"))
    with _quiet(optuna):
        study: Study = optuna.create_study(
            study_name=name, storage=optuna.storages.JournalStorage(backend), direction="minimize", load_if_exists=True
        )
    return study


def _finished(study: Study) -> int:
    """Trials that have ended; one that was interrupted is not counted, and is drawn again."""
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"tune: Optuna is not installed: {pip_install_command('tabular-bento[tune]')}") from error
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without a line for each trial: the caller has a progress bar."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
