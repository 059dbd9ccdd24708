"""Features and predictions have the bits that they had before the library was split off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.distance import DECIMALS
from features.problem import PROBLEM
from tabular_bento.features import ColumnRows, Extractor
from tabular_bento.features.columns import columns_of
from tests.golden import before


def same(found: Any, expected: Any, names: Any) -> None:
    """Compare float32 or float64 by their bits, NaN included; on a difference tell of which groups the rows are."""
    kind = {4: np.uint32, 8: np.uint64}[expected.dtype.itemsize]
    assert found.dtype == expected.dtype
    differs = found.view(kind) != expected.view(kind)
    rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
    groups = before.computed()["groups"][before.computed()["group"][rows]]
    assert not len(rows), f"{len(rows)} rows differ, of {sorted(set(groups.tolist()))}; first {rows[:3]}, {names}"


def test_features_are_the_same_row_by_row() -> None:
    extractor = before.extractor()
    found = np.concatenate([extractor.transform([row]) for row in before.rows()])
    same(found, before.computed()["features"], "row by row")


@pytest.mark.parametrize("size", [11, 12, 1000, 5000])
def test_features_are_the_same_in_batches(size: int) -> None:
    extractor, rows = before.extractor(), before.rows()
    found = np.concatenate([extractor.transform(rows[at : at + size]) for at in range(0, len(rows), size)])
    same(found, before.computed()["features"], f"by {size}")


def test_features_are_the_same_as_columns() -> None:
    columns = columns_of(before.rows(), PROBLEM.fields)
    same(
        before.extractor().transform(ColumnRows(columns, PROBLEM.field_names)), before.computed()["features"], "columns"
    )


@pytest.mark.parametrize("size", [1, 13, 5000])
def test_predictions_are_the_same(size: int) -> None:
    predictor, rows = before.predictor(), before.rows()
    found = np.concatenate([predictor.predict(rows[at : at + size]).value for at in range(0, len(rows), size)])
    same(found, before.computed()["prediction"], f"by {size}")


def test_predictions_are_the_same_as_columns() -> None:
    columns = columns_of(before.rows(), PROBLEM.fields)
    same(before.predictor().predict_columns(columns).value, before.computed()["prediction"], "columns")


@pytest.fixture(scope="module")
def fitted() -> Extractor:
    """The extractor fitted on the training months anew."""
    from tabular_bento.data import Split
    from training.source import SOURCE

    months = Split(train=("2013-01", "2013-06"), validation=("2013-07", "2013-08"), test=("2013-09", "2013-12"))
    train = SOURCE.load().split(months).part("train")
    return Extractor.fit(PROBLEM.fields, PROBLEM.features, [train.fit_data], train.tables)


def test_what_is_fitted_is_the_same_to_the_bit(fitted: Extractor) -> None:
    expected = before.state()
    assert {name: codes.values for name, codes in fitted.state.vocabularies.items()} == {
        name: codes.values for name, codes in expected.vocabularies.items()
    }
    assert fitted.state.texts == expected.texts
    expected.tables["miles"] = np.round(expected.tables["miles"], DECIMALS)  # since: the same on every processor
    assert set(fitted.state.tables) == set(expected.tables)
    differing = {
        name: int((table.view(np.uint64) != expected.tables[name].view(np.uint64)).sum())
        for name, table in fitted.state.tables.items()
        if table.shape != expected.tables[name].shape or table.tobytes() != expected.tables[name].tobytes()
    }
    assert differing == {}
