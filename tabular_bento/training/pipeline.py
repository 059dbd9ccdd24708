"""From a data set to a fitted, measured predictor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import DataError, TrainingError
from tabular_bento.evaluation.evaluators import NAIVE, Metrics, Outputs, evaluator_of
from tabular_bento.evaluation.metrics import blocks_of
from tabular_bento.features import Extractor
from tabular_bento.problem import Problem
from tabular_bento.scoring.predictor import Predictions, Predictor
from tabular_bento.scoring.runners import Runner
from tabular_bento.scoring.runners.base import OneByOne
from tabular_bento.training.classes import (
    absent_classes,
    calibrated,
    check_calibration_part,
    threshold_of,
)
from tabular_bento.training.config import TrainingConfig
from tabular_bento.training.fitting import FITTED_AGAIN, Fitted, Selection, TrainingRows, fit_again, fit_runner
from tabular_bento.training.gate import RATIO, check_gate, check_names
from tabular_bento.training.independence import measure_batches
from tabular_bento.training.intervals import check_interval_part, measured_intervals, with_intervals
from tabular_bento.training.leakage import leaks_of
from tabular_bento.training.memory import check_dataset

EVALUATED = ("validation", "test")


@dataclass(frozen=True)
class Imported:
    """The file of a model that was fitted elsewhere.

    Parameters
    ----------
    file : str
        Its name.
    sha256 : str
        Of its bytes, in hex.
    notes : tuple of str
        What was found when it was read.
    """

    file: str
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedModel:
    """A predictor that passed the gate, and what was measured of it.

    Parameters
    ----------
    problem : Problem
        What it predicts.
    config : TrainingConfig
        The settings.
    kind : str
        The kind of its runner, which with `runner = "auto"` was chosen.
    predictor : Predictor
        Extractor, runner and calibration.
    dataset : Dataset
        All rows, with the parts of the split.
    parts : dict of Dataset
        The labelled rows of each part.
    folds : int
        The number of folds that the look-ups were fitted in.
    predictions : dict of Predictions
        By part.
    metrics : dict
        By evaluated part.
    baselines : dict
        Metrics by baseline and evaluated part.
    warnings : list of str
        Of the gate and of the labels.
    selection : Selection, optional
        How the runner was chosen, with `runner = "auto"`.
    intervals : dict
        Of a problem with intervals, how often they hold the label and how wide they are, by evaluated part.
    imported : Imported, optional
        The file that the runner was read from, where it was not fitted here.
    first : Predictor, optional
        That of the training part alone, where the model was fitted again on training and validation part. What is
        said of the validation part is said of it, since the model has seen these rows.
    """

    problem: Problem
    config: TrainingConfig
    kind: str
    predictor: Predictor
    dataset: Dataset
    parts: dict[str, Dataset]
    folds: int
    predictions: dict[str, Predictions]
    metrics: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    warnings: list[str]
    selection: Selection | None = None
    intervals: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    imported: Imported | None = None
    first: Predictor | None = None

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """The parts that the model was fitted on."""
        return ("train",) if self.first is None else FITTED_AGAIN

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that its runner was fitted with, as plain JSON values; of an imported one there are none."""
        if self.imported is not None:
            return {}
        return self.config.parameters_of(self.kind).model_dump(mode="json")

    @property
    def chosen(self) -> dict[str, Any]:
        """Parameters that the runner chose on unseen rows where none were given, such as `rounds`."""
        runner = (self.first or self.predictor).runner
        return dict(getattr(runner.runner if isinstance(runner, OneByOne) else runner, "chosen", {}))

    def document(self) -> dict[str, Any]:
        """Metrics beside the baselines, as plain JSON values."""
        document: dict[str, Any] = {
            "metrics": {part: plain(metrics.to_dict()) for part, metrics in self.metrics.items()},
            "baselines": {
                name: {part: plain(metrics.to_dict()) for part, metrics in parts.items()}
                for name, parts in self.baselines.items()
            },
        }
        ratio = ratios(evaluator_of(self.problem.task).primary, self.metrics, self.baselines)[NAIVE]
        if self.predictor.conformal is not None:
            document["intervals"] = self.predictor.conformal.to_dict() | plain(self.intervals)
        if self.selection is not None:
            document["selection"] = plain(self.selection.to_dict())
        return document | {RATIO + NAIVE: ratio if math.isfinite(ratio) else None}


def train(
    problem: Problem,
    dataset: Dataset,
    config: TrainingConfig | None = None,
    step: Callable[[str], None] = lambda _: None,
    fitted: Runner | None = None,
    imported: Imported | None = None,
) -> TrainedModel:
    """Train and measure a model.

    Parameters
    ----------
    problem : Problem
        What is predicted, with its features.
    dataset : Dataset
        Rows with their labels; those without are left out.
    config : TrainingConfig, optional
        The settings.
    step : callable, optional
        Called with the name of each step as it begins.
    fitted : Runner, optional
        A runner that is there already, such as an imported one; by default one is fitted as the settings say.
    imported : Imported, optional
        The file that it was read from.

    Raises
    ------
    ConfigError
        For settings that do not fit the problem.
    DataError
        Where a part of the split is empty, a label is no class of the problem, or a look-up needs what the data set
        does not have.
    GateError
        For a model that must not be saved.
    MemoryLimitError
        Where there is less memory than it needs.
    TrainingError
        Where there is too little to learn from, or to calibrate by.
    """
    config = config or TrainingConfig()
    rows = prepare(problem, dataset, config, step)
    parts, evaluator = rows.parts, evaluator_of(problem.task)
    chosen = fit_runner(rows, step) if fitted is None else Fitted(fitted.kind, fitted)
    kind = chosen.kind
    again = fit_again(rows, chosen, step) if fitted is None and config.fits_again else None
    first = _predictor(rows, rows.extractor, chosen.runner, step)
    predictor = first if again is None else _predictor(rows, *again, step)
    of_scale = kind if fitted is None else None
    predictor = with_intervals(predictor, first, parts["validation"], parts["calibration"], config, of_scale)
    first = predictor if again is None else first.with_intervals_of(predictor)

    step("measuring")
    measuring = dict.fromkeys(parts, predictor.measuring) | {"validation": first.measuring}
    predictions = {name: measuring[name].predict_columns(part.columns) for name, part in parts.items()}
    features = {name: predictions[name].features for name in EVALUATED}
    metrics = {name: _measure(problem, config, parts[name], predictions[name].outputs) for name in EVALUATED}
    baselines = {
        baseline: {
            name: _measure(problem, config, parts[name], _decoded(config, parts[name], raw))
            for name, raw in scores.items()
        }
        for baseline, scores in evaluator.baselines(problem.declaration, rows.X, rows.learnt.y, features).items()
    }
    warnings = check_gate(metrics["test"].to_dict(), ratios(evaluator.primary, metrics, baselines), config.gate)
    seen = [] if predictor.takes_fields else [name for name in problem.feature_names if name not in config.withheld]
    matrix = dict(zip(problem.feature_names, features["test"].T, strict=True))
    warnings += leaks_of(parts["test"], predictions["test"].outputs, {name: matrix[name] for name in seen})
    warnings += absent_classes(problem.task, parts)
    warnings += imported.notes if imported is not None else ()
    batches = predictor.batches
    if batches is not None and not batches.allowed:
        of = f"are off by up to {batches.difference:.2g}" if batches.difference else "may have other last digits"
        warnings.append(
            f"In batches the scores of the runner {kind!r} {of}, so its rows are scored one by one, which is slower; "
            "`tolerance` in the training settings allows a difference."
        )
    return TrainedModel(
        problem=problem,
        config=config,
        kind=kind,
        predictor=predictor,
        dataset=rows.dataset,
        parts=parts,
        folds=int(rows.fold.max()) + 1,
        predictions=predictions,
        metrics=metrics,
        baselines=baselines,
        warnings=warnings,
        selection=chosen.selection,
        intervals={name: measured_intervals(predictions[name], parts[name], config) for name in EVALUATED},
        imported=imported,
        first=None if again is None else first,
    )


def prepare(problem: Problem, dataset: Dataset, config: TrainingConfig, step: Callable[[str], None]) -> TrainingRows:
    """What a runner is fitted on: the settings checked, the data set split, and the features of the training part.

    Parameters and exceptions as of `train`.
    """
    config.check(problem)
    check_dataset(problem, dataset)
    evaluator = evaluator_of(problem.task)
    check_names(config.gate, problem.task, evaluator.baseline_names(problem.declaration))
    dataset = dataset.split(config.split)
    parts = {name: dataset.part(name) for name in dataset.parts}
    _check_labels(parts)
    check_calibration_part(parts["calibration"], config.calibration)
    check_interval_part(parts["calibration"])
    return TrainingRows.of(problem, config, dataset, parts, step)


def _predictor(rows: TrainingRows, extractor: Extractor, runner: Runner, step: Callable[[str], None]) -> Predictor:
    """A predictor with the calibration that the settings ask for, and with what batches do to its scores."""
    problem, config, parts, batches = rows.problem, rows.config, rows.parts, None
    if not runner.exact:
        step("measuring batches")
        columns = parts["test"].columns
        batches = measure_batches(problem, extractor, runner, columns, config.tolerance, config.seed)
    return calibrated(Predictor(problem, extractor, runner, batches=batches), parts["calibration"], config)


def ratios(
    metric: str, measured: Mapping[str, Metrics], baselines: Mapping[str, Mapping[str, Metrics]]
) -> dict[str, float]:
    """A metric on the test part over that of each baseline, by name of the baseline."""
    ours, found = measured["test"].to_dict()[metric], {}
    for name, parts in baselines.items():
        other = parts["test"].to_dict()[metric]
        found[name] = ours / other if other else float("nan")
    return found


def plain(value: Any) -> Any:
    """Metrics as JSON values: NaN, which is not known, becomes null."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_labels(parts: Mapping[str, Dataset]) -> None:
    """Make sure that the labels of all parts are known, and those of the training part enough to learn from."""
    try:
        encoded = {name: part.residual for name, part in parts.items()}
    except ValueError as error:
        raise DataError(f"The data set has a label that the problem does not declare: {error}.") from error
    try:
        next(iter(parts.values())).problem.task.check_learnable(encoded["train"])
    except ValueError as error:
        raise TrainingError(f"The training part cannot be learnt from: {error}.") from error


def _decoded(config: TrainingConfig, part: Dataset, raw: NDArray[np.float64]) -> Outputs:
    """Outputs of a baseline, with the same decision threshold as the model."""
    return part.problem.task.decode(raw, part.offset, threshold_of(config))


def _measure(problem: Problem, config: TrainingConfig, part: Dataset, outputs: Outputs) -> Metrics:
    evaluator = evaluator_of(problem.task)
    blocks = blocks_of(problem.declaration, part.columns)
    codes = evaluator.codes(part.target)
    return evaluator.measure(outputs, codes, blocks, config.resamples, config.seed, config.within)
