"""The split of a data set into parts: by event time where there is one, else by seed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from tabular_bento.errors import DataError
from tabular_bento.problem import Declaration, Problem

PARTS = ("train", "validation", "calibration", "test")
"""The parts of a split, in the order of their times."""

PartName = Literal["train", "validation", "calibration", "test"]

Months = tuple[str, str]

_DAYS_ENOUGH = 10
"""From so many days on, a fraction ends with a day."""


class LabelledRows(Protocol):
    """What a split looks at of n rows, as `Dataset` has it; arrays of shape [n]."""

    @property
    def problem(self) -> Problem | Declaration:
        """What the rows are rows of."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """The fields, by name."""

    @property
    def target(self) -> NDArray[Any]:
        """The labels."""

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label."""

    @property
    def event_days(self) -> NDArray[np.int64] | None:
        """The day of each row's event time; None without one."""

    def __len__(self) -> int:
        """How many rows there are."""


class Split(BaseModel):
    """Which rows are in which part: first and last month of each, as `2013-01`, or each part's share of the rows.

    Shares are taken in the order of the event time, whole days where there are days enough; without an event time rows
    are drawn by seed, the classes of a target that is no number in equal shares.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Months | float = 0.6
    """Rows to learn from."""
    validation: Months | float = 0.2
    """Rows to choose settings by; the error model learns from them too."""
    calibration: Months | float | None = None
    """Rows to calibrate predictions by; may be empty."""
    test: Months | float = 0.2
    """Rows that nothing is learnt from: metrics are measured on them."""
    seed: int = 0
    """Decides the parts where there is no event time. It is not that of training, so that models of several seeds are
    measured on the same rows, which none of them has seen."""

    @model_validator(mode="after")
    def _check(self) -> Split:
        given = {name: value for name in PARTS if (value := getattr(self, name)) is not None}
        kinds = {isinstance(value, int | float) for value in given.values()}
        if len(kinds) > 1:
            raise ValueError("give either months or fractions for all parts")
        if kinds == {True}:
            self._check_fractions(given)
        else:
            self._check_months(given)
        return self

    @staticmethod
    def _check_fractions(given: dict[str, Any]) -> None:
        for name, value in given.items():
            if not (0 < value < 1 or (name == "calibration" and value == 0)):
                raise ValueError(f"{name}: a fraction is between 0 and 1")
        if sum(given.values()) > 1 + 1e-9:
            raise ValueError("the fractions are more than 1 together")

    @staticmethod
    def _check_months(given: dict[str, Any]) -> None:
        before = ("", None)
        for name, (first, last) in given.items():
            try:
                month_range(first, last)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if before[1] is not None and first <= before[1]:
                raise ValueError(f"{name} begins in {first}, before {before[0]} ends in {before[1]}")
            before = (name, last)

    @property
    def by_months(self) -> bool:
        """Whether the parts are months."""
        return not isinstance(self.train, int | float)

    def positions(self, dataset: LabelledRows) -> dict[str, NDArray[np.int64]]:
        """The rows of each part, of those that have a label.

        Parameters
        ----------
        dataset : LabelledRows
            The data set.

        Returns
        -------
        dict
            Positions in ascending order, by name of the part.

        Raises
        ------
        DataError
            Where a part that must not be empty has no row with a label.
        """
        labelled = np.flatnonzero(dataset.labelled)
        if not len(labelled):
            name = dataset.problem.target.name
            raise DataError(f"No row has a label: {name} is missing in all {len(dataset):,} rows of the data set.")
        if self.by_months:
            found = self._of_months(dataset, labelled)
        elif dataset.event_days is not None:
            found = self._in_order(dataset, labelled)
        else:
            found = self._by_seed(dataset, labelled)
        for name in PARTS:
            if not len(found[name]) and name != "calibration":
                rows = f"{len(labelled):,} row{'' if len(labelled) == 1 else 's'}"
                raise DataError(
                    f"No row with a label is in the part {name!r} ({self._shown(name)}): check `split`; the data set "
                    f"has {rows} with a label, and training, validation and test need some each."
                )
        return found

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        return " to ".join(value) if isinstance(value, tuple) else f"{value:g} of the rows"

    def _of_months(self, dataset: LabelledRows, labelled: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        days = dataset.event_days
        if days is None:
            raise DataError("The split is by months, and the problem has no event time: give fractions in `split`.")
        found = {}
        for name in PARTS:
            months = getattr(self, name)
            if months is None:
                found[name] = labelled[:0]
                continue
            start, end = ((day - date(1970, 1, 1)).days for day in month_range(*months))
            found[name] = labelled[(days[labelled] >= start) & (days[labelled] < end)]
        return found

    def _in_order(self, dataset: LabelledRows, labelled: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        assert dataset.event_days is not None
        keys = dataset.event_days[labelled]
        if len(np.unique(keys)) < _DAYS_ENOUGH:
            keys = np.asarray(dataset.columns[str(dataset.problem.event_time)])[labelled]
        distinct, counts = np.unique(keys, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / len(labelled)
        part_of_key = np.searchsorted(self._ends(), middle, side="right")
        part = part_of_key[np.searchsorted(distinct, keys)]
        return {name: labelled[part == number] for number, name in enumerate(PARTS)}

    def _by_seed(self, dataset: LabelledRows, labelled: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        target = dataset.target[labelled]
        numeric = dataset.problem.target.kind.is_numeric
        groups = np.zeros(len(labelled), np.int64) if numeric else np.unique(target, return_inverse=True)[1]
        rng = np.random.default_rng(self.seed)
        part = np.full(len(labelled), len(PARTS), dtype=np.int64)
        for group in np.unique(groups):
            rows = rng.permutation(np.flatnonzero(groups == group))
            part[rows] = np.searchsorted(self._ends(), (np.arange(len(rows)) + 0.5) / len(rows), side="right")
        return {name: labelled[part == number] for number, name in enumerate(PARTS)}

    def _ends(self) -> NDArray[np.float64]:
        return np.cumsum([float(getattr(self, name) or 0.0) for name in PARTS])


def month_range(first: str, last: str) -> tuple[date, date]:
    """The days from the first of month `first` up to, not including, the first after month `last`, as `2013-01`.

    Raises
    ------
    ValueError
        For what is no month, and for a `first` after `last`.
    """
    start, end = (date.fromisoformat(f"{month}-01") for month in (first, last))
    if start > end:
        raise ValueError(f"the first month, {first}, is after the last, {last}")
    return start, date(end.year + end.month // 12, end.month % 12 + 1, 1)
