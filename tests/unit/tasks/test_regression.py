from __future__ import annotations

import numpy as np
import pytest

from tabular_bento import Field, Kind, Regression
from tabular_bento.tasks import task_from_dict

PRICE = Field("price", Kind.NUMBER, "Price", unit="EUR")


def test_the_offset_is_taken_from_the_target_and_added_to_the_score() -> None:
    task = Regression(PRICE, offset="guess")
    target, offset = np.array([3.0, 5.0]), np.array([1.0, 1.5])

    learnt = task.encode(target, offset)

    assert learnt.tolist() == [2.0, 3.5]
    assert task.decode(learnt[:, None], offset)["price"].tolist() == target.tolist()
    assert Regression(PRICE).encode(target, None).tolist() == target.tolist()


def test_a_task_survives_json() -> None:
    task = Regression(PRICE, offset="guess")
    assert task_from_dict(task.to_dict()) == task
    assert task_from_dict(Regression(PRICE).to_dict()) == Regression(PRICE)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ValueError, match="'ranking' is unknown; there are regression"):
        task_from_dict({"kind": "ranking"})


def test_its_one_output_is_the_target() -> None:
    (output,) = Regression(PRICE).outputs
    assert (output.name, output.columns, output.tensor_name, output.unit) == ("price", ("price",), "price", "EUR")


def test_the_summary_of_a_prediction_is_the_prediction() -> None:
    task = Regression(PRICE)
    assert task.summary(task.decode(np.array([[2.5]]))).tolist() == [2.5]
