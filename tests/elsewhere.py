"""Makes files of fitted Pipelines in a process of its own, as somebody does who knows nothing of this library.

`python tests/elsewhere.py FOLDER` writes them with the rows that they were fitted on, as Parquet, and what their own
`predict` and `predict_proba` give for these, as arrays of NumPy.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 300
CLASSES = ("no", "yes")
KINDS = ("box", "tube", "letter")


def frame(count: int = ROWS, seed: int = 0) -> Any:
    """Rows of every kind of column."""
    import pandas as pd

    random = np.random.default_rng(seed)
    days = random.integers(0, 400, count)
    return pd.DataFrame(
        {
            "kind": pd.Categorical(random.choice(KINDS, count), categories=["tube", "letter", "box"]),
            "town": np.where(random.random(count) < 0.1, None, random.choice(["Ulm", "Bonn", "Köln"], count)),
            "weight": np.where(random.random(count) < 0.1, np.nan, random.uniform(0, 50, count)).astype(np.float32),
            "pieces": random.integers(1, 10, count),
            "fragile": random.random(count) < 0.3,
            "sent": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
            "paid": pd.Timestamp("2024-01-01T00:00:00Z") + pd.to_timedelta(days * 3600, unit="s"),
            "due": [date(2024, 1, 1 + int(day) % 28) for day in days],
        }
    )


def target(rows: Any, seed: int = 0) -> Any:
    """A number to predict."""
    random = np.random.default_rng([seed, 1])
    cost = 3 * rows["weight"].fillna(20).astype(float) + 10 * (rows["kind"] == "tube") + 2 * rows["pieces"]
    return (cost + 5 * rows["fragile"] + rows["sent"].dt.month + random.normal(0, 1, len(rows))).to_numpy()


def pipeline(model: Any) -> Any:
    """A ColumnTransformer by column names before a model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["weight", "pieces"]),
            ("texts", texts, ["town", "kind"]),
            ("flags", "passthrough", ["fragile"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])


def write(folder: Path) -> None:
    """All files."""
    import joblib
    import skops.io
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import LinearSVC

    rows = frame()
    cost = target(rows)
    used = rows[["kind", "town", "weight", "pieces", "fragile"]]
    late = np.array(CLASSES)[(cost > np.median(cost)).astype(int)]
    size = np.array(["small", "large", "medium"])[np.digitize(cost, np.quantile(cost, [0.3, 0.7]))]
    rows.assign(cost=cost, late=late, size=size).to_parquet(folder / "rows.parquet")
    used.to_parquet(folder / "used.parquet")
    rows.drop(columns="due").to_parquet(folder / "timed.parquet")

    models = {
        "boosted": (GradientBoostingClassifier(n_estimators=20), late),
        "logistic": (LogisticRegression(), late),
        "forest": (RandomForestClassifier(n_estimators=10, random_state=0), size),
        "svc": (LinearSVC(), late),
        "ridge": (Ridge(), cost),
    }
    fitted = {name: pipeline(model).fit(used, y) for name, (model, y) in models.items()}
    fitted["strict"] = pipeline(LogisticRegression()).set_params(columns__texts__onehotencoder__handle_unknown="error")
    fitted["strict"].fit(used, late)

    def timed(X: Any) -> Any:
        return X

    numbers = used[["weight", "pieces"]].to_numpy()
    fitted["array"] = HistGradientBoostingRegressor(max_iter=20).fit(numbers, cost)
    used[["weight", "pieces"]].to_parquet(folder / "numbers.parquet")
    dated = HistGradientBoostingRegressor(max_iter=20, categorical_features="from_dtype")
    fitted["dated"] = dated.fit(rows[["pieces", "kind", "weight"]], cost)
    for name, model in fitted.items():
        skops.io.dump(model, folder / f"{name}.skops")
        given = numbers if name == "array" else rows if name == "dated" else used
        given = rows[["pieces", "kind", "weight"]] if name == "dated" else given
        np.save(folder / f"{name}.predict.npy", np.asarray(model.predict(given)).astype(str))
        if hasattr(model, "predict_proba"):
            np.save(folder / f"{name}.proba.npy", model.predict_proba(given))
    joblib.dump(fitted["boosted"], folder / "boosted.joblib")
    (folder / "boosted.pkl").write_bytes(pickle.dumps(fitted["boosted"]))
    skops.io.dump(pipeline(Ridge()), folder / "unfitted.skops")
    local = pipeline(Ridge())
    local.steps.insert(1, ("own", FunctionTransformer(timed)))
    (folder / "local.skops").write_bytes(skops.io.dumps(local.fit(used, cost)))
    runs = pipeline(Ridge())
    runs.steps.insert(1, ("own", FunctionTransformer(os.system)))
    (folder / "runs.skops").write_bytes(skops.io.dumps(runs))
    (folder / "runs.pkl").write_bytes(pickle.dumps(Runs(str(folder / "was_run"))))


class Runs:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return subprocess.call, (["touch", self.path],)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
