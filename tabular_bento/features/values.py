"""The values that features see: of one row as numbers, or of n rows as arrays of shape [n], under the same names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TableError
from tabular_bento.features.columns import Columns, Row
from tabular_bento.features.declare import Derived
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.lookups import Fitting, Key, Lookup, Part, Tables, code_name, vocabulary_name
from tabular_bento.features.state import UNKNOWN, State
from tabular_bento.schema import Field

NAN = float("nan")

ColumnStep = tuple[str, Callable[[Any], Any]]


class RowValues:
    """One row. Attributes are its fields, then the shared values.

    It has no `__getattr__`, with which every attribute would be slow: `unknown_value` says more of one that is missing.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = values


class RowPlan:
    """Makes `RowValues`: the codes and shared values of a feature set over a fitted state, in their order."""

    def __init__(self, fields: Sequence[Field], features: FeatureSet, state: State) -> None:
        self._names = tuple(field.name for field in fields)
        self._codes = [
            (name, part.field if isinstance(part, Key) else part, state.vocabularies[vocabulary_name(part)].known.get)
            for name, part in _coded(features).items()
        ]
        self._runs: list[tuple[bool, list[tuple[str, Callable[[Any], Any]]]]] = []
        for item in features.shared:
            if isinstance(item, Derived):
                if not item.fitting:
                    self._add(True, item.name, _row_code(item) if item.size else item.compute)
            else:
                self._add(False, item.name, item.read_row(state))

    def _add(self, derives: bool, name: str, step: Callable[[Any], Any]) -> None:
        """Add a step; those in a row that are given the same are run in one loop."""
        if not self._runs or self._runs[-1][0] is not derives:
            self._runs.append((derives, []))
        self._runs[-1][1].append((name, step))

    def __call__(self, row: Row) -> RowValues:
        values = dict(zip(self._names, row, strict=True))
        for name, field, code in self._codes:
            values[name] = code(values[field], UNKNOWN)
        result = RowValues(values)
        for derives, steps in self._runs:
            given: Any = result if derives else values
            for name, step in steps:
                values[name] = step(given)
        return result


class _Coded:
    """Codes of columns, each computed once."""

    _state: State
    _found: dict[Any, tuple[NDArray[np.int64], NDArray[np.bool_] | None]]

    def codes(self, part: Part) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Codes of a part, shape [n], and which of them are none, where some are."""
        if not isinstance(part, Derived):
            column = self.__dict__[part.field if isinstance(part, Key) else part]
            return self.codes_of(vocabulary_name(part), column), None
        if part.name not in self._found:
            self._found[part.name] = _derived_codes(part, np.asarray(self.__dict__[part.name]))
        return self._found[part.name]

    def codes_of(self, vocabulary: str, column: Any) -> NDArray[np.int64]:
        """Codes of a column of these rows by a vocabulary of the state, shape [n]."""
        key = vocabulary, id(column)
        if key not in self._found:
            self._found[key] = self._state.vocabularies[vocabulary].codes(column), None
        return self._found[key][0]


class ColumnValues(_Coded):
    """n rows. Attributes are their fields, then the shared values, arrays of shape [n].

    Parameters
    ----------
    columns : Columns
        The fields.
    steps : sequence
        What `column_steps` gives: the shared values, evaluated in their order.
    state : State
        The fitted state.
    """

    def __init__(self, columns: Columns, steps: Sequence[ColumnStep], state: State) -> None:
        self.__dict__.update(columns)
        self._state = state
        self._found = {}
        for name, step in steps:
            self.__dict__[name] = step(self)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(_unknown(name))


def column_steps(features: FeatureSet, state: State) -> list[ColumnStep]:
    """The shared values of a feature set over a fitted state, by name, in their order."""
    return [
        (item.name, item.compute if isinstance(item, Derived) else item.read_columns(state))
        for item in features.shared
        if not (isinstance(item, Derived) and item.fitting)
    ]


class FittingValues(_Coded, Fitting):
    """n rows of a partition while look-ups are fitted, one after the other.

    Parameters
    ----------
    columns : Columns
        The fields.
    fit_columns : Columns
        Columns needed only for fitting, with `target` and `residual`.
    tables : Tables
        Tables beside the rows.
    state : State
        The state, which grows as look-ups are finished.
    """

    def __init__(self, columns: Columns, fit_columns: Columns, tables: Tables, state: State) -> None:
        self.__dict__.update(columns)
        self.__dict__.update({name: np.asarray(values) for name, values in fit_columns.items()})
        self.tables = tables
        self.state = self._state = state
        self._rows = len(next(iter(columns.values())))
        self._found = {}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{_unknown(name)}, nor a column that the source provides for fitting")

    @property
    def rows(self) -> int:
        return self._rows

    def values(self, name: str) -> NDArray[Any]:
        if name not in self.__dict__:
            raise TableError(
                f"A look-up is fitted on {name!r}, which is no field, derived value or column that the source provides "
                "for fitting (`fit_columns`)."
            )
        return np.asarray(self.__dict__[name])

    def derive(self, item: Derived) -> None:
        """Evaluate a derived value."""
        self.__dict__[item.name] = item.compute(self)

    def read(self, lookup: Lookup) -> None:
        """Evaluate a finished look-up."""
        self.__dict__[lookup.name] = lookup.read_columns(self.state)(self)


def _coded(features: FeatureSet) -> dict[str, str | Key]:
    """The parts that need a vocabulary's code, by the names of the codes."""
    return {code_name(part): part for lookup in features.lookups for part in lookup.by if not isinstance(part, Derived)}


def _row_code(item: Derived) -> Callable[[Any], Any]:
    """A derived code of one row: an integer in its range, or NaN."""
    compute, size = item.compute, int(item.size or 0)

    def code(row: Any) -> Any:
        value = compute(row)
        if not 0 <= value < size:
            return NAN
        return value if type(value) is int else int(value)

    return code


def _derived_codes(item: Derived, found: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    size = int(item.size or 0)
    if found.dtype.kind == "i" and (not len(found) or (found.min() >= 0 and found.max() < size)):
        return found, None
    none = ~((found >= 0) & (found < size))
    return np.where(none, 0, found).astype(np.int64), none if none.any() else None


def unknown_value(error: AttributeError) -> AttributeError:
    """The error for a value that a feature reads of a row and that there is not; others are as they are."""
    return AttributeError(_unknown(str(error.name))) if isinstance(error.obj, RowValues) else error


def _unknown(name: str) -> str:
    return f"{name!r} is neither a field of the problem nor a value that the features declare before this one"
