"""The fields of one row, or of a column of rows, with the codes and clocks that features are written in.

`RowValues` holds numbers and `ColumnValues` holds arrays of shape [n] under the same names, so that a feature function,
plain arithmetic and table look-ups, is written once and gives the same bits for a row alone and for a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.timezones import DAY, EARLIEST, LATEST, utc_offset, utc_offsets
from features.definition import FIELD_NAMES
from features.state import UNKNOWN, State

NAN = float("nan")

Row = tuple[Any, ...]
"""One validated row: the values of `definition.FIELDS` in order. Missing text is None, a missing number is NaN."""

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""The same for n rows: a sequence of n values per field."""


class Values:
    """What both forms share. Codes are integers, times are seconds, `UNKNOWN` and NaN stand for the unknown."""

    def __init__(self, state: State, fields: dict[str, Any], tables: Mapping[str, Any]) -> None:
        vocabularies = state.vocabularies
        self.__dict__.update(fields)
        self.tables = tables
        self.origin_count = vocabularies["origin"].size
        self.dest_count = vocabularies["dest"].size
        self.airport_count = vocabularies["airport"].size

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is neither a field of features/definition.py nor derived in features/values.py")

    def derive(self) -> None:
        """Quantities that several features are made of; needs the codes and the offsets from UTC."""
        self.hour = self.sched_dep % DAY // 3600
        self.day_of_week = (self.sched_dep // DAY + 3) % 7
        self.route = self.origin_code * self.dest_count + self.dest_code
        self.carrier_route = self.carrier_code * (self.origin_count * self.dest_count) + self.route
        self.block = ((self.sched_arr - self.arr_offset) - (self.sched_dep - self.dep_offset)) / 60


class RowValues(Values):
    """One row. `tables` are lists, which index faster than arrays do."""

    def __init__(self, state: State, tables: Mapping[str, list[float]], row: Row) -> None:
        super().__init__(state, dict(zip(FIELD_NAMES, row, strict=True)), tables)
        vocabularies = state.vocabularies
        self.carrier_code = vocabularies["carrier"].code(self.carrier)
        self.origin_code = vocabularies["origin"].code(self.origin)
        self.dest_code = vocabularies["dest"].code(self.dest)
        self.plane_code = vocabularies["tailnum"].code(self.tailnum)
        self.airport_code = vocabularies["airport"].code(self.dest)
        self.dep_offset = self._offset(state, vocabularies["airport"].code(self.origin), self.sched_dep)
        self.arr_offset = self._offset(state, self.airport_code, self.sched_arr)
        self.derive()

    def _offset(self, state: State, airport: int, local: int) -> float:
        if airport == UNKNOWN or not EARLIEST <= local < LATEST:
            return NAN
        return float(utc_offset(state.zones[airport - 1], local))


class ColumnValues(Values):
    """n rows at once; every value is an array of shape [n]."""

    def __init__(self, state: State, columns: Columns) -> None:
        super().__init__(state, dict(columns), state.tables)
        vocabularies = state.vocabularies
        self.carrier_code = vocabularies["carrier"].codes(self.carrier)
        self.origin_code = vocabularies["origin"].codes(self.origin)
        self.dest_code = vocabularies["dest"].codes(self.dest)
        self.plane_code = vocabularies["tailnum"].codes(self.tailnum)
        self.airport_code = vocabularies["airport"].codes(self.dest)
        self.dep_offset = self._offsets(state, vocabularies["airport"].codes(self.origin), self.sched_dep)
        self.arr_offset = self._offsets(state, self.airport_code, self.sched_arr)
        self.derive()

    def _offsets(self, state: State, airports: NDArray[np.int64], local: NDArray[np.int64]) -> NDArray[np.float64]:
        known = (airports != UNKNOWN) & (local >= EARLIEST) & (local < LATEST)
        zones = np.where(known, airports - 1, 0)
        offsets = utc_offsets(state.zones, zones, np.where(known, local, 0))
        return np.where(known, offsets, NAN)
