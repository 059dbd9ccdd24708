"""Estimates without labels of the project of the working folder, once a seed, beside what labels show.

Run as ``python -m benchmarks.estimate.project SEED...`` in a project; prints a JSON line for each window.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import blocks_of
from tabular_bento.evaluation.reference.confidence import METRICS
from tabular_bento.evaluation.reference.estimate import Withheld
from tabular_bento.evaluation.reference.estimators import learn_estimate, read_estimator
from tabular_bento.project import Project
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import feature_column, output_column
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.publishing import unseen_rows

MEASURED = (*METRICS, "rmse")
"""Metrics that have an interval by labels; a table has those of its task."""

LEAST_WINDOW = 100
"""Rows of a window at least, but where the test part has fewer."""

WINDOWS = 5
"""Windows of a test part at most."""

RESAMPLES = 200

SHORTEST = 0.6
"""Share of the rows, in the order of their time, that a seed takes at least."""


def trained(seed: int) -> TrainedModel:
    """The project's model by its own settings, of a split by the seed."""
    project = Project.find()
    problem = project.load_problem()
    files = [project.training] if project.training else []
    config = load_config(*files, problem=problem, seed=seed, report=False, resamples=100, gate={})
    config = config.model_copy(update={"split": config.split.model_copy(update={"seed": seed})})
    rows = project.load_source().load(config.source)
    if rows.event_days is not None:  # a split by time draws nothing: each seed has a last day of its own
        last = np.quantile(rows.event_days, np.random.default_rng(seed).uniform(SHORTEST, 1.0))
        rows = rows.where(rows.event_days <= last)
    return train(problem, rows, config)


def windows(model: TrainedModel, seed: int) -> Iterator[dict[str, Any]]:
    """Each window of the test part: what was estimated of it, and what labels show."""
    declaration, test = model.problem.declaration, model.parts["test"]
    evaluator, predicted = evaluator_of(declaration.task), model.predictions["test"]
    outputs, features = predicted.outputs, predicted.features
    codes, blocks = evaluator.codes(test.target), blocks_of(declaration, test.columns)
    unseen = unseen_rows(model)
    with tempfile.TemporaryDirectory() as folder:
        entry = learn_estimate(Path(folder), declaration, unseen, model.predictor.calibration, seed)
        estimator = read_estimator(Path(folder), {"estimate": entry}, declaration)
    dated = declaration.event_time is not None
    order = np.arange(len(codes)) if dated else np.random.default_rng(seed).permutation(len(codes))
    for chosen in np.array_split(order, max(min(len(codes) // LEAST_WINDOW, WINDOWS), 1)):
        part = {name: values[chosen] for name, values in outputs.items()}
        days = float(len(np.unique(blocks[chosen]))) if dated else 1.0
        probabilities = {
            output_column(column): part[output.name][:, index]
            for output in declaration.outputs
            if output.kind is Kind.NUMBER and output.parts
            for index, column in enumerate(output.columns)
        }
        names = declaration.feature_names
        inputs = {feature_column(name): features[chosen, index] for index, name in enumerate(names)}
        sample = pa.table(probabilities | inputs)
        estimate = estimator.estimate_sample(sample, None, days, RESAMPLES, seed) if estimator else None
        found: dict[str, Any] = {"seed": seed, "rows": len(chosen), "unseen": len(unseen.codes)}
        if estimate is None or isinstance(estimate, Withheld):
            yield found | {"withheld": estimate.reason if estimate else "nothing was learnt"}
            continue
        observed = evaluator.measure(part, codes[chosen], blocks[chosen], RESAMPLES, seed).to_dict()
        for name in MEASURED:
            interval = estimate.metric_interval(name)
            if interval is None:
                continue
            low, high = interval
            least, most = observed[f"{name}_interval"] or (np.nan, np.nan)
            found[name] = {
                "estimate": [estimate.metric(name), low, high],
                "observed": [observed[name], least, most],
                "inside": bool(low <= observed[name] <= high),
            }
        yield found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, ".")
    for number in map(int, sys.argv[1:]):
        for window in windows(trained(number), number):
            print(json.dumps(window), flush=True)
