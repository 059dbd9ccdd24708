from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from features.definition import EVENT_TIME, FIELD_NAMES, KNOWN_PART, TARGET
from features.history import References
from tabular_bento.training.examples import Examples, examples_between, out_of_fold

from features.functions import FEATURE_NAMES
from tabular_bento.errors import TrainingError
from tabular_bento.training.config import load_config
from training.source import Flights

HISTORY = [
    "pad",
    "route_air_time",
    "congestion",
    "taxi",
    "gain_carrier_route",
    "gain_carrier_hour",
    "gain_dest",
]
"""The features that are learnt from the outcomes or the numbers of past flights."""


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which rows have the same bits in every column."""
    return (a.view(np.uint32) == b.view(np.uint32)).all(axis=1)


@pytest.fixture(scope="module")
def sample(train_part: Examples) -> Examples:
    """Every eighth training flight: enough for all months, quick to fit."""
    return train_part.where(np.arange(0, len(train_part), 8))


@pytest.fixture(scope="module")
def features(sample: Examples, references: References) -> np.ndarray:
    return out_of_fold(sample, references, 30.0)


def with_outcomes_of(sample: Examples, month: int, minutes: float) -> Examples:
    """The sample where the flights of `month` arrive later and fly longer by `minutes`."""
    late = np.where(sample.months == month, minutes, 0.0)
    return Examples(sample.columns, {name: values + late for name, values in sample.history.items()})


@pytest.mark.parametrize("index", range(6))
def test_the_outcomes_of_a_month_are_in_no_feature_of_its_own_flights_and_in_those_of_the_others(
    sample: Examples, references: References, features: np.ndarray, index: int
) -> None:
    month = np.unique(sample.months)[index]
    changed = out_of_fold(with_outcomes_of(sample, month, 500.0), references, 30.0)
    own = sample.months == month

    assert same(features, changed)[own].all()
    assert not same(features, changed)[~own].any()


def test_only_learnt_features_change_with_the_outcomes(
    sample: Examples, references: References, features: np.ndarray
) -> None:
    changed = out_of_fold(with_outcomes_of(sample, sample.months[0], 500.0), references, 30.0)
    moved = {
        name
        for index, name in enumerate(FEATURE_NAMES)
        if not np.array_equal(features[:, index], changed[:, index], equal_nan=True)
    }
    assert moved == {"route_air_time", "gain_carrier_route", "gain_carrier_hour", "gain_dest"}


def test_features_come_in_the_order_of_the_flights(
    sample: Examples, references: References, features: np.ndarray
) -> None:
    column = FEATURE_NAMES.index(KNOWN_PART)
    assert (features[:, column] == sample.columns[KNOWN_PART].astype(np.float32)).all()
    order = np.random.default_rng(0).permutation(len(sample))
    shuffled = out_of_fold(sample.where(order), references, 30.0)
    stable = [index for index, name in enumerate(FEATURE_NAMES) if name not in HISTORY]
    assert same(np.ascontiguousarray(shuffled[:, stable]), np.ascontiguousarray(features[order][:, stable])).all()


def test_one_month_is_not_enough_to_learn_from_the_others(sample: Examples, references: References) -> None:
    with pytest.raises(TrainingError, match="at least two months"):
        out_of_fold(sample.where(sample.months == sample.months[0]), references, 30.0)


def test_examples_are_the_flights_of_their_months_whose_outcome_is_known(train_part: Examples) -> None:
    assert np.unique(train_part.months.astype("datetime64[M]")).astype(str).tolist() == [
        f"2013-0{month}" for month in range(1, 7)
    ]
    assert len(train_part) > 150_000
    assert not np.isnan(train_part.target).any()
    assert not np.isnan(train_part.columns[KNOWN_PART]).any()
    assert tuple(train_part.columns) == FIELD_NAMES
    assert (train_part.gain == train_part.history[TARGET.name] - train_part.columns[KNOWN_PART]).all()


def test_days_are_those_of_the_scheduled_departure(train_part: Examples) -> None:
    dates = train_part.columns[EVENT_TIME].astype("datetime64[s]").astype("datetime64[D]")
    assert (train_part.days.astype("datetime64[D]") == dates).all()


def test_months_without_a_flight_are_told(flights: Flights) -> None:
    with pytest.raises(TrainingError, match="2031-01 to 2031-02"):
        examples_between(flights, ("2031-01", "2031-02"))


def test_no_flight_is_in_two_parts_of_the_split(flights: Flights) -> None:
    parts = [examples_between(flights, months) for months in load_config().split.model_dump().values()]
    for earlier, later in pairwise(parts):
        assert earlier.columns[EVENT_TIME].max() < later.columns[EVENT_TIME].min()
