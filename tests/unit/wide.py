"""Small problems with intervals, with data sets and models of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tabular_bento import Problem, Regression
from tabular_bento.data import Dataset
from tabular_bento.training import TrainedModel, load_config, train
from tests.unit import models
from tests.unit.models import DATED, PARCELS

SPLIT = {"train": 0.4, "validation": 0.2, "calibration": 0.2, "test": 0.2}
WIDE = replace(PARCELS, task=Regression(PARCELS.target, interval=0.9), example={})
WIDE_DATED = replace(DATED, task=Regression(DATED.target, offset="guess", interval=0.9), example={})
ROWS = 4_000
RUNNERS = {
    "xgboost": {"rounds": 20, "learning_rate": 0.3},
    "sklearn": {"max_iter": 20, "learning_rate": 0.3},
    "lightgbm": {"rounds": 20, "learning_rate": 0.3},
    "linear": {},
}


def dataset(problem: Problem, count: int = ROWS) -> Dataset:
    """Rows whose noise is the larger the heavier a parcel."""
    if problem is WIDE_DATED:
        return models.prices(problem, count)
    random, data = np.random.default_rng(3), models.parcels(count, seed=2)
    weight = data.columns["weight"]
    target = 3 * weight + random.normal(0, 1, count) * (1 + weight / 2)
    return replace(data, problem=problem, target=target)


def settings(runner: str = "xgboost", **more: Any) -> Any:
    given = {"split": SPLIT, "runner": runner, "parameters": {runner: RUNNERS[runner]}, **more}
    return load_config(**{**models.SMALL, **given})


@cache
def trained(name: str, runner: str = "xgboost") -> TrainedModel:
    problem = {"parcels": WIDE, "dated": WIDE_DATED}[name]
    return train(problem, dataset(problem), settings(runner))
