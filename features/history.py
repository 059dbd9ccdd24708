"""The look-up tables of the extractor: reference data, and means over past flights.

Everything here runs at fitting only; what it learns is looked up by the functions of `features/functions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import KNOWN_PART, TARGET
from features.functions import DAYS, HOURS
from features.state import UNKNOWN, State, Vocabulary
from features.values import Columns, ColumnValues
from tabular_bento.features.clock import DAY

EARTH_RADIUS_MILES = 3958.8
HISTORY_FIELDS: tuple[str, ...] = (TARGET.name, "air_time")
"""Columns that fitting needs beside the fields of a request; both float64, NaN where it never came to be."""


References = Mapping[str, Mapping[str, NDArray[Any]]]
"""The tables that requests are looked up in, `planes` and `airports`: arrays by column, an element a row."""


def learn(columns: Columns, history: Columns, references: References, shrinkage: float) -> State:
    """The state of an extractor fitted on n past rows.

    `columns` holds the request fields and `history` the columns of `HISTORY_FIELDS`, arrays of shape [n]. `shrinkage`
    is the number of flights at the overall mean that each mean gain is mixed with (James and Stein's idea in its
    plainest form), so that a route flown twice does not shout.
    """
    airports = _by_code(references["airports"], "faa")
    planes = _by_code(references["planes"], "tailnum")
    state = State(
        vocabularies={
            "carrier": Vocabulary(columns["carrier"]),
            "origin": Vocabulary(columns["origin"]),
            "dest": Vocabulary(columns["dest"]),
            "airport": airports.vocabulary,
            "tailnum": planes.vocabulary,
        },
        zones=[str(zone) for zone in airports.columns["tzone"]],
    )
    state.tables["plane_year"] = planes.table("year")
    state.tables["plane_seats"] = planes.table("seats")
    state.tables["distance"] = _distances(state, airports)
    _learn_history(state, columns, history, shrinkage)
    return state


@dataclass(frozen=True)
class _Reference:
    vocabulary: Vocabulary
    columns: dict[str, NDArray[Any]]

    def table(self, column: str) -> NDArray[np.float64]:
        """The column by code, NaN for the unknown. Shape [size of the vocabulary]."""
        return np.concatenate([[np.nan], self.columns[column].astype(np.float64)])


def _by_code(reference: Mapping[str, Any], key: str) -> _Reference:
    order = np.argsort(np.asarray(reference[key], dtype=str), kind="stable")
    columns = {name: np.asarray(values)[order] for name, values in reference.items()}
    return _Reference(Vocabulary(columns[key]), columns)


def _distances(state: State, airports: _Reference) -> NDArray[np.float64]:
    """Haversine distance in miles from each origin to each airport, flat [origins * airports]."""
    latitude, longitude = np.radians(airports.table("lat")), np.radians(airports.table("lon"))
    start = np.array([0, *map(airports.vocabulary.code, state.vocabularies["origin"].values)])
    lat, lon = latitude[start][:, None], longitude[start][:, None]
    half = np.sin((latitude - lat) / 2) ** 2 + np.cos(lat) * np.cos(latitude) * np.sin((longitude - lon) / 2) ** 2
    miles: NDArray[np.float64] = (2 * EARTH_RADIUS_MILES * np.arcsin(np.sqrt(half))).ravel()
    return miles


def _learn_history(state: State, columns: Columns, history: Columns, shrinkage: float) -> None:
    values = ColumnValues(state, columns)
    carriers, origins, dests = (state.vocabularies[name].size for name in ("carrier", "origin", "dest"))
    gain = np.asarray(history[TARGET.name]) - np.asarray(columns[KNOWN_PART])
    air_time = np.asarray(history["air_time"])
    ground_time = values.block + gain - air_time
    origin_hour = values.origin_code * HOURS + values.hour
    day_hour = (values.origin_code * DAYS + values.day_of_week) * HOURS + values.hour
    weeks = len(np.unique(values.sched_dep // DAY)) / DAYS

    tables = state.tables
    tables["block_by_carrier_route"] = _means(values.carrier_route, values.block, (carriers, origins, dests))
    tables["air_time_by_route"] = _means(values.route, air_time, (origins, dests))
    tables["taxi_by_origin_hour"] = _means(origin_hour, ground_time, (origins,), HOURS)
    tables["departures_by_hour"] = np.bincount(day_hour, minlength=origins * DAYS * HOURS) / weeks
    tables["departures_by_hour"][: DAYS * HOURS] = np.nan
    tables["gain_by_carrier_route"] = _means(values.carrier_route, gain, (carriers, origins, dests), 1, shrinkage)
    tables["gain_by_carrier_hour"] = _means(
        values.carrier_code * HOURS + values.hour, gain, (carriers,), HOURS, shrinkage
    )
    tables["gain_by_dest"] = _means(values.dest_code, gain, (dests,), 1, shrinkage)


def _means(
    cells: NDArray[np.int64],
    values: NDArray[np.float64],
    codes: tuple[int, ...],
    hours: int = 1,
    shrinkage: float = 0.0,
) -> NDArray[np.float64]:
    """Mean of `values` per cell, shrunk towards the overall mean; NaN where a code is unknown or no value was seen.

    Cells are numbered in C order over `codes`, the sizes of the vocabularies, and then `hours`. Flat, of that size.
    """
    known = ~np.isnan(values)
    size = int(np.prod(codes)) * hours
    counts = np.bincount(cells[known], minlength=size)
    sums = np.bincount(cells[known], weights=values[known], minlength=size)
    overall = float(values[known].mean()) if known.any() else np.nan
    with np.errstate(invalid="ignore"):
        means = (sums + shrinkage * overall) / (counts + shrinkage)
    grid = means.reshape(*codes, hours)
    for axis in range(len(codes)):
        np.moveaxis(grid, axis, 0)[UNKNOWN] = np.nan
    return grid.ravel()
