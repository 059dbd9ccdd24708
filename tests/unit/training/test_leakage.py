"""Columns that give the target away, in training and on the model card."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tabular_bento import Binary, Field, Kind, Problem, Regression
from tabular_bento.data import Dataset
from tabular_bento.features import FeatureSet
from tabular_bento.tasks import Task
from tabular_bento.training.card import card_of
from tabular_bento.training.config import TrainingConfig
from tabular_bento.training.leakage import explained_alone
from tabular_bento.training.limits import limits_of
from tabular_bento.training.pipeline import TrainedModel, train
from tests.unit import models

RNG = np.random.default_rng(5)
ROWS = 600
A, B = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
RENT = A + B + RNG.normal(0, 0.5, ROWS)
LEFT = RENT > 0.3

RENTS = Regression(Field("rent", Kind.NUMBER, "Rent"))
LEAVES = Binary(Field("left", Kind.BOOLEAN, "Left"))


def trained(task: Task, given: dict[str, Any], runner: str = "linear", **settings: Any) -> TrainedModel:
    """A model of numbers and texts."""
    kinds = {name: Kind.TEXT if values.dtype == object else Kind.NUMBER for name, values in given.items()}
    fields = tuple(Field(name, kind, name, optional=True) for name, kind in kinds.items())
    features = FeatureSet.of_fields(fields)
    problem = Problem(name="leaky", rows="rows", fields=fields, task=task, features=features)
    label = {task.target.name: RENT if task is RENTS else LEFT}
    config = TrainingConfig(runner=runner, resamples=200, **settings)
    return train(problem, Dataset.of_table(problem, {**given, **label}), config)


@pytest.mark.parametrize(
    ("task", "leak"),
    [
        (RENTS, RENT * 12 + RNG.normal(0, 0.1, ROWS)),
        (LEAVES, np.where(LEFT, 3.0, np.nan)),
        (LEAVES, np.where(LEFT, "moved out", "stays").astype(object)),
    ],
)
def test_a_feature_that_knows_the_label_is_warned_of_by_training_and_on_the_card(task: Task, leak: Any) -> None:
    model = trained(task, {"a": A, "b": B, "leak": leak})
    (warning,) = model.warnings
    assert warning.startswith(f"'leak' alone predicts {task.target.name!r} almost perfectly (")
    assert warning.endswith("If not, the model is not as good as it looks.")
    assert warning.split(" (")[0].replace("'", "&#39;") in card_of(model, {}).to_html()
    assert card_of(model, {}).tone == "warning"


def test_a_feature_that_is_withheld_is_not_warned_of() -> None:
    given = {"a": A, "b": B, "leak": RENT * 12}
    assert trained(RENTS, given, withheld=("leak",)).warnings == []


@pytest.mark.parametrize("task", [RENTS, LEAVES])
def test_a_good_model_is_not_warned_of(task: Task) -> None:
    assert trained(task, {"a": A, "b": B, "close": RENT + RNG.normal(0, 0.2, ROWS)}).warnings == []


def test_two_features_that_make_the_target_only_together_are_not_warned_of() -> None:
    exact = RENT - A
    assert trained(RENTS, {"a": A, "rest": exact}).warnings == []


def test_an_offset_is_no_leak() -> None:
    assert not [warning for warning in models.trained("dated").warnings if "alone" in warning]


def test_a_column_without_values_explains_nothing() -> None:
    empty = np.full(ROWS, np.nan)
    assert explained_alone(empty, RENT, number=True, category=False) < 0.1
    assert explained_alone(empty, LEFT * 1.0, number=False, category=False) <= 0.0


def test_a_category_of_each_row_explains_nothing() -> None:
    codes = np.arange(90, dtype=np.float64)
    assert explained_alone(codes, RENT[:90], number=True, category=True) < 0.1
    assert explained_alone(codes // 30, (codes // 30) % 2, number=False, category=True) == 1.0


def test_a_feature_that_makes_nearly_all_of_the_importance_is_a_limit() -> None:
    model = models.trained("parcels")
    said = "weight makes 95% of the importance: its metrics hold only if that is known before the label is."
    assert said in limits_of(model, [], {"weight": 0.95, "pieces": 0.03, "kind": 0.02})
    assert said in card_of(model, {"weight": 0.95, "pieces": 0.03, "kind": 0.02}).limits
    for importance in ({}, {"weight": 0.99, "pieces": 0.01}, {"weight": 0.8, "pieces": 0.1, "kind": 0.1}):
        assert not any("importance" in limit for limit in limits_of(model, [], importance))
