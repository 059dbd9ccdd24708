"""Evaluators: what measures the predictions of each kind of task, found by the name that the task gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tabular_bento.errors import MonitoringError
from tabular_bento.evaluation.evaluators.base import (
    HISTORICAL,
    NAIVE,
    Evaluator,
    Metrics,
    Outputs,
    higher_is_better,
    metric_title,
)
from tabular_bento.evaluation.evaluators.classification import ClassificationEvaluator, ClassificationMetrics
from tabular_bento.evaluation.evaluators.regression import RegressionEvaluator, RegressionMetrics
from tabular_bento.tasks import Task

__all__ = [
    "HISTORICAL",
    "NAIVE",
    "ClassificationEvaluator",
    "ClassificationMetrics",
    "Evaluator",
    "Metrics",
    "Outputs",
    "RegressionEvaluator",
    "RegressionMetrics",
    "evaluator_of",
    "higher_is_better",
    "metric_title",
]


def evaluator_of(task: Task) -> Evaluator:
    """The evaluator that the task names.

    Raises
    ------
    MonitoringError
        For one that this library does not have.
    """
    evaluators: dict[str, Callable[[Any], Evaluator]] = {
        "regression": RegressionEvaluator,
        "binary": ClassificationEvaluator,
        "multiclass": ClassificationEvaluator,
    }
    if task.evaluator not in evaluators:
        known = ", ".join(evaluators)
        raise MonitoringError(f"The task {task.kind!r} names the evaluator {task.evaluator!r}; there are: {known}.")
    return evaluators[task.evaluator](task)
