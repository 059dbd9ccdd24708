"""The checks of a project: a sound one passes all, and each fault fails the check that looks for it, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tabular_bento import testing
from tabular_bento.data import Dataset
from tabular_bento.features import FeatureSet, feature
from tabular_bento.testing import ProjectUnderTest
from tabular_bento.testing.project import CHECKED_ROWS, extremes
from tabular_bento.training import load_config
from tests.unit.models import DATED, PARCELS, SMALL, parcels, prices


@feature()
def above_the_others(row: Any) -> Any:
    """Weight above the mean of the batch."""
    return row.weight - np.mean(row.weight)


@feature()
def reciprocal(row: Any) -> Any:
    """One over what is left to the largest weight."""
    return 1 / (100 - row.weight)


@cache
def sound(name: str) -> ProjectUnderTest:
    problem, rows = {"parcels": (PARCELS, parcels), "dated": (DATED, lambda: prices(DATED))}[name]
    return ProjectUnderTest.of(problem, rows(), load_config(**SMALL))


def with_feature(added: Any) -> ProjectUnderTest:
    problem = replace(PARCELS, features=FeatureSet((added,), ()))
    return ProjectUnderTest.of(problem, replace(parcels(), problem=problem), load_config(**SMALL))


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["parcels", "dated"])
def test_a_sound_project_passes(name: str, check: Callable[[ProjectUnderTest], None]) -> None:
    check(sound(name))


def test_rows_of_the_source_are_followed_by_rows_at_the_edges() -> None:
    project = sound("parcels")
    assert len(project.rows) == 2 * CHECKED_ROWS
    weights = [row[0] for row in project.rows]
    assert not {0.0, 100.0} & set(weights[:CHECKED_ROWS])
    assert {0.0, 100.0} <= set(weights[CHECKED_ROWS:])
    assert len({row[2] for row in project.rows}) == 5, "three kinds of the source, one that none has, the longest text"
    assert [extremes(item)[:2] for item in PARCELS.fields[:2]] == [[0, 100], [1, 9]]


def test_a_feature_of_the_batch_is_found_with_its_name() -> None:
    with pytest.raises(AssertionError, match=r"the feature above_the_others of row 0 is .* alone and .* in a batch"):
        testing.check_row_independence(with_feature(above_the_others))


def test_a_feature_that_fails_for_a_row_that_a_server_accepts_is_found_with_the_value() -> None:
    with pytest.raises(AssertionError, match=r"a row with weight = 100\.0 cannot be predicted \(ZeroDivisionError"):
        testing.check_feature_totality(with_feature(reciprocal))


@pytest.mark.parametrize(
    ("cost", "message"),
    [(np.nan, "none of the 300 rows of the source has a cost"), (5.0, "cost has one value in all rows")],
)
def test_a_source_without_labels_to_learn_from_is_found(cost: float, message: str) -> None:
    rows: Dataset = replace(parcels(), target=np.full(300, cost))
    with pytest.raises(AssertionError, match=message):
        testing.check_source(ProjectUnderTest.of(PARCELS, rows))
