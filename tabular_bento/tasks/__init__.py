"""Kinds of prediction: what a model learns, what a prediction consists of, and how it is judged."""

from tabular_bento.tasks.base import Output, Task, task_from_dict
from tabular_bento.tasks.regression import Regression

__all__ = ["Output", "Regression", "Task", "task_from_dict"]
