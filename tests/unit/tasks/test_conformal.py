from __future__ import annotations

import json
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.errors import ProblemError
from tabular_bento.tasks import Conformal, task_from_dict
from tabular_bento.tasks.conformal import least_rows

PRICE = Field("price", Kind.NUMBER, "Price", unit="EUR")
TASK = Regression(PRICE, offset="guess", interval=0.9)


@pytest.mark.parametrize(("level", "rows"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_the_quantile_counts_the_new_row_too(level: float, rows: int) -> None:
    residual = np.arange(1.0, rows + 1)
    assert least_rows(level) == rows
    assert Conformal.fit(level, residual).quantile == rows, "of the fewest rows it is the largest"
    with pytest.raises(ValueError, match=f"{rows - 1} rows, of at least {rows}"):
        Conformal.fit(level, residual[1:])
    assert Conformal.fit(0.9, np.arange(1.0, 100)).quantile == 90
    assert Conformal.fit(0.9, -np.arange(1.0, 101)).quantile == 91


def test_the_scale_of_a_row_widens_its_interval() -> None:
    residual, scale = np.array([1.0, -4.0, 9.0] * 10), np.array([1.0, 2.0, 3.0] * 10)
    found = Conformal.fit(0.9, residual, scale, floor=2.0)
    assert found.quantile == 3.0
    assert found.half_widths(np.array([0.0, 5.0]), 2).tolist() == [6.0, 15.0]
    assert Conformal.fit(0.9, residual).half_widths(None, 2).tolist() == [9.0, 9.0]
    assert Conformal.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_new_rows_are_covered_as_often_as_is_asked_for() -> None:
    random = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        scale = random.uniform(1, 5, 41)
        residual = random.standard_t(3, 41) * scale
        fitted = Conformal.fit(0.9, residual[1:], scale[1:], 0.5)
        covered.append(abs(residual[0]) <= fitted.half_widths(scale[:1], 1)[0])
    assert 0.87 <= np.mean(covered) <= 0.95


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"quantile": nan}, {"quantile": inf}, {"floor": 0.0}])
def test_numbers_that_are_no_intervals_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"interval"):
        Conformal.from_dict({"level": 0.9, "quantile": 1.0, "floor": 1.0, "rows": 9, **wrong})


def test_a_regression_with_an_interval_has_two_more_outputs() -> None:
    assert [output.name for output in TASK.outputs] == ["price", "price_lower", "price_upper"]
    assert {output.unit for output in TASK.outputs} == {"EUR"}
    assert TASK.outputs[1].description == "Lower bound of the 0.9 interval of: Price"
    outputs = TASK.decode(np.array([[1.0], [2.0]]), np.array([10.0, 20.0]))
    bounds = TASK.bounds(outputs, np.array([3.0, 4.0]))
    assert {name: values.tolist() for name, values in bounds.items()} == {
        "price_lower": [8.0, 18.0],
        "price_upper": [14.0, 26.0],
    }
    assert task_from_dict(TASK.to_dict()) == TASK


def test_without_an_interval_a_declaration_is_what_it_was() -> None:
    task = Regression(PRICE, offset="guess")
    assert task.to_dict() == {"kind": "regression", "target": PRICE.to_dict(), "offset": "guess"}
    assert (task.interval, task.bound_names, len(task.outputs)) == (None, (), 1)
    with pytest.raises(ValueError, match="has no intervals"):
        Regression(PRICE).__class__.__mro__[1].bounds(task, {}, np.empty(0))  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_a_level_that_is_none_and_names_that_are_taken_are_faults(level: float) -> None:
    fields = (Field("guess", Kind.NUMBER), Field("price_upper", Kind.NUMBER))
    with pytest.raises(ProblemError) as error:
        Problem(name="p", fields=fields, task=Regression(PRICE, interval=level))
    assert f"interval {level!r}: it must be between 0 and 1" in str(error.value)
    assert "output 'price_upper': a field of the request has that name" in str(error.value)


def test_intervals_of_a_higher_level_are_wider() -> None:
    residual = np.random.default_rng(1).normal(size=500)
    widths = [Conformal.fit(level, residual).quantile for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    assert all(one < other for one, other in pairwise(widths))
