"""Feature engineering in pandas, and the Pipeline that it is the first step of."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder
from xgboost import XGBRegressor

WEATHER = ["temp", "wind_dir", "wind_speed", "precip", "visib", "pressure"]
CATEGORIES = ["carrier", "origin", "day_of_week"]
HISTORIES = ["carrier_route", "carrier_hour", "dest"]
NUMBERS = [
    "dep_minute",
    "arr_minute",
    "actual_dep_minute",
    "dep_delay",
    "block",
    "pad",
    "route_block",
    "congestion",
    *WEATHER,
]


class FlightFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Adds clocks, blocks and congestion to a DataFrame of flights, one row a flight; times are in minutes.

    A block is the difference of two clocks in different time zones; less the mean of its route it says the same.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002
        """Learn the usual blocks of carriers and routes, and how busy each hour of the week is."""
        frame = _with_clocks(X)
        weeks = frame["sched_dep"].dt.normalize().nunique() / 7
        self.carrier_route_block_ = frame.groupby("carrier_route")["block"].mean()
        self.route_block_ = frame.groupby("route")["block"].mean()
        self.congestion_ = frame.groupby("origin_hour").size() / weeks
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The columns of CATEGORIES, HISTORIES and NUMBERS; NaN where a route or an hour was never seen."""
        frame = _with_clocks(X)
        frame["pad"] = frame["block"] - frame["carrier_route"].map(self.carrier_route_block_)
        frame["route_block"] = frame["route"].map(self.route_block_)
        frame["congestion"] = frame["origin_hour"].map(self.congestion_)
        return frame


def _with_clocks(X: pd.DataFrame) -> pd.DataFrame:
    frame = X.copy()
    departure, arrival = frame["sched_dep"].dt, frame["sched_arr"].dt
    hour = departure.hour.astype(str)
    frame["day_of_week"] = departure.dayofweek
    frame["dep_minute"] = departure.hour * 60 + departure.minute
    frame["arr_minute"] = arrival.hour * 60 + arrival.minute
    frame["actual_dep_minute"] = (frame["dep_minute"] + frame["dep_delay"]) % 1440
    frame["block"] = (frame["sched_arr"] - frame["sched_dep"]).dt.total_seconds() / 60
    frame["route"] = frame["origin"] + "-" + frame["dest"]
    frame["carrier_route"] = frame["carrier"] + "-" + frame["route"]
    frame["carrier_hour"] = frame["carrier"] + "-" + hour
    frame["origin_hour"] = frame["origin"] + "-" + frame["day_of_week"].astype(str) + "-" + hour
    return frame


def make_pipeline(parameters: dict[str, Any]) -> Pipeline:
    """The unfitted Pipeline from a DataFrame of flights to minutes lost on the way; `parameters` are XGBRegressor's."""
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
            ("histories", TargetEncoder(smooth=30.0, target_type="continuous", random_state=0), HISTORIES),
            ("numbers", SimpleImputer(strategy="median"), NUMBERS),
        ]
    )
    return Pipeline([("features", FlightFeatures()), ("columns", columns), ("model", XGBRegressor(**parameters))])
