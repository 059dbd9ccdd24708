"""The training report: Evidently's regression preset on a sample of the test part against the validation part."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tabular_bento.training.pipeline import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 5_000
"""Rows of each part that are drawn; the metrics in the package are of all rows."""


def write_report(model: TrainedModel, path: Path) -> None:
    """Write the report as one self-contained HTML page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Regression, Report
        from evidently.presets import RegressionPreset

        definition = DataDefinition(
            regression=[Regression(target="label", prediction="prediction")],
            numerical_columns=["label", "prediction"],
        )
        parts = {name: Dataset.from_pandas(_sample(model, name), definition) for name in ("test", "validation")}
        snapshot = Report([RegressionPreset()]).run(parts["test"], parts["validation"])
        snapshot.save_html(str(path))


def _sample(model: TrainedModel, part: str) -> pd.DataFrame:
    import pandas as pd

    rows = model.parts[part]
    size = min(SAMPLE, len(rows))
    chosen = np.random.default_rng(model.config.seed).choice(len(rows), size, replace=False)
    return pd.DataFrame({"label": rows.target[chosen], "prediction": model.predictions[part].value[chosen]})
