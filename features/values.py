"""The fields of one row, or of a column of rows, with the codes and clocks that features are written in.

`RowValues` holds numbers and `ColumnValues` holds arrays of shape [n] under the same names, so that a feature function,
plain arithmetic and table look-ups, is written once and gives the same bits for a row alone and for a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import FIELD_NAMES
from features.state import UNKNOWN, State, Vocabulary
from tabular_bento.features.clock import DAY, EARLIEST, LATEST, utc_offset, utc_offsets

NAN = float("nan")

Row = tuple[Any, ...]
"""One validated row: the values of `definition.FIELDS` in order. Missing text is None, a missing number is NaN."""

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""The same for n rows: a sequence of n values per field."""


class Values:
    """What both forms share. Codes are integers, times are seconds, `UNKNOWN` and NaN stand for the unknown."""

    def __init__(self, state: State, fields: dict[str, Any], tables: Mapping[str, Any]) -> None:
        self.__dict__.update(fields)
        self.tables = tables
        vocabularies = state.vocabularies
        self.origin_count = vocabularies["origin"].size
        self.dest_count = vocabularies["dest"].size
        self.airport_count = vocabularies["airport"].size
        self.carrier_code = self._code(vocabularies["carrier"], self.carrier)
        self.origin_code = self._code(vocabularies["origin"], self.origin)
        self.dest_code = self._code(vocabularies["dest"], self.dest)
        self.plane_code = self._code(vocabularies["tailnum"], self.tailnum)
        self.airport_code = self._code(vocabularies["airport"], self.dest)
        origin_airport = self._code(vocabularies["airport"], self.origin)
        departure = self.sched_dep - self._offset(state, origin_airport, self.sched_dep)
        arrival = self.sched_arr - self._offset(state, self.airport_code, self.sched_arr)
        self.block = (arrival - departure) / 60
        self.hour = self.sched_dep % DAY // 3600
        self.day_of_week = (self.sched_dep // DAY + 3) % 7
        self.route = self.origin_code * self.dest_count + self.dest_code
        self.carrier_route = self.carrier_code * (self.origin_count * self.dest_count) + self.route

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is neither a field of features/definition.py nor derived in features/values.py")

    def _code(self, vocabulary: Vocabulary, value: Any) -> Any:
        raise NotImplementedError

    def _offset(self, state: State, airport: Any, local: Any) -> Any:
        """Seconds by which the clock of `airport` is ahead of UTC at `local`; NaN where it is not known."""
        raise NotImplementedError


class RowValues(Values):
    """One row. `tables` are lists, which index faster than arrays do."""

    def __init__(self, state: State, tables: Mapping[str, list[float]], row: Row) -> None:
        super().__init__(state, dict(zip(FIELD_NAMES, row, strict=True)), tables)

    def _code(self, vocabulary: Vocabulary, value: str | None) -> int:
        return vocabulary.code(value)

    def _offset(self, state: State, airport: int, local: int) -> float:
        if airport == UNKNOWN or not EARLIEST <= local < LATEST:
            return NAN
        return float(utc_offset(state.zones[airport - 1], local))


class ColumnValues(Values):
    """n rows at once; every value is an array of shape [n]."""

    def __init__(self, state: State, columns: Columns) -> None:
        super().__init__(state, dict(columns), state.tables)

    def _code(self, vocabulary: Vocabulary, value: Sequence[str | None]) -> NDArray[np.int64]:
        return vocabulary.codes(value)

    def _offset(self, state: State, airport: NDArray[np.int64], local: NDArray[np.int64]) -> NDArray[np.float64]:
        known = (airport != UNKNOWN) & (local >= EARLIEST) & (local < LATEST)
        clocks = state.clock_of_airport[np.where(known, airport - 1, 0)]
        offsets = utc_offsets(state.clocks, clocks, np.where(known, local, 0))
        return np.where(known, offsets, NAN)
