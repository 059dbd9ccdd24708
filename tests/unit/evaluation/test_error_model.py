"""The model of the model's errors."""

from __future__ import annotations

import numpy as np
import pytest

from tabular_bento.evaluation.error_model import learn_error_model, spread

rng = np.random.default_rng(0)
X = rng.normal(size=(12_000, 9)).astype(np.float32)
DAYS = np.arange(12_000) // 200
ERROR = rng.normal(0, np.where(X[:, 0] > 0, 20, 5))


def test_it_learns_where_errors_are_large() -> None:
    booster = learn_error_model(X, ERROR, 1)
    means = [float(booster.attr(name)) for name in ("mean_squared", "mean_absolute")]
    expected = booster.inplace_predict(X) * means
    assert expected.shape == (len(X), 2)
    assert expected[:, 0].mean() == pytest.approx((ERROR**2).mean(), rel=0.01)
    hard, easy = (np.sqrt(expected[side, 0].mean()) for side in (X[:, 0] > 0, X[:, 0] <= 0))
    assert (hard, easy) == (pytest.approx(20, rel=0.05), pytest.approx(5, rel=0.3))


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    assert learn_error_model(X, ERROR, 1).save_raw() == learn_error_model(X, ERROR, 1).save_raw()


def test_the_spread_is_that_of_days_it_had_not_seen() -> None:
    calm = spread(X, ERROR, DAYS, 1)
    stormy = spread(X, ERROR * np.exp(rng.normal(0, 0.5, DAYS.max() + 1))[DAYS], DAYS, 1)
    assert calm["days"] == stormy["days"] == [1, 2, 4, 7, 14]
    assert calm["rmse"][0] < 0.1
    assert stormy["rmse"][0] == pytest.approx(0.5, rel=0.4)
    assert stormy["rmse"][0] > stormy["rmse"][-1]


def test_a_day_has_no_spread() -> None:
    assert spread(X[:200], ERROR[:200], DAYS[:200], 1) == {"days": [], "rmse": [], "mae": []}


def test_rows_without_an_event_time_have_no_spread() -> None:
    assert spread(X, ERROR, None, 1) == {"days": [], "rmse": [], "mae": []}


def test_few_rows_and_a_model_without_errors_are_no_fault() -> None:
    booster = learn_error_model(X[:30], np.zeros(30), 1)
    assert (booster.inplace_predict(X[:30]).round(6) == 0).any() or booster.attr("mean_squared") == "1.0"
    assert len(spread(X[:30], np.zeros(30), np.arange(30), 1)["days"]) == 5
