"""The project's own tests: what holds of every project, what the source has, and that a small model beats the mean."""

import pytest

from tabular_bento import testing


@pytest.fixture(scope="module")
def project() -> testing.ProjectUnderTest:
    return testing.ProjectUnderTest.here()


def test_it_holds_what_every_project_does(project: testing.ProjectUnderTest) -> None:
    testing.check_project(project)


def test_a_model_of_the_patients_beats_the_naive_baseline(project: testing.ProjectUnderTest) -> None:
    assert len(project.dataset) == 442
    assert project.model.metrics["test"].rmse < 0.9 * project.model.baselines["naive_baseline"]["test"].rmse
