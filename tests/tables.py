"""Tables as people have them, of three kinds, made by a seed; none is like another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def rentals(rows: int = 1_500) -> pd.DataFrame:
    """Regression with a time: how many bicycles are rented in an hour."""
    rng = np.random.default_rng(11)
    hours = np.sort(rng.choice(24 * 200, rows, replace=False))
    when = pd.Timestamp("2024-03-01") + pd.to_timedelta(hours, unit="h")
    station = rng.choice(["harbour", "station", "park", "market"], rows, p=[0.4, 0.3, 0.2, 0.1])
    warmth = 12 + 9 * np.sin(hours / 24 / 60) + rng.normal(0, 3, rows)
    base = pd.Series(station).map({"harbour": 40, "station": 80, "park": 25, "market": 55}).to_numpy()
    rush = 50 * np.isin(when.hour, (7, 8, 17, 18)) * (when.dayofweek < 5)
    rented = base + 2.5 * warmth + rush + rng.normal(0, 12, rows)
    return pd.DataFrame(
        {
            "ride_no": np.arange(1, rows + 1),
            "when": when,
            "station": station,
            "temperature": warmth.round(1),
            "humidity": rng.integers(30, 100, rows),
            "holiday": rng.random(rows) < 0.05,
            "country": "NL",
            "rented": rented.round(1),
        }
    )


def customers(rows: int = 1_200) -> pd.DataFrame:
    """Binary, without a time: which customers leave. Names with spaces, gaps, booleans, ids."""
    rng = np.random.default_rng(12)
    tenure = rng.integers(0, 72, rows)
    contract = rng.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.55, 0.25, 0.2])
    fee = rng.normal(65, 20, rows).clip(15, 130)
    senior = rng.random(rows) < 0.2
    score = 0.9 - 0.05 * tenure + 1.4 * (contract == "Month-to-month") + 0.02 * (fee - 65) + 0.5 * senior - 1.0
    leaves = rng.random(rows) < 1 / (1 + np.exp(-score))
    region = pd.Series(rng.choice(["north", "south", "east", "west"], rows)).mask(rng.random(rows) < 0.1)
    return pd.DataFrame(
        {
            "customerID": [f"C-{number:06d}" for number in rng.permutation(rows)],
            "Tenure (months)": tenure,
            "Monthly fee": pd.Series(fee.round(2)).mask(rng.random(rows) < 0.15),
            "Contract": contract,
            "Senior citizen": senior,
            "Region": region,
            "class": rng.choice(["a", "b", "c"], rows),
            "Last contact": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "Leaves?": np.where(leaves, "Yes", "No"),
        }
    )


def wines(rows: int = 900) -> pd.DataFrame:
    """Multiclass, with whole numbers as labels, of which some are missing."""
    rng = np.random.default_rng(13)
    label = rng.choice([1, 2, 3], rows, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "alcohol": (11 + 0.8 * label + rng.normal(0, 0.7, rows)).round(2),
            "acid": (3 - 0.4 * (label == 2) + rng.normal(0, 0.3, rows)).round(3),
            "colour": rng.choice(["red", "white"], rows),
            "cellar": rng.integers(1, 40, rows),
            "model": rng.choice(["x1", "x2"], rows),
            "kind": pd.Series(label, dtype="Int64").mask(rng.random(rows) < 0.03),
        }
    )


def written(table: pd.DataFrame, path: Path) -> Path:
    """The file of a table, of the format that its name says."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path
