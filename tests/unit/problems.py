"""A small problem that has a field of every kind, for tests that need no data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.features import FeatureSet, FitData, GroupCount, GroupMean, LookupTable, Vocabulary, derived, feature

DAY = 86_400

city_code = Vocabulary("city")
population = LookupTable("cities", key="name", column="population", field="city")


@derived(size=24)
def hour(row: Any) -> Any:
    return row.opened % DAY // 3600


@derived(size=5)
def floor_code(row: Any) -> Any:
    return row.floor


mean_by_city = GroupMean(of="residual", by=("city", hour), smooth=2)
mean_by_floor = GroupMean(of="target", by=(floor_code,))
count_by_city = GroupCount(by=("city",))


@feature(unit="code")
def city(row: Any) -> Any:
    """City, as its code in the training vocabulary."""
    return row.city_code


@feature(unit="m2")
def area(row: Any) -> Any:
    """Area."""
    return row.area


@feature()
def floor(row: Any) -> Any:
    """Floor."""
    return row.floor


@feature()
def balcony(row: Any) -> Any:
    """Whether there is a balcony."""
    return row.balcony


@feature(unit="days")
def age(row: Any) -> Any:
    """Days between the year it was built and the day it was listed."""
    return row.listed // 86_400_000_000 - row.built


@feature(unit="EUR")
def city_mean(row: Any) -> Any:
    """Smoothed mean of the residual in the city at this hour."""
    return row.mean_by_city


@feature(unit="EUR")
def floor_mean(row: Any) -> Any:
    """Mean price of the floor."""
    return row.mean_by_floor


@feature()
def city_count(row: Any) -> Any:
    """Past rows of the city."""
    return row.count_by_city


@feature()
def people(row: Any) -> Any:
    """People who live in the city."""
    return row.population


FEATURES = FeatureSet.from_module(__name__)

FIELDS = (
    Field("city", Kind.TEXT, "City", min_length=1, max_length=20, optional=True),
    Field("area", Kind.NUMBER, "Area", unit="m2", minimum=0, maximum=10_000),
    Field("guess", Kind.NUMBER, "The owner's guess", unit="EUR"),
    Field("floor", Kind.INTEGER, "Floor", minimum=-5, maximum=200, optional=True),
    Field("balcony", Kind.BOOLEAN, "Whether there is a balcony", optional=True),
    Field("built", Kind.DATE, "When it was built", optional=True),
    Field("opened", Kind.LOCAL_TIME, "When the door was opened"),
    Field("listed", Kind.INSTANT, "When it was listed", optional=True),
)

PRICES = Problem(
    name="prices",
    rows="rows",
    fields=FIELDS,
    task=Regression(Field("price", Kind.NUMBER, "Price", unit="EUR"), offset="guess"),
    features=FEATURES,
)

TABLES = {"cities": {"name": np.array(["Ulm", "Bonn"], dtype=object), "population": np.array([126_000.0, 330_000.0])}}


def fit_data(count: int = 200, seed: int = 0) -> FitData:
    """Rows with gaps in every optional field."""
    random = np.random.default_rng(seed)

    def gaps(values: Any) -> Any:
        return np.where(random.random(count) < 0.2, np.nan, values)

    cities = np.array([None, "Ulm", "Bonn", "Köln"], dtype=object)[random.integers(0, 4, count)]
    guess = random.normal(100_000, 20_000, count)
    price = guess + random.normal(0, 5_000, count)
    columns = {
        "city": cities,
        "area": random.uniform(20, 200, count),
        "guess": guess,
        "floor": gaps(random.integers(-1, 8, count)),
        "balcony": gaps(random.integers(0, 2, count)),
        "built": gaps(random.integers(-10_000, 19_000, count)),
        "opened": random.integers(1_500_000_000, 1_600_000_000, count),
        "listed": gaps(random.integers(1_500_000_000_000_000, 1_600_000_000_000_000, count)),
    }
    return FitData(columns, {"target": price, "residual": price - guess})
