"""Evidently's presets: which one shows the predictions of a task, and what it must know of the columns.

Evidently's import takes seconds and brings pandas: nothing is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tabular_bento.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

LABEL, PREDICTION = "label", "prediction"
"""The columns of labels and predictions, classes by their texts."""

Preset = tuple[dict[str, Any], Any]
"""What `datasets` is given of the columns, and the preset."""


def preset_of(task: Task, probabilities: Sequence[str] = ()) -> Preset | None:
    """The preset for a task; None for one that Evidently has no preset for.

    Parameters
    ----------
    task : Task
        What is predicted.
    probabilities : sequence of str
        The column that holds the probability of each class, in their order; none where they are not to be shown.
    """
    make = _PRESETS.get(task.evaluator)
    return None if make is None else make(task, probabilities)


def datasets(frames: Sequence[pd.DataFrame], measured: Mapping[str, Any]) -> list[Any]:
    """Evidently's datasets of frames with the columns of the first, whose kinds follow from their dtypes.

    Parameters
    ----------
    frames : sequence of DataFrame
        The rows.
    measured : mapping
        What `preset_of` gives of the columns.
    """
    from evidently import DataDefinition, Dataset

    first = frames[0]
    numbers = [name for name in first if first[name].dtype.kind in "fi"]
    texts = [name for name in first if name not in numbers]
    definition = DataDefinition(**measured, numerical_columns=numbers, categorical_columns=texts)
    return [Dataset.from_pandas(frame, definition) for frame in frames]


def _regression(_: Task, __: Sequence[str]) -> Preset:
    from evidently import Regression
    from evidently.presets import RegressionPreset

    return {"regression": [Regression(target=LABEL, prediction=PREDICTION)]}, RegressionPreset()


def _binary(task: Task, probabilities: Sequence[str]) -> Preset:
    from evidently import BinaryClassification
    from evidently.presets import ClassificationPreset

    found = BinaryClassification(
        target=LABEL,
        prediction_labels=PREDICTION,
        prediction_probas=probabilities[-1] if probabilities else None,
        pos_label=task.class_names[-1],
    )
    return {"classification": [found]}, ClassificationPreset()


def _multiclass(_: Task, probabilities: Sequence[str]) -> Preset:
    from evidently import MulticlassClassification
    from evidently.presets import ClassificationPreset

    found = MulticlassClassification(
        target=LABEL, prediction_labels=PREDICTION, prediction_probas=list(probabilities) or None
    )
    return {"classification": [found]}, ClassificationPreset()


_PRESETS: Mapping[str, Callable[[Task, Sequence[str]], Preset]] = MappingProxyType(
    {"regression": _regression, "binary": _binary, "multiclass": _multiclass}
)
"""By the name of the evaluator."""
