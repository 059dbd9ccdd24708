from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tabular_bento.data import Dataset
from tabular_bento.errors import TrainingError
from tabular_bento.features import Extractor
from tabular_bento.training.folds import folds_of, out_of_fold
from tests.unit.models import DATED, PARCELS, PRICES, parcels, prices

LEARNT = {"city_mean", "floor_mean", "city_count"}
"""Features that are learnt from labels or numbers of past rows."""


def features(dataset: Dataset, folds: Any = 5, seed: int = 0) -> np.ndarray:
    whole = Extractor.fit(PRICES.fields, PRICES.features, [dataset.fit_data], dataset.tables)
    return out_of_fold(DATED, dataset, folds_of(dataset, folds, seed), whole.state.vocabularies)


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which rows have the same bits in every column."""
    return (np.ascontiguousarray(a).view(np.uint32) == np.ascontiguousarray(b).view(np.uint32)).all(axis=1)


def with_labels_of(dataset: Dataset, rows: np.ndarray, more: float) -> Dataset:
    """The data set where these rows have larger labels."""
    return replace(dataset, target=dataset.target + np.where(rows, more, 0.0))


@pytest.mark.parametrize("folds", [5, 3, "month"])
def test_the_labels_of_a_fold_are_in_no_feature_of_its_own_rows(folds: Any) -> None:
    dataset = prices(DATED, 600)
    fold = folds_of(dataset, folds, 0)
    before = features(dataset, folds)
    for number in range(3):
        changed = features(with_labels_of(dataset, fold == number, 5e4), folds)
        assert same(before, changed)[fold == number].all()
        assert not same(before, changed)[fold != number].all()


def test_only_learnt_features_change_with_the_labels() -> None:
    dataset = prices(DATED, 600)
    before = features(dataset)
    changed = features(with_labels_of(dataset, folds_of(dataset, 5, 0) == 0, 5e4))
    moved = {
        name
        for index, name in enumerate(PRICES.feature_names)
        if not np.array_equal(before[:, index], changed[:, index], equal_nan=True)
    }
    assert moved == {"city_mean", "floor_mean"}


def test_features_come_in_the_order_of_the_rows() -> None:
    dataset = prices(DATED)
    before = features(dataset)
    order = np.random.default_rng(0).permutation(len(dataset))
    shuffled = features(dataset.where(order))
    stable = [index for index, name in enumerate(PRICES.feature_names) if name not in LEARNT]
    assert (before[:, PRICES.feature_names.index("area")] == dataset.columns["area"].astype(np.float32)).all()
    assert same(shuffled[:, stable], before[order][:, stable]).all()
    assert same(shuffled, before[order]).all(), "folds are by time"


def test_a_code_means_the_same_in_every_fold_and_a_key_that_a_fold_lacks_is_unknown() -> None:
    dataset = prices(DATED)
    opened = np.asarray(dataset.columns["opened"])
    last = opened > np.quantile(opened, 0.9)
    dataset.columns["city"][:] = np.where(last, "Aalen", dataset.columns["city"])  # type: ignore[index]
    found = dict(zip(PRICES.feature_names, features(dataset, folds=5).T, strict=True))
    fold = folds_of(dataset, 5, 0)

    assert set(found["city"][last]) == {1.0}, "the first code, though four folds of five never saw it"
    assert set(fold[last]) == {4}
    assert np.isnan(found["city_mean"][last]).all()
    assert np.isnan(found["city_count"][last]).all()


def test_folds_of_an_event_time_are_contiguous_and_whole_days() -> None:
    dataset = prices(DATED, 1000)
    fold = folds_of(dataset, 5, 0)
    order = np.argsort(dataset.columns["opened"], kind="stable")
    assert (np.diff(fold[order]) >= 0).all()
    assert np.bincount(fold).tolist() == pytest.approx([200] * 5, abs=10)
    assert dataset.event_days is not None
    for day in np.unique(dataset.event_days):
        assert len(set(fold[dataset.event_days == day])) == 1


def test_folds_without_an_event_time_are_by_seed() -> None:
    dataset = parcels()
    one, again, other = (folds_of(dataset, 5, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert np.bincount(one).tolist() == [60] * 5


def test_fewer_than_two_folds_are_not_enough() -> None:
    dataset = prices(DATED)
    assert dataset.months is not None
    month = dataset.where(dataset.months == dataset.months[0])
    with pytest.raises(TrainingError, match="at least two months"):
        folds_of(month, "month", 0)
    with pytest.raises(TrainingError, match="has none"):
        folds_of(parcels(), "month", 0)
    with pytest.raises(TrainingError, match="at least two folds"):
        folds_of(parcels().where(slice(0, 1)), 5, 0)
    assert PARCELS.event_time is None
