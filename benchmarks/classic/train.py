"""python -m benchmarks.classic.train: fit the Pipeline on a Parquet file of flights and keep it with joblib."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import joblib
import pandas as pd

from benchmarks.classic.features import make_pipeline


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classic.train", description=__doc__)
    parser.add_argument("--flights", type=Path, required=True, help="Parquet file: request fields and arrival_delay")
    parser.add_argument("--parameters", type=json.loads, required=True, help="parameters of XGBRegressor, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="file to write the fitted Pipeline to")
    options = parser.parse_args()

    flights = pd.read_parquet(options.flights)
    gain = flights["arrival_delay"] - flights["dep_delay"]
    pipeline = make_pipeline(options.parameters)
    joblib.dump(pipeline.fit(flights.drop(columns="arrival_delay"), gain), options.out)


if __name__ == "__main__":
    main()
