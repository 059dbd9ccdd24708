"""Kinds of prediction: what a model learns, what a prediction consists of, and how it is judged."""

from __future__ import annotations

from typing import Any

from tabular_bento.tasks.base import Output, Task
from tabular_bento.tasks.calibration import Calibration
from tabular_bento.tasks.classification import Binary, Classification, Multiclass
from tabular_bento.tasks.conformal import Conformal
from tabular_bento.tasks.regression import Regression

__all__ = [
    "Binary",
    "Calibration",
    "Classification",
    "Conformal",
    "Multiclass",
    "Output",
    "Regression",
    "Task",
    "task_from_dict",
]


def task_from_dict(values: dict[str, Any]) -> Task:
    """The task that `Task.to_dict` wrote.

    Raises
    ------
    ValueError
        For a kind of task that this library does not have.
    """
    kinds: dict[str, Any] = {task.kind: task for task in (Regression, Binary, Multiclass)}
    rest = dict(values)
    kind = rest.pop("kind")
    if kind not in kinds:
        raise ValueError(f"the task {kind!r} is unknown; there are {', '.join(kinds)}")
    task: Task = kinds[kind].from_dict(rest)
    return task
