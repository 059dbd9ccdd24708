"""Time zones of places, for arithmetic with local times."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TableError
from tabular_bento.features.clock import DAY, EARLIEST, LATEST, ClockTable, day_offset, exact_offset
from tabular_bento.features.lookups import Fitting, Lookup, sorted_by_key
from tabular_bento.features.state import Codes, State

NAN = float("nan")


class TimeZones(Lookup):
    """The time zones of places, for arithmetic with local times: ``row.<name>.offset(row.place, row.local_time)``.

    Parameters
    ----------
    table : str
        The table of places.
    key : str
        The column that identifies a place.
    column : str
        The column with the name of its zone in the IANA database; a place without one has no known offset.
    """

    def __init__(self, table: str, key: str, column: str) -> None:
        self.table = table
        self.key = key
        self.column = column

    @property
    def vocabulary(self) -> str:
        """The name of its vocabulary in the state."""
        return f"{self.table}.{self.key}"

    def fit(self, rows: Fitting) -> None:
        """Nothing: it depends on no rows."""

    def merge(self, one: None, other: None) -> None:
        """Nothing."""

    def finish(self, total: None, fit: Fitting) -> None:  # noqa: ARG002
        zones = [
            "" if zone is None else str(zone) for zone in sorted_by_key(fit.tables, self.table, self.key)[self.column]
        ]
        for zone in dict.fromkeys(filter(None, zones)):
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError) as error:
                raise TableError(
                    f"{self.table}.{self.column}: {zone!r} is no time zone of the IANA database."
                ) from error
        fit.state.texts[self.name] = zones

    def read_row(self, state: State) -> Callable[[dict[str, Any]], Any]:
        clocks = RowClocks(state.vocabularies[self.vocabulary], state.texts[self.name])
        return lambda _: clocks

    def read_columns(self, state: State) -> Callable[[Any], Any]:
        vocabulary = self.vocabulary
        clocks = ColumnClocks(state.texts[self.name], state.vocabularies[vocabulary].codes)
        return lambda values: clocks.of(lambda column: values.codes_of(vocabulary, column))


class RowClocks:
    """Offsets of places' clocks, for one row."""

    def __init__(self, vocabulary: Codes, zones: list[str]) -> None:
        self._zone = {key: zone for key, zone in zip(vocabulary.values, zones, strict=True) if zone}.get

    def offset(self, key: Any, local: Any) -> float:
        """Seconds by which the clock of the place is ahead of UTC at `local` on it; NaN where that is not known."""
        zone = self._zone(key)
        if zone is None or not EARLIEST <= local < LATEST:
            return NAN
        seconds = int(local)
        offset = day_offset(zone, seconds // DAY)
        return float(exact_offset(zone, seconds) if offset is None else offset)


class ColumnClocks:
    """Offsets of places' clocks, for n rows whose codes `codes` gives."""

    def __init__(self, zones: list[str], codes: Callable[[Any], NDArray[np.int64]]) -> None:
        self._clocks = ClockTable(sorted({*zones} - {""}))
        numbers = {"": -1} | {zone: number for number, zone in enumerate(self._clocks.zones)}
        self._clock_of_code = np.array([-1, *(numbers[zone] for zone in zones)], dtype=np.int64)
        self._codes = codes

    def of(self, codes: Callable[[Any], NDArray[np.int64]]) -> ColumnClocks:
        """The same for other rows."""
        clocks = copy.copy(self)
        clocks._codes = codes
        return clocks

    def offset(self, key: Any, local: NDArray[Any]) -> NDArray[np.float64]:
        """The same as of `RowClocks`, shape [n]."""
        clocks = self._clock_of_code[self._codes(key)]
        known = (clocks >= 0) & (local >= EARLIEST) & (local < LATEST)
        if known.all():
            return self._clocks.offsets(clocks, local.astype(np.int64, copy=False)).astype(np.float64)
        offsets = np.full(len(clocks), np.nan)
        offsets[known] = self._clocks.offsets(clocks[known], local[known].astype(np.int64))
        return offsets
