"""The project's own tests: what holds of every project, what the source has, and that a small model beats the share."""

import numpy as np
import pytest

from tabular_bento import testing
from tabular_bento.training import load_config, train


@pytest.fixture(scope="module")
def project() -> testing.ProjectUnderTest:
    return testing.ProjectUnderTest.here()


def test_it_holds_what_every_project_does(project: testing.ProjectUnderTest) -> None:
    testing.check_project(project)


def test_the_source_has_every_flight_and_one_of_nine_is_disrupted(project: testing.ProjectUnderTest) -> None:
    flights = project.dataset
    assert len(flights) == 336_776
    assert np.mean(flights.target) == pytest.approx(0.112, abs=0.001)
    assert (np.diff(flights.columns["sched_dep"]) >= 0).all()


def test_a_model_of_the_flights_beats_the_naive_baseline(project: testing.ProjectUnderTest) -> None:
    some = project.dataset.where(np.arange(0, len(project.dataset), 20))
    model = train(project.problem, some, load_config(parameters={"xgboost": {"rounds": 30, "max_depth": 3}}))
    measured, naive = model.metrics["test"], model.baselines["naive_baseline"]["test"]
    assert measured.log_loss < naive.log_loss
    assert measured.roc_auc > 0.65
