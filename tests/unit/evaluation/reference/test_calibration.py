"""Calibrated limits: what they are made of, and what they hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import Bins, contributions
from tabular_bento.evaluation.reference.calibration import MATERIAL, ROWS, calibrate
from tabular_bento.evaluation.reference.profile import importance, profile_columns
from tabular_bento.evaluation.reference.thresholds import Thresholds, effective_hours, spread

DAY, HOUR = 86_400, 3_600
RNG = np.random.default_rng(0)
DAYS, A_DAY = 60, 400
EVENT = np.repeat(np.arange(DAYS), A_DAY) * DAY + np.tile(np.arange(A_DAY), DAYS) * (DAY // A_DAY)
STEADY = RNG.normal(size=len(EVENT))
SEASONAL = RNG.normal(size=len(EVENT)) + 3 * np.sin(EVENT / DAY / 15)
COLUMNS = {"steady": STEADY, "seasonal": SEASONAL, "held": np.repeat(np.arange(DAYS // 3) % 9, 3 * A_DAY) * 1.0}
PROFILES = profile_columns(COLUMNS)
CALIBRATION = calibrate(COLUMNS, PROFILES, EVENT, seed=1)


def thresholds(name: str) -> Thresholds:
    return Thresholds.from_profile(CALIBRATION, name)


def test_calibration_is_plain_and_repeatable() -> None:
    again = calibrate(COLUMNS, PROFILES, EVENT, seed=1)
    assert json.dumps(again, allow_nan=False) == json.dumps(CALIBRATION)
    assert calibrate(COLUMNS, PROFILES, EVENT, seed=2) != CALIBRATION


def test_limits_fall_with_rows_and_with_days() -> None:
    seasonal = thresholds("seasonal")
    by_rows = [seasonal.index(rows, 7, MATERIAL) for rows in (500, 700, 1_000, 30_000, 1_000_000, 10_000_000)]
    by_days = [seasonal.index(5_000, days, MATERIAL) for days in (1, 7, 30, 45, 60, 1_000)]
    assert by_rows == sorted(by_rows, reverse=True)
    assert by_days == sorted(by_days, reverse=True)
    assert by_days[0] > 10 * by_days[-1]
    assert thresholds("steady").index(5_000, 1, MATERIAL) < 2 * thresholds("steady").index(5_000, 60, MATERIAL)


def test_a_window_of_all_days_is_the_reference() -> None:
    for name in COLUMNS:
        known = thresholds(name)
        assert known.usual[-1] == 0
        assert known.usual_index(DAYS) == pytest.approx(known.between * 2 / DAYS), "as other days may be unlike these"


def test_days_that_are_alike_inside_count_as_days() -> None:
    days = np.repeat(RNG.normal(size=DAYS), A_DAY) + RNG.normal(size=len(EVENT)) / 3
    columns = {"clustered": days, "steady": STEADY}
    profiles = profile_columns(columns)
    found = calibrate(columns, profiles, EVENT, seed=1)
    clustered, steady = (Thresholds.from_profile(found, name) for name in columns)
    assert clustered.between > 20 * steady.between
    bins = Bins(profiles["clustered"])
    other = np.repeat(RNG.normal(size=DAYS), A_DAY) + RNG.normal(size=len(EVENT)) / 3
    index = contributions(np.array(profiles["clustered"]["counts"]), bins.count(other)).sum()
    assert steady.index(len(other), DAYS, MATERIAL) < index < clustered.index(len(other), DAYS, MATERIAL)


def test_weeks_that_are_alike_inside_count_as_weeks() -> None:
    """Halves that share every week do not show that weeks differ; those that share none do."""
    days = 84
    event = np.repeat(np.arange(days), A_DAY) * DAY
    weekly, daily = np.repeat(RNG.normal(size=days // 7), 7 * A_DAY), np.repeat(RNG.normal(size=days), A_DAY)
    noisy = {name: values + RNG.normal(size=len(event)) / 3 for name, values in (("weekly", weekly), ("daily", daily))}
    found = calibrate(noisy, profile_columns(noisy), event, seed=1)
    by_week, by_day = (Thresholds.from_profile(found, name) for name in noisy)
    assert by_week.between > 3 * by_day.between


@pytest.mark.parametrize("rows", [500, 1_500, 20_000])
def test_chance_is_hardly_ever_exceeded(rows: int) -> None:
    bins, reference = Bins(PROFILES["steady"]), np.array(PROFILES["steady"]["counts"])
    limit = thresholds("steady").index(rows, DAYS, least=0.0)
    drawn = [bins.count(RNG.choice(STEADY, rows)) for _ in range(300)]
    scores = contributions(reference, np.stack(drawn)).sum(axis=-1)
    assert (scores > limit).mean() <= 0.01
    assert np.median(scores) > thresholds("steady").chance_of(rows) / 4


def test_the_margin_comes_from_windows_left_out() -> None:
    assert len(CALIBRATION["margin"]) == len(CALIBRATION["days"])
    assert min(CALIBRATION["margin"]) >= 1
    lone = {"steady": np.where((EVENT // DAY == 30) | (EVENT // DAY == 31), STEADY + 3, STEADY)}
    margins = calibrate(lone, profile_columns(lone), EVENT, seed=1)["margin"]
    assert margins[0] < 2, "two days of sixty, each like the other"


def test_how_long_a_column_was_constant() -> None:
    constant = {name: column["constant_days"] for name, column in CALIBRATION["columns"].items()}
    assert constant["steady"] == constant["seasonal"] == 0
    assert constant["held"] == 3
    assert thresholds("held").may_be_constant(constant["held"])
    assert not thresholds("steady").may_be_constant(1.0)


def test_missing_rise_is_seasonal_too() -> None:
    gone = np.where((EVENT // DAY) % 20 == 0, np.nan, STEADY)
    columns = {"gone": gone}
    found = Thresholds.from_profile(calibrate(columns, profile_columns(columns), EVENT, seed=1), "gone")
    assert found.missing_rise(5_000, 1, 0.05, 0.1) > 0.9
    assert found.missing_rise(5_000, DAYS, 0.05, 0.1) < 0.4, "of as many other days, some more may be without"
    assert found.missing_rise(500, DAYS, 0.05, 0.1) > found.missing_rise(50_000, DAYS, 0.05, 0.1) > 0.1


def test_texts_and_short_histories() -> None:
    texts = {"x": np.array(["a", "b", None, "a"] * 200, dtype=object)}
    profiles = profile_columns(texts)
    for days in (1, 2):
        event = np.repeat(np.arange(days), 800 // days) * DAY
        found = Thresholds.from_profile(calibrate(texts, profiles, event, seed=1), "x")
        assert 0 < found.index(500, 1, MATERIAL) < 1
        assert not found.may_be_constant(1)


def days(event: NDArray[np.int64]) -> float:
    return spread(np.unique(event // DAY, return_counts=True)[1])


def test_spread_over_days_and_hours() -> None:
    assert days(EVENT) == pytest.approx(DAYS, rel=0.01)
    assert effective_hours(EVENT) == pytest.approx(24, rel=0.01)
    assert days(np.zeros(1_000, dtype=np.int64)) == 1
    stray = np.append(np.zeros(1_000, dtype=np.int64), np.arange(5) * DAY)
    assert days(stray) < 1.1
    few = np.sort(RNG.choice(EVENT, 500))
    assert days(few) == pytest.approx(DAYS, rel=0.03)
    assert effective_hours(np.arange(6 * HOUR)) == pytest.approx(6, rel=0.01)
    assert days(np.empty(0, dtype=np.int64)) == 1


def test_calibrated_sizes_begin_where_judgement_does() -> None:
    assert CALIBRATION["rows"] == list(ROWS)
    assert CALIBRATION["days"] == sorted(set(CALIBRATION["days"]))


def test_importance_is_the_share_in_moving_the_predictions() -> None:
    features = RNG.normal(size=(3_000, 3)).astype(np.float32)
    weights = importance(lambda X: X @ np.array([2.0, 1.0, 0.0]), features, seed=0)
    assert weights == pytest.approx([0.8, 0.2, 0.0], abs=0.03)
    assert weights.sum() == pytest.approx(1)
    assert importance(lambda X: np.ones(len(X)), features, seed=0).tolist() == [1 / 3] * 3
    assert np.array_equal(weights, importance(lambda X: X @ np.array([2.0, 1.0, 0.0]), features, seed=0))
