from __future__ import annotations

from typing import Any

import pytest

from tabular_bento.errors import ConfigError, GateError
from tabular_bento.training.gate import check_gate, check_names, limit_of
from tests.unit.models import PARCELS

THRESHOLDS = {
    "max_rmse": 16.0,
    "max_mae": 12.0,
    "min_r2": 0.825,
    "max_ratio_to_naive_baseline": 0.92,
    "warn_max_r2": 0.85,
}
GOOD = {"n": 1000, "rmse": 15.7, "mae": 11.8, "r2": 0.834, "bias": 0.1, "rmse_interval": (15.1, 16.4), "within": 0.7}
RATIOS = {"naive_baseline": 15.7 / 17.5, "ridge": 1.0}


def check(metrics: dict[str, Any], ratios: dict[str, float] = RATIOS) -> list[str]:
    return check_gate({**GOOD, **metrics}, ratios, THRESHOLDS)


def test_without_thresholds_every_model_passes() -> None:
    assert check_gate({"rmse": 1e9}, {}, {}) == []


def test_a_good_model_passes_without_a_warning() -> None:
    assert check({}) == []


def test_a_model_exactly_at_every_threshold_passes() -> None:
    assert check({"rmse": 16.0, "mae": 12.0, "r2": 0.825}, {"naive_baseline": 0.92}) == []


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        ({"rmse": 16.01}, ["RMSE 16.010 is above 16"]),
        ({"mae": 12.01}, ["MAE 12.010 is above 12"]),
        ({"r2": 0.8249}, ["R2 0.825 is below 0.825"]),
        ({"rmse": 17.0, "mae": 13.0, "r2": 0.7}, ["RMSE 17.000", "MAE 13.000", "R2 0.700"]),
    ],
)
def test_each_threshold_that_is_missed_is_named_with_its_number(missed: dict[str, float], words: list[str]) -> None:
    with pytest.raises(GateError) as error:
        check(missed)
    for word in words:
        assert word in str(error.value)
    assert str(error.value).count(";") == len(words) - 1


def test_a_model_hardly_better_than_no_model_is_refused_however_small_its_error() -> None:
    with pytest.raises(GateError, match=r"the ratio to the naive baseline 0\.950 is above 0\.92"):
        check({"rmse": 9.5}, {"naive_baseline": 0.95})


@pytest.mark.parametrize("nothing", [float("nan"), None])
def test_a_number_that_is_not_one_is_refused(nothing: float | None) -> None:
    with pytest.raises(GateError, match="RMSE nan"):
        check({"rmse": nothing})


def test_a_model_too_good_to_be_true_is_saved_with_a_warning() -> None:
    (warning,) = check({"r2": 0.851})
    assert "R2 0.851" in warning
    assert "knows the label" in warning


@pytest.mark.parametrize("name", ["rmse", "maximum_rmse", "max_", "warn_rmse", ""])
def test_a_name_that_is_no_limit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no threshold: name it max_METRIC"):
        limit_of(name)


def test_metrics_that_there_are_not_are_refused_with_those_there_are() -> None:
    baselines = ("naive_baseline", "ridge")
    check_names(THRESHOLDS, PARCELS.task, baselines)
    check_names({"max_ratio_to_ridge": 1.0, "min_within": 0.5}, PARCELS.task, baselines)
    with pytest.raises(ConfigError, match=r"gate\.min_auc: there is no metric 'auc'; there are n, rmse, mae, r2"):
        check_names({"min_auc": 0.5}, PARCELS.task, baselines)
    with pytest.raises(ConfigError, match="ratio_to_historical_baseline"):
        check_names({"max_ratio_to_historical_baseline": 0.5}, PARCELS.task, baselines)
