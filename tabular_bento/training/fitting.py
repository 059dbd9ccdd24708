"""Fitting the runner: the one that the settings name or, with `runner = "auto"`, the best of several on unseen rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

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

FOLDED_ROWS = 20_000
"""Up to so many rows of the training part are compared on too, each fold by runners fitted on the others: few rows of
validation say little."""

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

    @cached_property
    def data(self) -> FittingData:
        """The training part, with the validation part to choose by."""
        config, task = self.config, self.problem.task
        unseen = self.validation.residual
        weights = class_weights(config.class_weight, task, unseen)
        fields = self.problem.fields
        columns = arrays_of(self.validation.columns, fields)
        matrix = self.extractor.transform_columns(self.validation.columns)
        validation = FittingData(matrix, unseen, weights, columns=columns)
        y = self.train.residual
        weights = class_weights(config.class_weight, task, y)
        features = self.problem.features
        columns = arrays_of(self.train.columns, fields)
        return FittingData(self.shown, y, weights, validation, features.names, features.coded, columns)

    def fit(self, kind: str, parameters: Parameters, chosen: NDArray[np.bool_] | None = None) -> Runner:
        """A runner of a kind, fitted on all rows of the training part or on those of a mask of shape [n]."""
        data = self.data if parameters.needs_validation else replace(self.data, validation=None)
        if chosen is not None:
            weights = None if data.weights is None else data.weights[chosen]
            columns = {name: values[chosen] for name, values in (data.columns or {}).items()}
            data = replace(data, X=data.X[chosen], y=data.y[chosen], weights=weights, columns=columns)
        return fit_kind(kind, data, parameters, self.problem.task, self.config.seed)

    def unseen_losses(self, kind: str, parameters: Parameters, runner: Runner) -> Array:
        """What rows that it had not seen cost a runner, shape [n]: those of `unseen_parts`, in its order."""
        assert self.data.validation is not None
        unseen = self._losses(runner, self.data.validation.X, self.validation)
        if not self.folded:
            return unseen
        found = np.empty(len(self.train))
        for number in np.unique(self.fold).tolist():
            held_out = self.fold == number
            other = self.fit(kind, parameters, ~held_out)
            found[held_out] = self._losses(other, self.shown[held_out], self.train.where(held_out))
        return np.concatenate([found, unseen])

    @cached_property
    def folded(self) -> bool:
        """Whether the training part is compared on too: it is small, and learnable without each fold."""
        if len(self.train) > FOLDED_ROWS:
            return False
        try:
            for number in np.unique(self.fold).tolist():
                self.problem.task.check_learnable(self.data.y[self.fold != number])
        except ValueError:
            return False
        return True

    @property
    def unseen_parts(self) -> list[Dataset]:
        """The parts that runners are compared on."""
        return [self.train, self.validation] if self.folded else [self.validation]

    def _losses(self, runner: Runner, X: NDArray[np.float32], rows: Dataset) -> Array:
        predictor = Predictor(self.problem, self.extractor, runner)
        evaluator, task = evaluator_of(self.problem.task), self.problem.task
        outputs = task.decode(predictor.score_columns(X, rows.columns), rows.offset)
        return evaluator.row_losses(outputs, evaluator.codes(rows.target))[:, 0]


def fit_runner(rows: TrainingRows, step: Step) -> tuple[str, Runner, Selection | None]:
    """The kind of the runner that the settings ask for, the runner, and with `auto` how it was chosen.

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
        return config.runner, rows.fit(config.runner, config.parameters_of(config.runner)), None
    runners, losses = {}, {}
    for kind in config.candidates:
        step(f"fitting {kind}")
        runners[kind] = rows.fit(kind, config.parameters_of(kind))
        losses[kind] = rows.unseen_losses(kind, config.parameters_of(kind), runners[kind])
    selection = _choose(rows, losses)
    chosen = next(candidate.runner for candidate in selection.candidates if candidate.chosen)
    return chosen, runners[chosen], selection


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
