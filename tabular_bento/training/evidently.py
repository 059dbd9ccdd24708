"""Evidently's own report of a test part: its preset for the task, on samples of that part and of validation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from tabular_bento.pages.evidently import LABEL, PREDICTION, datasets, preset_of
from tabular_bento.training.pipeline import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 5_000
"""Rows of each part that are drawn; the metrics in the package are of all rows."""


def plot(model: TrainedModel) -> str | None:
    """Evidently's page as self-contained HTML; None for a task that it has no preset for.

    Raises whatever Evidently raises.
    """
    task = model.problem.task
    with warnings.catch_warnings(action="ignore"):
        found = preset_of(task, task.class_names)
        if found is None:
            return None
        from evidently import Report

        measured, preset = found
        parts = datasets([_sample(model, name) for name in ("test", "validation")], measured)
        html: str = Report([preset]).run(*parts).get_html_str(as_iframe=False)
        return html


def _sample(model: TrainedModel, part: str) -> pd.DataFrame:
    """Labels, predictions and probabilities of some rows of a part; classes by their texts."""
    import pandas as pd

    rows, outputs, task = model.parts[part], model.predictions[part].outputs, model.problem.task
    size = min(SAMPLE, len(rows))
    chosen = np.random.default_rng(model.config.seed).choice(len(rows), size, replace=False)
    columns = {LABEL: rows.target[chosen], PREDICTION: outputs[task.target.name][chosen]}
    if not task.class_names:
        return pd.DataFrame(columns)
    names = np.array(task.class_names, dtype=object)
    texts = {name: names[task.encode(values).astype(np.int64)] for name, values in columns.items()}
    probability = outputs["probability"][chosen]
    return pd.DataFrame({**texts, **{name: probability[:, code] for code, name in enumerate(task.class_names)}})
