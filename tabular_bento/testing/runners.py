"""Checks that every runner passes, those of this library and those of others.

>>> from tabular_bento.testing import check_runner  # doctest: +SKIP
>>> check_runner(MyRunner)  # doctest: +SKIP

A runner is fitted on small made-up tables, for each task whose loss it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TrainingError
from tabular_bento.scoring.runners import Parameters, Runner, installed_version
from tabular_bento.scoring.runners.base import MATRIX, FittingData
from tabular_bento.tasks import Task
from tabular_bento.testing.fitted import FITTED_CHECKS, FittedRunner, contents, explains, same_files, saved
from tabular_bento.testing.made_up import NAMES, ROWS, TASKS, Inputs, made_up

_SEED = 3


@dataclass(frozen=True)
class RunnerUnderTest:
    """A class of runners with the parameters and the task that it is fitted for.

    Parameters
    ----------
    runner_class : type
        The class.
    parameters : Parameters
        An instance of its `Parameters`.
    task : Task
        What it learns.
    """

    runner_class: type[Runner]
    parameters: Parameters
    task: Task

    @cached_property
    def data(self) -> FittingData:
        """A table of 400 rows with gaps, codes, a constant column and one without any value."""
        return made_up(self.task, self.parameters.needs_validation)

    @cached_property
    def fitted(self) -> FittedRunner:
        """The runner, fitted on that table."""
        return FittedRunner(self.fit(self.data), self.data.X, self.task)

    def fit(self, data: FittingData) -> Runner:
        """A runner fitted on other rows."""
        return self.runner_class.fit(data, self.parameters, self.task, _SEED)


def check_runner(
    runner_class: type[Runner], parameters: Parameters | None = None, tasks: Sequence[Task] = TASKS
) -> None:
    """All checks of a class of runners that takes the matrix, for each of the tasks that it declares by `losses`.

    Parameters
    ----------
    runner_class : type
        The class.
    parameters : Parameters, optional
        An instance of its `Parameters` with which it is quickly fitted; by default the default ones.
    tasks : sequence of Task
        What it may be fitted for: one task of each loss. Those whose loss it does not declare it has to refuse.

    Raises
    ------
    AssertionError
        Of the first check that fails: its name, the task, and what was expected.
    """
    _run(check_declaration, runner_class, runner_class)
    with _named("check_declaration", runner_class, None):
        assert runner_class.takes == MATRIX, (
            "it takes fields, and what fields mean to it nobody else knows: fit one on rows of yours, and call "
            "check_fitted_runner with it and with columns by field"
        )
    parameters = runner_class.Parameters() if parameters is None else parameters
    known = [task for task in tasks if task.loss in runner_class.losses]
    with _named("check_declaration", runner_class, None):
        assert known, f"it declares the losses {runner_class.losses}, and none of the tasks has one of them"
    for task in known:
        subject = RunnerUnderTest(runner_class, parameters, task)
        for check in FITTING_CHECKS:
            _run(check, runner_class, subject, task)
        for fitted_check in FITTED_CHECKS:
            _run(fitted_check, runner_class, subject.fitted, task)
    for task in tasks:
        if task not in known:
            _run(check_refused_task, runner_class, RunnerUnderTest(runner_class, parameters, task), task)


def check_fitted_runner(runner: Runner, inputs: Inputs, task: Task) -> None:
    """The checks that need no fitting, of a runner that was fitted elsewhere.

    Parameters
    ----------
    runner : Runner
        The runner.
    inputs : ndarray or mapping
        Some 50 rows as it takes them: a matrix, or columns by field.
    task : Task
        What it predicts.

    Raises
    ------
    AssertionError
        As of `check_runner`.
    """
    subject = FittedRunner(runner, inputs, task)
    for check in FITTED_CHECKS:
        _run(check, type(runner), subject, task)


def check_declaration(runner_class: type[Runner]) -> None:
    """The attributes of the class are there and of their types, and every parameter has a default."""
    wanted = {"kind": str, "takes": str, "exact": bool, "tolerance": float, "losses": tuple, "distribution": str}
    for name, kind in wanted.items():
        assert hasattr(runner_class, name), f"the class has no attribute `{name}`; see the protocol `Runner`"
        value = getattr(runner_class, name)
        assert isinstance(value, kind), f"`{name}` is {value!r}, and has to be a {kind.__name__}"
    assert runner_class.kind.isidentifier(), f"the kind {runner_class.kind!r} is no name of a table in TOML"
    assert runner_class.takes in ("matrix", "fields"), f"`takes` is {runner_class.takes!r}, not matrix or fields"
    assert runner_class.tolerance >= 0, f"`tolerance` is {runner_class.tolerance}, and has to be 0 or more"
    assert installed_version(runner_class.distribution), (
        f"the distribution {runner_class.distribution!r}, whose version packages name, is not installed"
    )
    for name in ("fit", "predict", "save", "load", *(["explain"] if explains(runner_class) else [])):
        assert callable(getattr(runner_class, name, None)), f"the class has no method `{name}`"
    parameters = runner_class.Parameters
    assert issubclass(parameters, Parameters), (
        "`Parameters` is no subclass of `tabular_bento.scoring.runners.Parameters`"
    )
    required = [name for name, item in parameters.model_fields.items() if item.is_required()]
    assert not required, f"the parameter {required[0]!r} has no default" if required else ""


def check_learning(subject: RunnerUnderTest) -> None:
    """Scores say more of the label than its mean or the shares of the classes, in the scale that `decode` takes."""
    loss, naive = _losses(subject.task, subject.fitted.scores, subject.data.y)
    assert loss < 0.85 * naive, (
        f"the mean loss on the training rows is {loss:.3g}, and {naive:.3g} without features; of these rows it has to "
        "be below 0.85 of that. Scores are values of a regression, or log-odds of classes"
    )


def check_repetition(subject: RunnerUnderTest) -> None:
    """The same rows, parameters and seed give a model of the same bytes."""
    with saved(subject.fitted.runner) as first, saved(subject.fit(subject.data)) as second:
        same_files("a second model of the same rows and seed", contents(second), contents(first))


def check_weights(subject: RunnerUnderTest) -> None:
    """A row of weight 3 counts more than one of weight 1. The features say nothing: one is constant, one empty."""
    y = subject.data.y
    high = y >= np.median(y) if not subject.task.classes else y == y.max()
    weights = np.where(high, 3.0, 1.0)
    X = np.full((len(y), 2), np.nan, dtype=np.float32)
    X[:, 0] = 1
    unseen = FittingData(X, y, weights) if subject.parameters.needs_validation else None
    runner = subject.fit(FittingData(X, y, weights, unseen, ("constant", "empty")))
    score = _center(subject.task, runner.predict(X[:1]))
    plain, weighted = (float(np.average(_position(subject.task, y), weights=w)) for w in (None, weights))
    assert abs(score - weighted) < abs(score - plain), (
        f"the mean label is {plain:.3g}, and {weighted:.3g} by weight; without a feature that says anything it is to "
        f"predict the latter, and predicts {score:.3g}"
    )


def check_absent_class(subject: RunnerUnderTest) -> None:
    """A class that no training row has gets a column of finite scores, and a small probability."""
    task, data = subject.task, subject.data
    if len(task.classes) < 3:
        return
    known = data.y != 1
    unseen = data.validation and FittingData(data.validation.X[known], data.validation.y[known])
    rows = FittingData(data.X[known], data.y[known], None, unseen, data.names, data.coded)
    scores = subject.fit(rows).predict(data.X)
    assert scores.shape == (len(data.X), task.raw_columns), f"scores have the shape {scores.shape} without a class"
    assert np.isfinite(scores).all(), "a score is not finite where a class has no training row"
    share = float(_probabilities(task, scores)[:, 1].mean())
    assert share < 0.05, f"the class that no training row has is given a probability of {share:.3g}"


def check_refused_labels(subject: RunnerUnderTest) -> None:
    """Labels that nothing can be learnt from, all of one class, are refused with a TrainingError."""
    if not subject.task.classes:
        return
    y = np.ones(ROWS)
    unseen = FittingData(subject.data.X, y) if subject.parameters.needs_validation else None
    _refused(subject, FittingData(subject.data.X, y, None, unseen, NAMES), "labels that are all of one class")


def check_refused_task(subject: RunnerUnderTest) -> None:
    """A task whose loss the class does not declare is refused with a TrainingError."""
    _refused(subject, subject.data, f"the loss {subject.task.loss!r}, which it does not declare")


def check_small_table(subject: RunnerUnderTest) -> None:
    """Twelve rows are enough to fit, and their scores are finite."""
    data = subject.data
    places = np.concatenate([np.flatnonzero(data.y == code)[:3] for code in range(4)]) if subject.task.classes else ()
    places = np.asarray(places if len(places) else range(12))
    unseen = data.validation and FittingData(data.X[places], data.y[places])
    rows = FittingData(data.X[places], data.y[places], None, unseen, data.names, data.coded)
    scores = subject.fit(rows).predict(data.X)
    assert np.isfinite(scores).all(), "a score is not finite where it was fitted on 12 rows"


FITTING_CHECKS: tuple[Callable[[RunnerUnderTest], None], ...] = (
    check_learning,
    check_repetition,
    check_weights,
    check_absent_class,
    check_refused_labels,
    check_small_table,
)
"""Checks of a class, which fit it."""


@contextmanager
def _named(check: str, runner_class: type, task: Task | None) -> Iterator[None]:
    """Have errors say which check of which runner and task they are of."""
    where = f"{check} of {runner_class.__name__}" + (f", {task.kind}" if task else "")
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def _run(check: Callable[[Any], None], runner_class: type, subject: Any, task: Task | None = None) -> None:
    with _named(check.__name__, runner_class, task):
        check(subject)


def _refused(subject: RunnerUnderTest, data: FittingData, what: str) -> None:
    try:
        subject.fit(data)
    except TrainingError:
        return
    raise AssertionError(f"{what}: `fit` has to raise a TrainingError, and raises nothing")


def _probabilities(task: Any, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = task.probabilities(scores)
    return found


def _losses(task: Task, scores: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """The mean loss of scores, and that of the mean or of the classes' shares."""
    if not task.classes:
        return float(np.mean((scores[:, 0] - y) ** 2)), float(np.var(y))
    likely = _probabilities(task, scores)[np.arange(len(y)), y.astype(int)]
    shares = np.bincount(y.astype(int)) / len(y)
    return float(-np.log(np.maximum(likely, 1e-300)).mean()), float(-(shares * np.log(shares)).sum())


def _position(task: Task, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Labels, of classes whether it is the last, so that their mean is its share."""
    return (y == y.max()).astype(np.float64) if task.classes else y


def _center(task: Task, scores: NDArray[np.float64]) -> float:
    return float(_probabilities(task, scores)[0, -1] if task.classes else scores[0, 0])
