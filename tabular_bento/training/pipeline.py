"""From data to a fitted, measured predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import KNOWN_PART
from features.extractor import FeatureExtractor
from tabular_bento.evaluation.baselines import baseline_gains
from tabular_bento.evaluation.metrics import RegressionMetrics, regression_metrics
from tabular_bento.scoring.predictor import Predictions, Predictor
from tabular_bento.training.config import TrainingConfig
from tabular_bento.training.examples import Examples, examples_between, out_of_fold
from tabular_bento.training.gate import check_gate
from tabular_bento.training.learners import learn
from training.source import Flights, load_flights

EVALUATED = ("validation", "test")


@dataclass(frozen=True)
class TrainedModel:
    """A predictor that passed the gate, and what was measured of it, by part of the split."""

    config: TrainingConfig
    predictor: Predictor
    flights: Flights
    parts: dict[str, Examples]
    predictions: dict[str, Predictions]
    metrics: dict[str, RegressionMetrics]
    baselines: dict[str, dict[str, RegressionMetrics]]
    warnings: list[str]

    def document(self) -> dict[str, Any]:
        """Metrics beside the baselines, as plain JSON values."""
        return {
            "metrics": {part: metrics.to_dict() for part, metrics in self.metrics.items()},
            "baselines": {
                name: {part: metrics.to_dict() for part, metrics in parts.items()}
                for name, parts in self.baselines.items()
            },
            "ratio_to_zero_gain": self.metrics["test"].rmse / self.baselines["zero_gain"]["test"].rmse,
        }


def train(config: TrainingConfig, step: Callable[[str], None] = lambda _: None) -> TrainedModel:
    """Train and measure a model; `step` is told what begins.

    Raises GateError for a model that must not be saved, and the errors of the data layer for a source that cannot be
    used.
    """
    step("reading the source")
    flights = load_flights(config.source)
    references = flights.references
    parts = {name: examples_between(flights, months) for name, months in config.split.model_dump().items()}
    train_part = parts["train"]

    step("features out of fold")
    X = out_of_fold(train_part, references, config.shrinkage)
    step(f"fitting {config.runner}")
    runner = learn(config, X, train_part.gain)
    extractor = FeatureExtractor.fit(train_part.columns, train_part.history, references, shrinkage=config.shrinkage)
    predictor = Predictor(extractor, runner)

    step("measuring")
    predictions = {name: predictor.predict_columns(part.columns) for name, part in parts.items()}
    features = {name: predictions[name].features for name in EVALUATED}
    metrics = {name: _measure(config, parts[name], predictions[name].target) for name in EVALUATED}
    baselines = {
        baseline: {name: _measure(config, parts[name], parts[name].columns[KNOWN_PART] + gains[name]) for name in gains}
        for baseline, gains in baseline_gains(X, train_part.gain, features).items()
    }
    warnings = check_gate(metrics["test"], baselines["zero_gain"]["test"], config.gate)
    return TrainedModel(config, predictor, flights, parts, predictions, metrics, baselines, warnings)


def _measure(config: TrainingConfig, part: Examples, predicted: NDArray[np.float64]) -> RegressionMetrics:
    return regression_metrics(predicted, part.target, part.days, config.resamples, config.seed)
