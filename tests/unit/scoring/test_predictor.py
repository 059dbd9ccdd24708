from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import PredictionError
from tabular_bento.features import ColumnRows, Extractor, State
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import OneByOne
from tests.unit import models
from tests.unit.several import RENTS


class Fixed:
    """A runner that gives what it was made to give, and counts how often it is asked."""

    kind = "fixed"
    takes = "matrix"
    exact = True
    tolerance = 0.0
    distribution = "none"

    def __init__(self, scores: Any) -> None:
        self.scores = np.array(scores, dtype=np.float64)
        self.calls = 0

    def predict(self, _: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self.scores


def predictor_of(runner: Any, name: str = "prices") -> Predictor:
    model = models.trained(name)
    return Predictor(model.problem, model.predictor.extractor, runner)


def rows(count: int, name: str = "prices") -> list[Any]:
    model = models.trained(name)
    return rows_of(model.parts["test"].columns, model.problem.field_names)[:count]


def test_no_rows_need_no_model() -> None:
    runner = Fixed([])
    for predictions in (
        predictor_of(runner).predict([]),
        predictor_of(runner).predict_columns(models.prices().where(slice(0, 0)).columns),
    ):
        assert predictions.features.shape == (0, len(models.PRICES.feature_names))
        assert predictions.features.dtype == np.float32
        assert predictions.value.shape == (0,)
        assert len(predictions) == 0
    assert runner.calls == 0


def test_the_offset_is_added_to_the_score() -> None:
    guess = models.PRICES.field_names.index("guess")
    changed = [tuple(float(number) if place == guess else value for place, value in enumerate(row))
               for number, row in zip((100.0, -5.5), rows(2), strict=True)]  # fmt: skip
    predictions = predictor_of(Fixed([[-10.0], [0.25]])).predict(changed)
    assert predictions.value.tolist() == [90.0, -5.25]
    assert list(predictions.outputs) == ["price"]


def test_without_an_offset_the_score_is_the_prediction() -> None:
    assert predictor_of(Fixed([[-10.0], [0.25]]), "parcels").predict(rows(2, "parcels")).value.tolist() == [-10.0, 0.25]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_finite_number_does_not_leave(bad: float) -> None:
    with pytest.raises(PredictionError, match=r"predicted price .* for row 1"):
        predictor_of(Fixed([[1.0], [bad]])).predict(rows(2))


@pytest.mark.parametrize(
    "scores", [[], [1.0], [1.0, 2.0], [[1.0], [2.0], [3.0]], [[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]]]
)
def test_a_wrong_number_of_scores_does_not_leave(scores: Any) -> None:
    with pytest.raises(PredictionError, match="for 2 rows"):
        predictor_of(Fixed(scores)).predict(rows(2))


@pytest.mark.parametrize("name", ["prices", "parcels", "dated"])
def test_rows_columns_and_rows_held_as_columns_give_the_same_bits(name: str) -> None:
    model = models.trained(name)
    columns = model.parts["test"].columns
    by_rows = model.predictor.predict(rows_of(columns, model.problem.field_names))
    for other in (
        model.predictor.predict_columns(columns),
        model.predictor.predict(ColumnRows(columns, model.problem.field_names)),
    ):
        assert by_rows.value.tobytes() == other.value.tobytes()
        assert by_rows.features.tobytes() == other.features.tobytes()


@pytest.mark.parametrize("name", ["prices", "parcels"])
def test_a_row_s_prediction_does_not_depend_on_its_batch(name: str) -> None:
    predictor, batch = models.trained(name).predictor, rows(40, name)
    alone = np.concatenate([predictor.predict([row]).value for row in batch])
    order = np.random.default_rng(0).permutation(len(batch))
    assert predictor.predict(batch).value.tobytes() == alone.tobytes()
    assert predictor.predict([batch[place] for place in order]).value.tobytes() == alone[order].tobytes()


class Uneven(Fixed):
    """A runner whose scores depend on the batch."""

    exact = False

    def predict(self, X: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.full((len(X), 1), float(len(X)))


def test_rows_of_a_runner_that_is_not_exact_are_scored_one_by_one() -> None:
    runner = Uneven([])
    predictor = predictor_of(runner, "parcels")
    assert isinstance(predictor.runner, OneByOne)
    assert predictor.predict(rows(5, "parcels")).value.tolist() == [1.0] * 5
    assert runner.calls == 5
    assert predictor.runner.kind == "fixed"


RENT = ("Ulm", None, 71.5, np.nan, 3, np.nan, 7, np.nan, 1, np.nan, 10, np.nan, 60, np.nan, 10, np.nan)
"""A row of `RENTS` without its optional values."""


def test_several_outputs_are_in_their_order_and_checked() -> None:
    extractor = Extractor(RENTS.fields, RENTS.features, State())
    good = Predictor(RENTS, extractor, Fixed([[1.0, 0.25], [2.0, 0.75]])).predict([RENT, RENT])
    assert list(good.outputs) == [output.name for output in RENTS.outputs]
    assert good.value.tolist() == [1.0, 2.0]
    assert good.outputs["probability"].shape == (2, 2)
    with pytest.raises(PredictionError, match=r"predicted rent_upper nan for row 0"):
        Predictor(RENTS, extractor, Fixed([[1.0, np.nan], [2.0, 0.75]])).predict([RENT, RENT])
