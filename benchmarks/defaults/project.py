"""Trains the project of the working folder by its own settings, once a seed, beside two models of scikit-learn.

Run as ``python -m benchmarks.defaults.project [SEED...]`` in a project; prints a JSON line for each seed.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from tabular_bento.data import Dataset
from tabular_bento.project import Project
from tabular_bento.schema import Kind
from tabular_bento.training import TrainedModel, load_config, train

LEARNT = {"train": ("train",), "all": ("train", "validation", "calibration")}
"""Parts that scikit-learn's models learn from: what the project's model begins with, and all but the test part."""

PENALTIES = np.logspace(-4, 4, 9)

SEEDS, MOST_SEEDS = 5, 20
TEST_ROWS = 1_000
"""Test rows that are to be predicted over all seeds: a mean over fewer is decided by a mistake or two."""


def measurements(seeds: Sequence[int] = ()) -> Iterator[dict[str, Any]]:
    """What `measure` finds for each seed; without any, for SEEDS or as many as TEST_ROWS need, up to MOST_SEEDS."""
    test_rows = 0
    for seed in seeds or range(1, MOST_SEEDS + 1):
        if not seeds and seed > SEEDS and test_rows >= TEST_ROWS:
            return
        found = measure(seed)
        test_rows += found["test_rows"]
        yield found


def measure(seed: int) -> dict[str, Any]:
    """The test loss of the project's model, of gradient boosting and of a linear model, all on the same split."""
    project = Project.find()
    problem = project.load_problem()
    files = [project.training] if project.training else []
    config = load_config(*files, problem=problem, seed=seed, report=False, resamples=100, gate={})
    config = config.model_copy(update={"split": config.split.model_copy(update={"seed": seed})})
    dataset = project.load_source().load(config.source)
    model = train(problem, dataset, config)
    frame = _frame(model.parts["test"])
    losses: dict[str, Any] = {"project": _loss(model, *_predicted(model))}
    for learnt, names in LEARNT.items():
        X, y = _fitting(model, names)
        fitted = {"boosting": _boosting(model, X, y, seed), "linear": _linear(model, X, y)}
        losses[learnt] = {name: _loss(model, *_of_estimator(each, frame)) for name, each in fitted.items()}
    return {
        "seed": seed,
        "rows": len(dataset),
        "test_rows": len(frame),
        "task": problem.task.kind,
        "runner": model.kind,
        "losses": losses,
    }


def _frame(part: Dataset) -> pd.DataFrame:
    """The fields of a part but the identifier; texts as categories, times as numbers."""
    problem = part.problem
    columns = {
        field.name: pd.Series(part.columns[field.name], dtype=object if field.kind is Kind.TEXT else float)
        for field in problem.fields
        if field.name != problem.identifier
    }
    return pd.DataFrame(columns)


def _fitting(model: TrainedModel, names: tuple[str, ...]) -> tuple[pd.DataFrame, Any]:
    """The rows of some parts; both of scikit-learn's models choose by cross-validation."""
    parts = [model.parts[name] for name in names if len(model.parts[name])]
    return pd.concat([_frame(part) for part in parts], ignore_index=True), np.concatenate([_codes(p) for p in parts])


def _codes(part: Dataset) -> Any:
    return part.problem.task.encode(part.target)


def _boosting(model: TrainedModel, X: pd.DataFrame, y: Any, seed: int) -> Any:
    texts = [name for name in X if X[name].dtype == object]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    learner = HistGradientBoostingClassifier if model.problem.task.classes else HistGradientBoostingRegressor
    columns = make_column_transformer((encode, texts), remainder="passthrough")
    return make_pipeline(columns, learner(random_state=seed)).fit(X, y)


def _linear(model: TrainedModel, X: pd.DataFrame, y: Any) -> Any:
    texts = [name for name in X if X[name].dtype == object]
    numbers = [name for name in X if name not in texts]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2)
    scaled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = make_column_transformer((one_hot, texts), (scaled, numbers))
    if model.problem.task.classes:
        learner = LogisticRegressionCV(
            Cs=1 / PENALTIES, scoring="neg_log_loss", max_iter=2_000, l1_ratios=(0,), use_legacy_attributes=False
        )
    else:
        learner = RidgeCV(PENALTIES)
    return make_pipeline(columns, learner).fit(X, y)


def _predicted(model: TrainedModel) -> tuple[Any, Any]:
    outputs = model.predictions["test"].outputs
    known = np.arange(len(model.problem.task.classes))
    return outputs.get("probability", model.predictions["test"].value), known


def _of_estimator(estimator: Any, X: pd.DataFrame) -> tuple[Any, Any]:
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X), estimator.classes_
    return estimator.predict(X), None


def _loss(model: TrainedModel, predicted: Any, known: Any) -> float:
    """Log loss, or RMSE, on the test part."""
    codes = _codes(model.parts["test"])
    classes = model.problem.task.classes
    if not classes:
        return float(np.sqrt(np.mean((predicted - codes) ** 2)))
    whole = np.full((len(codes), len(classes)), 1e-15)
    whole[:, np.asarray(known, dtype=int)] = predicted
    return float(log_loss(codes, whole / whole.sum(axis=1, keepdims=True), labels=np.arange(len(classes))))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, ".")
    with threadpool_limits(1):  # several threads of small tables wait for each other
        for found in measurements([int(seed) for seed in sys.argv[1:]]):
            print(json.dumps(found), flush=True)
