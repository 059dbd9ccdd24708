"""Bins, and the distance between counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import MISSING, OTHER, Bins, contributions, noise
from tabular_bento.evaluation.reference.profile import profile_columns

RNG = np.random.default_rng(0)


def counted(
    reference: NDArray[np.float64], current: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    profile = profile_columns({"x": reference})["x"]
    return np.array(profile["counts"]), Bins(profile).count(current)


def test_every_value_has_one_bin() -> None:
    values = np.append(RNG.normal(size=5_000), np.nan)
    reference, current = counted(values, np.array([np.nan, np.inf, -np.inf, 1e9, -1e9, 0.0]))
    assert reference.sum() == 5_001
    assert reference[MISSING] == 1
    assert reference[OTHER] == 0
    assert (current[MISSING], current[OTHER], current.sum()) == (1, 4, 6)


@pytest.mark.parametrize("values", [np.zeros(100), np.array([0.0] * 97 + [1.0, 2.0, 3.0]), np.arange(100.0) % 7])
def test_few_values_are_bins_of_their_own(values: NDArray[np.float64]) -> None:
    profile = profile_columns({"x": values})["x"]
    assert profile["values"] == sorted(set(values.tolist()))
    assert Bins(profile).count(np.array([values[0], 99.0]))[OTHER] == 1


def test_many_equal_values_keep_the_edges_apart() -> None:
    values = np.concatenate([np.zeros(5_000), RNG.random(5_000)])
    profile = profile_columns({"x": values})["x"]
    assert profile["edges"] == sorted(set(profile["edges"]))
    assert sum(profile["counts"]) == len(values)
    assert min(profile["counts"][2:]) > 0


def test_text() -> None:
    profile = profile_columns({"x": np.array(["a", "b", "a", None], dtype=object)})["x"]
    bins = Bins(profile)
    assert profile["counts"] == [1, 0, 2, 1]
    assert bins.count(np.array(["z", None, "b"], dtype=object)).tolist() == [1, 1, 0, 1]
    assert bins.label(OTHER) == "unknown to the reference"


def test_all_missing() -> None:
    profile = profile_columns({"x": np.full(5, np.nan)})["x"]
    assert (profile["missing"], profile["counts"]) == (1.0, [5, 0])


def test_index_is_zero_for_itself_and_grows_with_the_shift() -> None:
    values = RNG.normal(size=20_000)
    indices = [contributions(*counted(values, values + shift)).sum() for shift in (0, 0.1, 0.5, 1)]
    assert indices[0] == 0
    assert indices == sorted(indices)
    assert indices[2] > 0.2


def test_noise_is_the_mean_index_of_unchanged_data() -> None:
    pool = RNG.normal(size=20_000)
    indices = []
    for _ in range(200):
        reference, current = counted(pool, RNG.normal(size=1_000))
        indices.append(contributions(reference, current).sum())
    assert np.mean(indices) == pytest.approx(noise(reference, current), rel=0.1)
