"""The training report: Evidently's regression preset on a sample of the test months against the validation months."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tabular_bento.training.pipeline import TrainedModel

SAMPLE = 5_000
"""Rows of each part that are drawn; the metrics in the package are of all rows."""


def write_report(model: TrainedModel, path: Path) -> None:
    """Write the report as one self-contained HTML page at `path`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Regression, Report
        from evidently.presets import RegressionPreset

        definition = DataDefinition(
            regression=[Regression(target="outcome", prediction="prediction")],
            numerical_columns=["outcome", "prediction"],
        )
        parts = {name: Dataset.from_pandas(_sample(model, name), definition) for name in ("test", "validation")}
        snapshot = Report([RegressionPreset()]).run(parts["test"], parts["validation"])
        snapshot.save_html(str(path))


def _sample(model: TrainedModel, part: str) -> pd.DataFrame:
    examples = model.parts[part]
    size = min(SAMPLE, len(examples))
    chosen = np.random.default_rng(model.config.seed).choice(len(examples), size, replace=False)
    return pd.DataFrame({"outcome": examples.target[chosen], "prediction": model.predictions[part].target[chosen]})
