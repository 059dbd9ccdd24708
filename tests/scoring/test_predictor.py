from __future__ import annotations

import numpy as np
import pytest

from features.columns import columns_of
from features.definition import EXAMPLE
from features.functions import FEATURE_NAMES
from tabular_bento.errors import PredictionError
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tests.rows import from_json


class Fixed:
    """A runner that answers what it is told to, and counts how often it is asked."""

    kind = "fixed"
    file = "none"

    def __init__(self, gain: list[float]) -> None:
        self.gain = np.array(gain)
        self.calls = 0

    def predict(self, _: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self.gain


def predictor_of(package: ModelPackage, runner: Fixed) -> Predictor:
    return Predictor(package.predictor.extractor, runner)  # type: ignore[arg-type]


def test_no_rows_need_no_model(package: ModelPackage) -> None:
    runner = Fixed([])
    predictions = predictor_of(package, runner).predict([])

    assert predictions.features.shape == (0, len(FEATURE_NAMES))
    assert predictions.features.dtype == np.float32
    assert predictions.target.shape == (0,)
    assert runner.calls == 0


def test_the_known_part_is_added_to_the_gain_that_the_model_predicts(package: ModelPackage) -> None:
    rows = from_json({**EXAMPLE, "dep_delay": 100.0}, {**EXAMPLE, "dep_delay": -5.5})
    assert predictor_of(package, Fixed([-10.0, 0.25])).predict(rows).target.tolist() == [90.0, -5.25]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_finite_number_does_not_leave(package: ModelPackage, bad: float) -> None:
    predictor = predictor_of(package, Fixed([1.0, bad]))
    with pytest.raises(PredictionError, match="row 1"):
        predictor.predict(from_json(EXAMPLE, EXAMPLE))


@pytest.mark.parametrize("gain", [[], [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], [[1.0], [2.0]]])
def test_a_wrong_number_of_answers_does_not_leave(package: ModelPackage, gain: list[float]) -> None:
    predictor = predictor_of(package, Fixed(gain))
    with pytest.raises(PredictionError, match="for 2 rows"):
        predictor.predict(from_json(EXAMPLE, EXAMPLE))


def test_rows_and_columns_give_the_same_bits(package: ModelPackage) -> None:
    rows = from_json(*({**EXAMPLE, "dep_delay": float(delay)} for delay in range(40)))
    by_rows = package.predictor.predict(rows)
    by_columns = package.predictor.predict_columns(columns_of(rows))

    assert by_rows.target.tobytes() == by_columns.target.tobytes()
    assert by_rows.features.tobytes() == by_columns.features.tobytes()
