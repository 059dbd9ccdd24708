"""Fitting the runner: the one that the settings name or, with `runner = "auto"`, the best of several on unseen rows.

With `auto` the chosen one is then fitted again, on training and validation part together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import TrainingError
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import blocks_of
from tabular_bento.features import Extractor
from tabular_bento.features.columns import arrays_of
from tabular_bento.problem import Problem
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import Runner, fit_kind, runner_class
from tabular_bento.scoring.runners.base import FIELDS, MATRIX, FittingData, Parameters
from tabular_bento.training.classes import class_weights
from tabular_bento.training.config import AUTO, AutoParameters, TrainingConfig
from tabular_bento.training.folds import folds_of, out_of_fold

FOLDED_ROWS = 20_000
"""Up to so many rows of the training part are chosen by too, each fold by runners fitted on the others: few rows of
validation say little."""

FITTED_AGAIN = ("train", "validation")
"""The parts that the chosen runner is fitted on at last."""

Array = NDArray[np.float64]
Step = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A kind of runner that was tried, with its loss on rows that it had not seen.

    Parameters
    ----------
    runner : str
        Its kind.
    parameters : dict
        Its parameters, as plain JSON values.
    value : float
        The primary metric of the task's evaluator on those rows.
    difference, standard_error : float
        The mean loss of a row less that of the candidate with the smallest, and its standard error, of pairs of rows.
    chosen : bool
        Whether it is the one that was taken.
    """

    runner: str
    parameters: dict[str, Any]
    value: float
    difference: float
    standard_error: float
    chosen: bool = False


@dataclass(frozen=True)
class Selection:
    """What was chosen between, and on which rows.

    Parameters
    ----------
    metric : str
        The metric of `Candidate.value`.
    rows : int
        Rows that the candidates were compared on.
    of_training : int
        How many of them are of the training part, predicted by runners fitted on the other folds.
    candidates : tuple of Candidate
        In the order of the settings, the simplest first.
    """

    metric: str
    rows: int
    of_training: int
    candidates: tuple[Candidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "metric": self.metric,
            "rows": self.rows,
            "of_training": self.of_training,
            "candidates": [vars(candidate) for candidate in self.candidates],
        }


@dataclass(frozen=True)
class TrainingRows:
    """What a runner is fitted on and chosen by.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    config : TrainingConfig
        The settings.
    extractor : Extractor
        Fitted on the training part.
    dataset : Dataset
        All rows, with the parts of the split.
    parts : dict of Dataset
        The labelled rows of each part of the split.
    X : ndarray of shape [n, features]
        Features of the training part, those of each fold by look-ups fitted on the others.
    fold : ndarray of shape [n]
        The fold of each row.
    """

    problem: Problem
    config: TrainingConfig
    extractor: Extractor
    dataset: Dataset
    parts: dict[str, Dataset]
    X: NDArray[np.float32]
    fold: NDArray[np.int64]

    @property
    def train(self) -> Dataset:
        """The training part."""
        return self.parts["train"]

    @property
    def validation(self) -> Dataset:
        """The validation part."""
        return self.parts["validation"]

    @cached_property
    def shown(self) -> NDArray[np.float32]:
        """`X` with the withheld features missing in every row, so that a model learns nothing from them.

        The model is served like any other, and predicts the same whatever they hold.
        """
        X, names = self.X.copy(), self.problem.feature_names
        X[:, [names.index(name) for name in self.config.withheld]] = np.nan
        return X

    @classmethod
    def of(
        cls,
        problem: Problem,
        config: TrainingConfig,
        dataset: Dataset,
        parts: dict[str, Dataset],
        step: Step = lambda _: None,
    ) -> Self:
        """The features of a training part, and the extractor fitted on it.

        Parameters
        ----------
        problem, config, dataset, parts
            As of the class.
        step : callable, optional
            Called with the name of each step as it begins.
        """
        train = parts["train"]
        step("features")
        extractor = Extractor.fit(problem.fields, problem.features, [train.fit_data], train.tables)
        step("features out of fold")
        fold = folds_of(train, config.folds, config.seed)
        X = out_of_fold(problem, train, fold, extractor.state.vocabularies)
        return cls(problem, config, extractor, dataset, parts, X, fold)

    @cached_property
    def data(self) -> FittingData:
        """The training part, with the unseen rows to choose by: the validation part and, of few rows, each fold."""
        folds = tuple(replace(each.learnt, validation=each.unseen) for each in self.folds)
        return replace(self.learnt, validation=self.unseen, folds=folds)

    @cached_property
    def folds(self) -> list[TrainingRows]:
        """Each fold of a small training part as a validation part, of which nothing that the others learn has seen.

        The look-ups of the others are fitted without it too: features out of fold hold the labels of the other folds,
        and a linear model of them and of codes would find those of the fold again. None where the part is large, or
        cannot be learnt from without a fold.
        """
        if len(self.train) > FOLDED_ROWS:
            return []
        found = []
        try:
            for number in np.unique(self.fold):
                held_out = self.fold == number
                parts = {"train": self.train.where(~held_out), "validation": self.train.where(held_out)}
                self.problem.task.check_learnable(parts["train"].residual)
                found.append(TrainingRows.of(self.problem, self.config, self.dataset, parts))
        except (ValueError, TrainingError):
            return []
        return found

    @cached_property
    def learnt(self) -> FittingData:
        """The training part."""
        y, features = self.train.residual, self.problem.features
        weights = class_weights(self.config.class_weight, self.problem.task, y)
        columns = arrays_of(self.train.columns, self.problem.fields)
        return FittingData(self.shown, y, weights, None, features.names, features.coded, columns)

    @cached_property
    def unseen(self) -> FittingData:
        """The validation part."""
        return self._of(self.validation)

    def _of(self, part: Dataset) -> FittingData:
        """Rows that the extractor was not fitted on."""
        y = part.residual
        weights = class_weights(self.config.class_weight, self.problem.task, y)
        matrix = self.extractor.transform_columns(part.columns)
        return FittingData(matrix, y, weights, columns=arrays_of(part.columns, self.problem.fields))

    def fit(self, kind: str, parameters: Parameters) -> Runner:
        """A runner of a kind, fitted on the training part."""
        data = self.data if parameters.needs_validation else self.learnt
        return fit_kind(kind, data, parameters, self.problem.task, self.config.seed)

    def unseen_losses(self, kind: str, parameters: Parameters, runner: Runner) -> Array:
        """What rows that it had not seen cost a runner, shape [n]: those of `unseen_parts`, in its order.

        The runners of the folds have the parameters that the runner chose.
        """
        parameters, task, found = settled(parameters, runner), self.problem.task, []
        for each in self.folds:
            validation = each._of(self.validation) if parameters.needs_validation else None
            other = fit_kind(kind, replace(each.learnt, validation=validation), parameters, task, self.config.seed)
            found.append(each.losses(other))
        return np.concatenate([*found, self.losses(runner)])

    @property
    def unseen_parts(self) -> list[Dataset]:
        """The rows that runners are compared on."""
        return [*(each.validation for each in self.folds), self.validation]

    def losses(self, runner: Runner) -> Array:
        """What each row of the validation part costs a runner that was fitted on the training part, shape [n]."""
        predictor, rows = Predictor(self.problem, self.extractor, runner), self.validation
        evaluator, task = evaluator_of(self.problem.task), self.problem.task
        outputs = task.decode(predictor.score_columns(self.unseen.X, rows.columns), rows.offset)
        return evaluator.row_losses(outputs, evaluator.codes(rows.target))[:, 0]


@dataclass(frozen=True)
class Fitted:
    """A runner, and how it was chosen.

    Parameters
    ----------
    kind : str
        Its kind.
    runner : Runner
        The runner.
    selection : Selection, optional
        What it was chosen from, with `runner = "auto"`.
    """

    kind: str
    runner: Runner
    selection: Selection | None = None


def settled(parameters: Parameters, runner: Runner) -> Parameters:
    """Parameters with what a runner that was fitted with them chose on unseen rows."""
    return type(parameters).model_validate(parameters.model_dump() | getattr(runner, "chosen", {}))


def fit_runner(rows: TrainingRows, step: Step) -> Fitted:
    """The runner that the settings ask for.

    With `auto` each candidate is fitted, and compared on the validation part; of a training part of up to
    `FOLDED_ROWS` rows also on that, each fold predicted by a runner fitted on the others, since few
    rows of validation say little. The first in the order of the settings, the simplest, is taken whose mean loss is
    within `AutoParameters.standard_errors` standard errors of the smallest; errors are those of the differences row by
    row, of whole days where there is an event time (the one-standard-error rule: Breiman, Friedman, Olshen and Stone,
    Classification and Regression Trees, 1984, section 3.4.3).

    Parameters
    ----------
    rows : TrainingRows
        What it is fitted on and chosen by.
    step : callable
        Called with the name of each step as it begins.

    Raises
    ------
    TrainingError
        Where a runner cannot learn the task, or not from so little.
    """
    config = rows.config
    for kind in config.candidates:
        if (takes := runner_class(kind).takes) not in (MATRIX, FIELDS):
            raise TrainingError(f"The runner {kind!r} takes {takes!r}, and runners take {MATRIX} or {FIELDS}.")
    if config.runner != AUTO:
        step(f"fitting {config.runner}")
        return Fitted(config.runner, rows.fit(config.runner, config.parameters_of(config.runner)))
    runners, losses = {}, {}
    for kind in config.candidates:
        step(f"fitting {kind}")
        runners[kind] = rows.fit(kind, config.parameters_of(kind))
        losses[kind] = rows.unseen_losses(kind, config.parameters_of(kind), runners[kind])
    selection = _choose(rows, losses)
    chosen = next(candidate.runner for candidate in selection.candidates if candidate.chosen)
    return Fitted(chosen, runners[chosen], selection)


def fit_again(rows: TrainingRows, fitted: Fitted, step: Step) -> tuple[Extractor, Runner] | None:
    """An extractor and a runner of the same kind, fitted on training and validation part together.

    What the runner chose on unseen rows are now its parameters. None of a runner that does not say what it chose: it
    would need rows to choose by again.

    Parameters
    ----------
    rows : TrainingRows
        What the runner was fitted on.
    fitted : Fitted
        The runner.
    step : callable
        Called with the name of each step as it begins.
    """
    parameters = settled(rows.config.parameters_of(fitted.kind), fitted.runner)
    if parameters.needs_validation:
        return None
    places = np.sort(np.concatenate([rows.dataset.parts[name] for name in FITTED_AGAIN]))
    parts = {**rows.parts, "train": rows.dataset.where(places)}
    both = TrainingRows.of(rows.problem, rows.config, rows.dataset, parts, step)
    step(f"fitting {fitted.kind} again")
    return both.extractor, both.fit(fitted.kind, parameters)


def _auto(config: TrainingConfig) -> AutoParameters:
    parameters = config.runner_parameters
    assert isinstance(parameters, AutoParameters)
    return parameters


def _choose(rows: TrainingRows, losses: dict[str, Array]) -> Selection:
    evaluator = evaluator_of(rows.problem.task)
    count, blocks = len(next(iter(losses.values()))), _blocks(rows)
    best = min(losses, key=lambda kind: losses[kind].mean())
    bound = _auto(rows.config).standard_errors
    found: list[Candidate] = []
    for kind, values in losses.items():
        difference = values - losses[best]
        mean, error = float(difference.mean()), _standard_error(difference, blocks)
        chosen = mean <= bound * error and not any(candidate.chosen for candidate in found)
        value = float(evaluator.level(np.array([values.mean(), values.mean()]))[0])
        parameters = rows.config.parameters_of(kind).model_dump(mode="json")
        found.append(Candidate(kind, parameters, value, mean, error, chosen))
    return Selection(evaluator.primary, count, count - len(rows.validation), tuple(found))


def _blocks(rows: TrainingRows) -> NDArray[np.int64]:
    """The block of each row that runners are compared on; parts share those of a day, and no others."""
    declaration, first = rows.problem.declaration, 0
    found = []
    for part in rows.unseen_parts:
        blocks = blocks_of(declaration, part.columns)
        found.append(blocks + first)
        first += 0 if declaration.event_time else int(blocks.max()) + 1
    return np.concatenate(found)


def _standard_error(values: Array, blocks: NDArray[np.int64]) -> float:
    """The standard error of a mean of values that are alike within blocks; 0 of one block."""
    _, where = np.unique(blocks, return_inverse=True)
    rest = np.bincount(where, weights=values - values.mean())
    size = len(rest)
    return float(np.sqrt((rest**2).sum() * size / (size - 1)) / len(values)) if size > 1 else 0.0
