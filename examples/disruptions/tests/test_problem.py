"""The project's own tests: what the source holds, and that a model of a few trees beats the share of disruptions."""

import numpy as np
import pytest

from features.problem import PROBLEM
from tabular_bento.data import Dataset
from tabular_bento.training import load_config, train
from training.source import SOURCE


@pytest.fixture(scope="module")
def flights() -> Dataset:
    return SOURCE.load()


def test_the_source_has_every_flight_and_one_of_nine_is_disrupted(flights: Dataset) -> None:
    assert len(flights) == 336_776
    assert np.mean(flights.target) == pytest.approx(0.112, abs=0.001)
    assert (np.diff(flights.columns["sched_dep"]) >= 0).all()


def test_a_model_of_the_flights_beats_the_naive_baseline(flights: Dataset) -> None:
    some = flights.where(np.arange(0, len(flights), 20))
    model = train(PROBLEM, some, load_config(parameters={"xgboost": {"rounds": 30, "max_depth": 3}}))
    measured, naive = model.metrics["test"], model.baselines["naive_baseline"]["test"]
    assert measured.log_loss < naive.log_loss
    assert measured.roc_auc > 0.65
