"""Look-ups: quantities that are fitted on past rows or read from a table, and looked up by features.

Vocabulary codes, group means and counts, columns of a table, and the time zones of `zones.py` cover most problems.
Another one is a subclass of `GroupTable`, or of `Lookup`: `fit` reduces the rows of a partition, `merge` adds two such
reductions, and `finish` makes the table of the sum.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.declare import Derived
from tabular_bento.features.state import UNKNOWN, State
from tabular_bento.features.sums import ExactSums

Tables = Mapping[str, Mapping[str, NDArray[Any]]]
"""Tables beside the rows, by name: arrays of shape [rows] by column, text as objects, numbers as float64."""

NAN = float("nan")


class Key:
    """A field coded by the vocabulary of a table's column instead of by the values seen in fitting.

    Parameters
    ----------
    field : str
        The field of the request.
    table, column : str
        The table and its column whose values are coded.
    """

    def __init__(self, field: str, table: str, column: str) -> None:
        self.field = field
        self.table = table
        self.column = column

    @property
    def vocabulary(self) -> str:
        """The name of its vocabulary in the state."""
        return f"{self.table}.{self.column}"


Part = str | Key | Derived
"""What a look-up is by: a field, a field coded by a table, or a derived code."""


class Fitting(ABC):
    """What `Lookup.fit` and `finish` are given: values of n rows, and what is known of the whole fit."""

    state: State
    tables: Tables

    @abstractmethod
    def values(self, name: str) -> NDArray[Any]:
        """A field, a derived value, a column needed only for fitting, `target` or `residual`; shape [n].

        Raises
        ------
        TableError
            Where there is no such value.
        """

    @abstractmethod
    def codes(self, part: Part) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Codes of a part, shape [n], and which of them are none, where some are."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of rows."""


class Lookup(ABC):
    """A fitted quantity, read as ``row.<name>``."""

    name: str = ""
    by: tuple[Part, ...] = ()

    def named(self, name: str) -> Self:
        """The same look-up under the name of the variable that it was assigned to."""
        if self.name == name:
            return self
        lookup = copy.copy(self)
        lookup.name = name
        return lookup

    def faults(self, fields: Sequence[str], known: set[str]) -> list[str]:
        """What is wrong with it, where the request has `fields`, and `known` names are declared before it."""
        found = []
        for part in self.by:
            wanted = part.name if isinstance(part, Derived) else part.field if isinstance(part, Key) else part
            if isinstance(part, Derived) and part.size is None:
                found.append(f"look-up {self.name!r}: {wanted!r} is no code; declare it with @derived(size=...)")
            if wanted not in (known if isinstance(part, Derived) else fields):
                found.append(f"look-up {self.name!r}: there is no {wanted!r} to look up by before it")
        return found

    @abstractmethod
    def fit(self, rows: Fitting) -> Any:
        """Reduce the rows of one partition."""

    @abstractmethod
    def merge(self, one: Any, other: Any) -> Any:
        """The reduction of the rows of both."""

    @abstractmethod
    def finish(self, total: Any, fit: Fitting) -> None:
        """Write the table of the reduction of all rows into `fit.state`."""

    @abstractmethod
    def read_row(self, state: State) -> Callable[[dict[str, Any]], Any]:
        """A function from the values of one row, by name, to what the look-up is for it."""

    @abstractmethod
    def read_columns(self, state: State) -> Callable[[Any], Any]:
        """A function from the values of n rows to what the look-up is for them."""


class Vocabulary(Lookup):
    """The code of a field's value: 1 and more in the sorted order of the values seen in fitting, 0 for all others."""

    def __init__(self, field: str) -> None:
        self.by = (field,)

    @property
    def field(self) -> str:
        """The field that is coded."""
        return str(self.by[0])

    def fit(self, rows: Fitting) -> None:
        """Nothing: vocabularies are fitted before all look-ups."""

    def merge(self, one: None, other: None) -> None:
        """Nothing."""

    def finish(self, total: None, fit: Fitting) -> None:
        """Nothing."""

    def read_row(self, state: State) -> Callable[[dict[str, Any]], int]:  # noqa: ARG002
        return itemgetter(code_name(self.field))

    def read_columns(self, state: State) -> Callable[[Any], NDArray[np.int64]]:  # noqa: ARG002
        return lambda values: values.codes(self.field)[0]


class GroupTable(Lookup):
    """A number for each combination of codes. Subclasses say how it is fitted.

    Parameters
    ----------
    by : sequence
        Fields, `Key`s and derived codes that a row is looked up by.
    """

    def __init__(self, by: Sequence[Part]) -> None:
        self.by = tuple(by)

    def sizes(self, state: State) -> tuple[int, ...]:
        """The number of codes of each part, the unknown one of a vocabulary included."""
        return tuple(size_of(part, state) for part in self.by)

    def cells(self, rows: Fitting) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The cell of each row in the flat table, and whether it has one; both of shape [n]."""
        index, valid = np.zeros(rows.rows, dtype=np.int64), np.ones(rows.rows, dtype=bool)
        for part, size in zip(self.by, self.sizes(rows.state), strict=True):
            codes, none = rows.codes(part)
            index = index * size + (codes if none is None else np.where(none, 0, codes))
            if none is not None:
                valid &= ~none
        return index, valid

    def blank_unknown(self, table: NDArray[np.float64], state: State) -> NDArray[np.float64]:
        """The flat table with NaN wherever a vocabulary's code is the unknown one."""
        grid = table.reshape(self.sizes(state))
        for axis, part in enumerate(self.by):
            if not isinstance(part, Derived):
                np.moveaxis(grid, axis, 0)[UNKNOWN] = np.nan
        return grid.ravel()

    def read_row(self, state: State) -> Callable[[dict[str, Any]], float]:
        table: list[float] = state.tables[self.name].tolist()
        names = [code_name(part) for part in self.by]
        strides = _strides(self.sizes(state))

        # A derived code that is unknown is NaN, which no list has as an index.
        if len(names) == 1:
            first = names[0]

            def read(values: dict[str, Any]) -> float:
                index: int = values[first]
                try:
                    return table[index]
                except TypeError:
                    return NAN

        elif len(names) == 2:
            (first, second), stride = names, strides[0]

            def read(values: dict[str, Any]) -> float:
                index: int = values[first] * stride + values[second]
                try:
                    return table[index]
                except TypeError:
                    return NAN

        elif len(names) == 3:
            (first, second, third), (most, middle, _) = names, strides

            def read(values: dict[str, Any]) -> float:
                index: int = values[first] * most + values[second] * middle + values[third]
                try:
                    return table[index]
                except TypeError:
                    return NAN

        else:
            pairs = list(zip(names, strides, strict=True))

            def read(values: dict[str, Any]) -> float:
                index: int = 0
                for name, stride in pairs:
                    index += values[name] * stride
                try:
                    return table[index]
                except TypeError:
                    return NAN

        return read

    def read_columns(self, state: State) -> Callable[[Any], NDArray[np.float64]]:
        table, sizes = state.tables[self.name], self.sizes(state)

        def read(values: Any) -> NDArray[np.float64]:
            index: Any = None
            unknown: NDArray[np.bool_] | None = None
            for part, size in zip(self.by, sizes, strict=True):
                codes, none = values.codes(part)
                if none is not None:
                    codes = np.where(none, 0, codes)
                    unknown = none if unknown is None else unknown | none
                index = codes if index is None else index * size + codes
            found: NDArray[np.float64] = table[index]
            return found if unknown is None else np.where(unknown, np.nan, found)

        return read


class GroupMean(GroupTable):
    """The mean of a value over the fitting rows of each group, NaN for a group that has a key never seen.

    Parameters
    ----------
    of : str or Derived
        The value: a field, a derived value, a column needed only for fitting, `target` or `residual`.
    by : sequence
        What groups are formed by.
    smooth : float
        The number of rows at the overall mean that each group is mixed with (James and Stein's idea in its plainest
        form, so that a group of two rows does not stand out). With 0 a group without rows is NaN.
    """

    def __init__(self, of: str | Derived, by: Sequence[Part], smooth: float = 0.0) -> None:
        super().__init__(by)
        self.of = of.name if isinstance(of, Derived) else of
        self.smooth = float(smooth)

    def fit(self, rows: Fitting) -> dict[str, Any]:
        values = np.asarray(rows.values(self.of), dtype=np.float64)
        cells, valid = self.cells(rows)
        known = valid & ~np.isnan(values)
        size = int(np.prod(self.sizes(rows.state)))
        return {
            "counts": np.bincount(cells[known], minlength=size),
            "sums": ExactSums.of(values[known], cells[known], size),
            "keys": seen_keys(self, rows),
        }

    def merge(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        return {
            "counts": one["counts"] + other["counts"],
            "sums": one["sums"] + other["sums"],
            "keys": [a | b for a, b in zip(one["keys"], other["keys"], strict=True)],
        }

    def finish(self, total: dict[str, Any], fit: Fitting) -> None:
        counts, sums = total["counts"], total["sums"].values()
        count = int(counts.sum())
        overall = total["sums"].total() / count if count else np.nan
        with np.errstate(invalid="ignore"):
            means = (sums + self.smooth * overall) / (counts + self.smooth)
        fit.state.tables[self.name] = blank_unseen(self, self.blank_unknown(means, fit.state), total["keys"], fit.state)


class GroupCount(GroupTable):
    """The number of fitting rows of each group; NaN for a key never seen.

    Parameters
    ----------
    by : sequence
        What groups are formed by.
    per : str or Derived, optional
        Divide by the number of distinct values of this, such as days: the count becomes a rate.
    every : float
        That many of those values are one unit of the rate: 7 days a week.
    """

    def __init__(self, by: Sequence[Part], per: str | Derived | None = None, every: float = 1.0) -> None:
        super().__init__(by)
        self.per = per.name if isinstance(per, Derived) else per
        self.every = every

    def fit(self, rows: Fitting) -> dict[str, Any]:
        cells, valid = self.cells(rows)
        distinct = set() if self.per is None else set(np.unique(rows.values(self.per)).tolist())
        counts = np.bincount(cells[valid], minlength=int(np.prod(self.sizes(rows.state))))
        return {"counts": counts, "per": distinct, "keys": seen_keys(self, rows)}

    def merge(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        return {
            "counts": one["counts"] + other["counts"],
            "per": one["per"] | other["per"],
            "keys": [a | b for a, b in zip(one["keys"], other["keys"], strict=True)],
        }

    def finish(self, total: dict[str, Any], fit: Fitting) -> None:
        units = len(total["per"]) / self.every if self.per is not None else 1.0
        with np.errstate(invalid="ignore"):
            rates = total["counts"] / units if units else np.full(len(total["counts"]), np.nan)
        table = self.blank_unknown(rates, fit.state)
        fit.state.tables[self.name] = blank_unseen(self, table, total["keys"], fit.state)


class LookupTable(GroupTable):
    """A numeric column of a table, by its key; NaN for a key that the table lacks.

    Parameters
    ----------
    table : str
        The table.
    key : str
        The column that identifies its rows.
    column : str
        The column that is looked up.
    field : str, optional
        The field of the request that holds the key, where its name is another.
    """

    def __init__(self, table: str, key: str, column: str, field: str | None = None) -> None:
        super().__init__((Key(field or key, table, key),))
        self.table = table
        self.key = key
        self.column = column

    def fit(self, rows: Fitting) -> None:
        """Nothing: it depends on no rows."""

    def merge(self, one: None, other: None) -> None:
        """Nothing."""

    def finish(self, total: None, fit: Fitting) -> None:  # noqa: ARG002
        fit.state.tables[self.name] = by_code(fit, self.table, self.key, self.column)


def code_name(part: Part) -> str:
    """The name under which the code of a part is kept among the values of a row."""
    if isinstance(part, Derived):
        return part.name
    return f"{part.field}@{part.vocabulary}" if isinstance(part, Key) else f"{part}@"


def vocabulary_name(part: str | Key) -> str:
    """The name of a part's vocabulary in the state."""
    return part.vocabulary if isinstance(part, Key) else part


def size_of(part: Part, state: State) -> int:
    """The number of codes of a part."""
    if isinstance(part, Derived):
        return int(part.size or 0)
    return state.vocabularies[vocabulary_name(part)].size


def _strides(sizes: tuple[int, ...]) -> list[int]:
    strides = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    return strides


def seen_keys(lookup: GroupTable, rows: Fitting) -> list[NDArray[np.bool_]]:
    """For each part of a look-up, which of its codes some row has."""
    found = []
    for part, size in zip(lookup.by, lookup.sizes(rows.state), strict=True):
        codes, none = rows.codes(part)
        seen = np.zeros(size, dtype=bool)
        seen[codes if none is None else codes[~none]] = True
        found.append(seen)
    return found


def blank_unseen(
    lookup: GroupTable, table: NDArray[np.float64], keys: list[NDArray[np.bool_]], state: State
) -> NDArray[np.float64]:
    """The flat table with NaN wherever a field's value is one that no fitting row had."""
    grid = table.reshape(lookup.sizes(state))
    for axis, (part, seen) in enumerate(zip(lookup.by, keys, strict=True)):
        if not isinstance(part, Derived):
            np.moveaxis(grid, axis, 0)[~seen] = np.nan
    return grid.ravel()


def sorted_by_key(tables: Tables, table: str, key: str) -> dict[str, NDArray[Any]]:
    """The columns of a table in the order of its key, which is that of the key's vocabulary."""
    keys = tables[table][key]
    order = np.argsort(keys.astype(str) if keys.dtype == object else keys, kind="stable")
    return {name: np.asarray(values)[order] for name, values in tables[table].items()}


def by_code(fit: Fitting, table: str, key: str, column: str) -> NDArray[np.float64]:
    """A numeric column of a table by the code of its key, NaN for the unknown. Shape [size of the vocabulary]."""
    values = sorted_by_key(fit.tables, table, key)[column]
    return np.concatenate([[np.nan], values.astype(np.float64)])


__all__ = [
    "Fitting",
    "GroupCount",
    "GroupMean",
    "GroupTable",
    "Key",
    "Lookup",
    "LookupTable",
    "Vocabulary",
]
