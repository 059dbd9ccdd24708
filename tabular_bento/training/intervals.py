"""Fitting prediction intervals: the scale of a row on the validation part, their width on the calibration part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import TrainingError
from tabular_bento.evaluation.evaluators import Evaluator, evaluator_of
from tabular_bento.evaluation.metrics import NOT_NEGATIVE, SHARE, block_bootstrap, blocks_of, event_seconds
from tabular_bento.problem import Declaration, Problem
from tabular_bento.scoring.predictor import Predictions, Predictor
from tabular_bento.scoring.runners import Runner, fit_kind
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.tasks import Conformal, Regression
from tabular_bento.tasks.conformal import least_rows
from tabular_bento.training.config import TrainingConfig

Array = NDArray[np.float64]

LEAST_OF_SCALE = 100
"""Rows of the validation part from which a row has a scale of its own."""

SMALLEST_SCALE = 0.1
"""The smallest scale of a row, of the mean absolute residual."""

CHOOSING = 4
"""Of the rows that the scale is fitted on, one of so many is to choose by how much it learns."""


def check_interval_part(part: Dataset) -> None:
    """Make sure that the calibration part is large enough for the intervals that the problem asks for.

    Raises
    ------
    TrainingError
        Where it is not; the message says which setting to change.
    """
    level = part.problem.task.interval
    if level is not None and len(part) < least_rows(level):
        raise TrainingError(
            f"interval = {level:g} needs at least {least_rows(level)} rows in the calibration part, which has "
            f"{len(part)}: give it rows in [split], such as calibration = 0.1."
        )


def with_intervals(
    predictor: Predictor,
    first: Predictor,
    validation: Dataset,
    calibration: Dataset,
    config: TrainingConfig,
    kind: str | None,
) -> Predictor:
    """A predictor with the intervals that its problem asks for; itself, where that asks for none.

    The scale of a row is what a second runner of the same kind says of its absolute residual, which learns from the
    residuals of the validation part. The calibration part decides nothing but how many scales wide an interval is.

    Parameters
    ----------
    predictor : Predictor
        One without intervals.
    first : Predictor
        One that has not seen the validation part, whose residuals there are learnt from: often the same.
    validation, calibration : Dataset
        The labelled rows of those parts.
    config : TrainingConfig
        The settings.
    kind : str, optional
        The kind of the runner that says the scale; without it all rows have the same.

    Raises
    ------
    TrainingError
        As of `check_interval_part`.
    """
    level = predictor.problem.task.interval
    if level is None:
        return predictor
    check_interval_part(calibration)
    spread, floor = None, 1.0
    if kind is not None and not predictor.takes_fields and len(validation) >= LEAST_OF_SCALE:
        X, residual = _residuals(first, validation)
        floor = SMALLEST_SCALE * float(np.abs(residual).mean())
        spread = _fit_spread(kind, X, np.abs(residual), validation.problem, config) if floor > 0 else None
        floor = floor if spread is not None else 1.0
    X, residual = _residuals(predictor, calibration)
    scale = None if spread is None else spread.predict(X)[:, 0]
    conformal = Conformal.fit(level, residual, scale, floor)
    problem, extractor, runner = predictor.problem, predictor.extractor, predictor.runner
    return Predictor(problem, extractor, runner, predictor.calibration, predictor.batches, conformal, spread)


def _residuals(predictor: Predictor, part: Dataset) -> tuple[NDArray[np.float32], Array]:
    """Features of a part, and its labels less their predictions."""
    features = predictor.extractor.transform_columns(part.columns)
    return features, part.residual - predictor.measuring.score_columns(features, part.columns)[:, 0]


def _fit_spread(
    kind: str, X: NDArray[np.float32], size: Array, problem: Problem | Declaration, config: TrainingConfig
) -> Runner:
    """The runner that says how large residuals are."""
    assert isinstance(problem, Problem)
    parameters, names, shown = config.parameters_of(kind), problem.feature_names, X.copy()
    shown[:, [names.index(name) for name in config.withheld]] = np.nan
    chosen = np.arange(len(X)) % CHOOSING == 0
    validation = FittingData(shown[chosen], size[chosen]) if parameters.needs_validation else None
    used = ~chosen if validation is not None else np.ones(len(X), dtype=np.bool_)
    data = FittingData(shown[used], size[used], None, validation, names, problem.features.coded)
    return fit_kind(kind, data, parameters, Regression(problem.target), config.seed)


def measured_intervals(predictions: Predictions, part: Dataset, config: TrainingConfig) -> dict[str, Any] | None:
    """How often the labels of a part are inside of their intervals, and how wide these are; None where there are none.

    Returns
    -------
    dict
        Plain JSON values: `n`, `coverage` and `mean_width` with 95 % intervals by bootstrap over days, and, of a
        problem with an event time, the same by month.
    """
    evaluator = evaluator_of(part.problem.task)
    blocks = blocks_of(_declaration(part), part.columns)
    found = _measured(evaluator, predictions, part, np.ones(len(part), dtype=np.bool_), blocks, config)
    seconds = event_seconds(_declaration(part), part.columns)
    if found is None or seconds is None:
        return found
    months = seconds.astype("datetime64[s]").astype("datetime64[M]")
    by_month = [
        {"month": str(month), **(_measured(evaluator, predictions, part, months == month, blocks, config) or {})}
        for month in np.unique(months)
    ]
    return {**found, "by_month": by_month}


def _measured(
    evaluator: Evaluator,
    predictions: Predictions,
    part: Dataset,
    rows: NDArray[np.bool_],
    blocks: NDArray[np.int64],
    config: TrainingConfig,
) -> dict[str, Any] | None:
    outputs = {name: values[rows] for name, values in predictions.outputs.items()}
    values = evaluator.interval_values(outputs, evaluator.codes(part.target)[rows])
    if values is None:
        return None
    found: dict[str, Any] = {"n": len(values)}
    for name, column, limits in zip(("coverage", "mean_width"), values.T, (SHARE, NOT_NEGATIVE), strict=True):
        found[name] = float(column.mean())
        found[f"{name}_interval"] = block_bootstrap(
            column, blocks[rows], np.asarray, config.resamples, config.seed, limits
        )
    return found


def _declaration(part: Dataset) -> Declaration:
    return part.problem.declaration if isinstance(part.problem, Problem) else part.problem
