from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import PARTS, Dataset, Split, month_range
from tabular_bento.errors import DataError
from tests.unit.models import DATED, parcels, prices

DAY = 86_400

DAILY = Problem(
    name="daily",
    fields=(Field("day", Kind.DATE, "Day"), Field("size", Kind.NUMBER, "Size")),
    task=Regression(Field("price", Kind.NUMBER, "Price")),
    event_time="day",
)


def daily(days: Any) -> Dataset:
    """A row for each of these days since 1970."""
    days = np.asarray(days, dtype=np.int64)
    return Dataset(DAILY, {"day": days, "size": np.zeros(len(days))}, np.ones(len(days)))


def test_fractions_are_in_the_order_of_the_event_time_and_end_with_a_day() -> None:
    random = np.random.default_rng(0)
    dataset = daily(random.permutation(np.repeat(np.arange(100), 7)))
    split = dataset.split(Split(train=0.5, validation=0.2, calibration=0.1, test=0.2))
    days = {name: np.unique(dataset.columns["day"][rows]) for name, rows in split.parts.items()}

    assert list(days) == list(PARTS)
    assert np.concatenate(list(days.values())).tolist() == list(range(100))
    assert {name: len(found) for name, found in days.items()} == {
        "train": 50, "validation": 20, "calibration": 10, "test": 20,
    }  # fmt: skip
    assert all((np.diff(rows) > 0).all() for rows in split.parts.values()), "the order of the data set"


def test_without_an_event_time_the_seed_decides() -> None:
    dataset = parcels(500)
    one, again, other = (dataset.split(Split(seed=seed)).parts for seed in (1, 1, 2))

    assert all((one[name] == again[name]).all() for name in PARTS)
    assert not np.array_equal(one["train"], other["train"])
    assert sorted(np.concatenate(list(one.values())).tolist()) == np.flatnonzero(dataset.labelled).tolist()
    assert {name: len(rows) for name, rows in one.items()} == {
        "train": 270, "validation": 90, "calibration": 0, "test": 90,
    }  # fmt: skip


def test_classes_have_equal_shares_in_all_parts() -> None:
    problem = Problem(
        name="classes",
        fields=(Field("size", Kind.NUMBER, "Size"),),
        task=Regression(Field("price", Kind.NUMBER, "Price")),
    )
    object.__setattr__(problem.task, "target", Field("reply", Kind.TEXT, "Reply"))
    target = np.array(["no"] * 90 + ["yes"] * 10, dtype=object)
    parts = Dataset(problem, {"size": np.zeros(100)}, target).split(Split(train=0.5, validation=0.2, test=0.3)).parts

    assert {name: int((target[rows] == "yes").sum()) for name, rows in parts.items()} == {
        "train": 5, "validation": 2, "calibration": 0, "test": 3,
    }  # fmt: skip


def test_months_are_those_of_the_event_time() -> None:
    first = (date(2020, 1, 1) - date(1970, 1, 1)).days
    dataset = daily(np.arange(first, first + 366))
    split = dataset.split(
        Split(train=("2020-01", "2020-02"), validation=("2020-03", "2020-03"), test=("2020-11", "2020-12"))
    )

    assert {name: len(rows) for name, rows in split.parts.items()} == {
        "train": 60, "validation": 31, "calibration": 0, "test": 61,
    }  # fmt: skip


def test_a_part_without_a_row_is_reported() -> None:
    months = Split(train=("2017-01", "2021-01"), validation=("2031-01", "2031-02"), test=("2031-03", "2031-03"))
    with pytest.raises(DataError, match=r"part 'validation' \(2031-01 to 2031-02\)"):
        prices(DATED).split(months)
    with pytest.raises(DataError, match="no event time"):
        parcels().split(months)


def test_rows_of_few_times_are_split_by_the_time_itself() -> None:
    dataset = prices(DATED)
    dataset.columns["opened"][:] = np.arange(len(dataset)) * 60  # type: ignore[index]
    parts = dataset.split(Split()).parts
    assert {name: len(rows) for name, rows in parts.items()} == {
        "train": 180, "validation": 60, "calibration": 0, "test": 60,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0.9}, "more than 1"),
        ({"train": 0.0}, "between 0 and 1"),
        ({"train": ("2020-01", "2020-02")}, "either months or fractions"),
        (
            {"train": ("2020-01", "2020-13"), "validation": ("2021-01", "2021-01"), "test": ("2022-01", "2022-01")},
            "train",
        ),
        (
            {"train": ("2020-01", "2020-05"), "validation": ("2020-05", "2020-06"), "test": ("2022-01", "2022-01")},
            "validation begins in 2020-05, before train ends",
        ),
        ({"rest": 0.1}, "rest"),
    ],
)
def test_what_is_no_split_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Split.model_validate(values)


def test_month_range() -> None:
    assert month_range("2013-01", "2013-06") == (date(2013, 1, 1), date(2013, 7, 1))
    assert month_range("2013-09", "2013-12") == (date(2013, 9, 1), date(2014, 1, 1))
    with pytest.raises(ValueError, match="month must be in"):
        month_range("2013-01", "2013-13")
    with pytest.raises(ValueError, match="the first month, 2013-02, is after the last, 2013-01"):
        month_range("2013-02", "2013-01")
