"""Fits a Pipeline as somebody did before there was this project; nothing here knows of tabular-bento.

`python elsewhere/fit.py FOLDER` writes `pipeline.skops`, and `sample.parquet` with the rows that it was fitted on.
"""

import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

TEXTS = ["species", "island"]
MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def main(folder: Path) -> None:
    """Every second nest: a female and a male each."""
    penguins = pd.read_csv(files("palmerpenguins") / "data" / "penguins.csv")
    seen = penguins[penguins.index % 4 < 2].dropna(subset="sex")
    columns = ColumnTransformer(
        [
            (
                "texts",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                TEXTS,
            ),
            ("measures", SimpleImputer(strategy="median"), MEASURES),
        ]
    )
    boosting = GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=0)
    pipeline = Pipeline([("columns", columns), ("boosting", boosting)]).fit(seen[TEXTS + MEASURES], seen["sex"])
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(pipeline, folder / "pipeline.skops")
    seen[TEXTS + MEASURES].to_parquet(folder / "sample.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
