from __future__ import annotations

from dataclasses import replace

import pytest

from tabular_bento.errors import GateError
from tabular_bento.evaluation.metrics import RegressionMetrics
from tabular_bento.training.config import load_config
from tabular_bento.training.gate import check_gate

THRESHOLDS = load_config().gate
GOOD = RegressionMetrics(1000, 15.7, 11.8, 0.834, 0.1, 0.7, (15.1, 16.4))
ZERO_GAIN = RegressionMetrics(1000, 17.5, 13.7, 0.793, 0.1, 0.6, None)


def test_the_default_thresholds_are_those_of_the_issue() -> None:
    assert THRESHOLDS.model_dump() == {
        "max_rmse": 16.0,
        "max_mae": 12.0,
        "min_r2": 0.825,
        "max_ratio_to_zero_gain": 0.92,
        "leak_r2": 0.85,
    }


def test_a_good_model_passes_without_a_warning() -> None:
    assert check_gate(GOOD, ZERO_GAIN, THRESHOLDS) == []


def test_a_model_exactly_at_every_threshold_passes() -> None:
    model = replace(GOOD, rmse=16.0, mae=12.0, r2=0.825)
    assert check_gate(model, replace(ZERO_GAIN, rmse=16.0 / 0.92), THRESHOLDS) == []


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        ({"rmse": 16.01}, ["RMSE 16.01 is above 16.0"]),
        ({"mae": 12.01}, ["MAE 12.01 is above 12.0"]),
        ({"r2": 0.8249}, ["R2 0.825 is below 0.825"]),
        ({"rmse": 17.0, "mae": 13.0, "r2": 0.7}, ["RMSE 17.00", "MAE 13.00", "R2 0.700", "zero-gain"]),
    ],
)
def test_each_threshold_that_is_missed_is_named_with_its_number(missed: dict[str, float], words: list[str]) -> None:
    with pytest.raises(GateError) as error:
        check_gate(replace(GOOD, **missed), ZERO_GAIN, THRESHOLDS)  # type: ignore[arg-type]
    for word in words:
        assert word in str(error.value)
    assert str(error.value).count(";") == len(words) - 1


def test_a_model_hardly_better_than_no_model_is_refused_however_small_its_error() -> None:
    with pytest.raises(GateError, match=r"RMSE is 0\.950 of the zero-gain baseline's"):
        check_gate(replace(GOOD, rmse=9.5), replace(ZERO_GAIN, rmse=10.0), THRESHOLDS)


def test_a_number_that_is_not_one_is_refused() -> None:
    nothing = float("nan")
    with pytest.raises(GateError):
        check_gate(replace(GOOD, rmse=nothing, mae=nothing, r2=nothing), ZERO_GAIN, THRESHOLDS)


def test_a_model_too_good_to_be_true_is_saved_with_a_warning() -> None:
    (warning,) = check_gate(replace(GOOD, r2=0.851), ZERO_GAIN, THRESHOLDS)
    assert "R2 0.851" in warning
    assert "knows the outcome" in warning
