"""Faults to inject into past rows: what a drift job must not sleep through.

Each names a field of the problem; those whose field is not declared are left out, so that another problem keeps the
rest. A fault is put into the request, and the features and predictions follow as they would in the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.backtest.past import Past
from tabular_bento.features import Extractor
from tabular_bento.scoring.predictor import Predictor

Values = NDArray[Any]


@dataclass(frozen=True)
class Shift:
    """A fault of `field`: `alter` gives the field's values anew, from those of n rows and a source of chance."""

    name: str
    field: str
    alter: Callable[[Values, np.random.Generator], Values]

    def apply(self, past: Past, predictor: Predictor, rng: np.random.Generator) -> Past:
        """The rows as they would have been logged with the fault."""
        return past.with_values(predictor, **{self.field: self.alter(past.columns[self.field], rng)})


def _missing(values: Values, rng: np.random.Generator) -> Values:
    return np.where(rng.random(len(values)) < 0.9, np.nan, values)


def _warmer(values: Values, _: np.random.Generator) -> Values:
    return values + 15


def _warmer_with_outlier(values: Values, rng: np.random.Generator) -> Values:
    altered = values + 15
    altered[rng.integers(len(values))] = 1e9
    return altered


def _frozen(values: Values, _: np.random.Generator) -> Values:
    known = values[~np.isnan(values)]
    return np.full(len(values), known[0] if len(known) else np.nan)


def _celsius(values: Values, _: np.random.Generator) -> Values:
    return (values - 32) / 1.8


def _millimetres(values: Values, _: np.random.Generator) -> Values:
    return values * 25.4


def _swapped(one: str, other: str) -> Callable[[Values, np.random.Generator], Values]:
    def swap(values: Values, _: np.random.Generator) -> Values:
        return np.where(values == one, other, np.where(values == other, one, values)).astype(object)

    return swap


SHIFTS: tuple[Shift, ...] = (
    Shift("90 % of temp missing", "temp", _missing),
    Shift("90 % of wind_dir missing", "wind_dir", _missing),
    Shift("temp 15 F higher", "temp", _warmer),
    Shift("temp 15 F higher, and one 1e9", "temp", _warmer_with_outlier),
    Shift("carriers UA and EV swapped", "carrier", _swapped("UA", "EV")),
    Shift("origins EWR and JFK swapped", "origin", _swapped("EWR", "JFK")),
    Shift("pressure frozen", "pressure", _frozen),
    Shift("wind_speed frozen", "wind_speed", _frozen),
    Shift("temp in C, not F", "temp", _celsius),
    Shift("precip in mm, not inches", "precip", _millimetres),
)


def stale(predictor: Predictor, past: Past) -> Predictor:
    """The predictor with look-up tables that were learnt from the first sixth of the rows alone, as of an old job."""
    old = past.where(np.arange(len(past)) < len(past) // 6).data
    old = old.where(old.labelled)
    problem = predictor.problem
    extractor = Extractor.fit(problem.fields, problem.features, [old.fit_data], old.tables)
    return Predictor(problem, extractor, predictor.runner)
