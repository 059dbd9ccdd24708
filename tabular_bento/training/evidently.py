"""Evidently's own report of a test part: its preset for the kind of task, on samples of that and of validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tabular_bento.tasks import Classification, Task
from tabular_bento.training.pipeline import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 5_000
"""Rows of each part that are drawn; the metrics in the package are of all rows."""

_LABEL, _PREDICTION = "label", "prediction"


def plot(model: TrainedModel) -> str | None:
    """Evidently's page as self-contained HTML; None for a task that it has no preset for.

    Raises whatever Evidently raises.
    """
    task = model.problem.task
    if task.evaluator not in PRESETS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Dataset, Report

        definition, preset = PRESETS[task.evaluator](task)
        parts = {name: Dataset.from_pandas(_sample(model, name), definition) for name in ("test", "validation")}
        html: str = Report([preset]).run(parts["test"], parts["validation"]).get_html_str(as_iframe=False)
        return html


def _regression(_: Task) -> tuple[Any, Any]:
    from evidently import DataDefinition, Regression
    from evidently.presets import RegressionPreset

    columns = [Regression(target=_LABEL, prediction=_PREDICTION)]
    return DataDefinition(regression=columns, numerical_columns=[_LABEL, _PREDICTION]), RegressionPreset()


def _classes(task: Task) -> tuple[Any, Any]:
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification
    from evidently.presets import ClassificationPreset

    assert isinstance(task, Classification)
    names = list(task.class_names)
    columns: dict[str, Any]
    if len(names) == 2:
        found = BinaryClassification(
            target=_LABEL, prediction_labels=_PREDICTION, prediction_probas=names[1], pos_label=names[1]
        )
        columns, numbers = {"classification": [found]}, [names[1]]
    else:
        found = MulticlassClassification(target=_LABEL, prediction_labels=_PREDICTION, prediction_probas=names)
        columns, numbers = {"classification": [found]}, names
    definition = DataDefinition(**columns, categorical_columns=[_LABEL, _PREDICTION], numerical_columns=numbers)
    return definition, ClassificationPreset()


PRESETS: Mapping[str, Callable[[Task], tuple[Any, Any]]] = MappingProxyType(
    {"regression": _regression, "binary": _classes, "multiclass": _classes}
)
"""What Evidently is given of the columns, and its preset, by the name of the evaluator."""


def _sample(model: TrainedModel, part: str) -> pd.DataFrame:
    """Labels, predictions and probabilities of some rows of a part; classes by their texts."""
    import pandas as pd

    rows, outputs, task = model.parts[part], model.predictions[part].outputs, model.problem.task
    size = min(SAMPLE, len(rows))
    chosen = np.random.default_rng(model.config.seed).choice(len(rows), size, replace=False)
    labels, predicted = rows.target[chosen], outputs[task.target.name][chosen]
    if not isinstance(task, Classification):
        return pd.DataFrame({_LABEL: labels, _PREDICTION: predicted})
    names = np.array(task.class_names, dtype=object)
    texts = {
        key: names[task.encode(values).astype(np.int64)] for key, values in ((_LABEL, labels), (_PREDICTION, predicted))
    }
    probability = outputs["probability"][chosen]
    return pd.DataFrame({**texts, **{name: probability[:, code] for code, name in enumerate(task.class_names)}})
