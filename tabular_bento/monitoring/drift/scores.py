"""The score of each column of a window against the reference, and what moved, in plain words."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabular_bento.evaluation.reference.bins import MISSING, OTHER, contributions, middle, noise
from tabular_bento.evaluation.reference.package import ReferenceColumn
from tabular_bento.monitoring.drift.checks import UNREADABLE
from tabular_bento.monitoring.drift.result import Column, Histogram
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.counts import Tally
from tabular_bento.monitoring.window.data import WindowData

METHOD = "psi"


def score_columns(
    columns: tuple[ReferenceColumn, ...], data: WindowData, days: float, settings: DriftSettings
) -> list[Column]:
    """Every column of the reference, from the most to the least drifted; unreadable ones come first."""
    scored = [
        score(column, data.tallies[column.name], days, settings)
        if column.name in data.tallies
        else _column(column, UNREADABLE[data.unreadable[column.name]].format(kind=column.kind))
        for column in columns
    ]
    return sorted(scored, key=lambda column: -np.inf if column.excess is None else -column.excess)


def score(column: ReferenceColumn, tally: Tally, days: float, settings: DriftSettings) -> Column:
    """The column's index on the reference's bins; without rows in the window, its score is None.

    Its threshold is the calibrated one for the window's number of rows, spread over `days` days.
    """
    n, own, fixed = tally.n, settings.column(column.name), settings.psi_limit(column.name)
    if not n:
        return _column(column, "no rows")
    measured: dict[str, Any] = {
        "n": n,
        "missing": tally.missing,
        "out_of_range": tally.other,
        "healthy": tally.missing < 1 and not tally.infinite and not tally.constant,
    }
    if not column.rows:
        return _column(column, "no rows", **measured)
    parts = contributions(column.counts, tally.counts)
    index = float(parts.sum())
    measured |= {
        "score": index,
        "usual": column.thresholds.usual_index(days),
        "noise": float(noise(column.counts, tally.counts)),
        "histogram": _histogram(column, tally),
    }
    if settings.ignores(column.name):
        return _column(column, "the settings ignore it", **measured)
    before = _missing_before(column)
    threshold = fixed or column.thresholds.index(n, days, own.psi_floor)
    measured |= {
        "threshold": threshold,
        "missing_limit": before + column.thresholds.missing_rise(n, days, before, own.missing_rise),
        "drifted": index > threshold,
    }
    return _column(column, _reason(column, tally, int(parts.argmax()), index > threshold), **measured)


def _column(column: ReferenceColumn, reason: str, **measured: Any) -> Column:
    """A column of the result; what was not measured of it is None."""
    unknown = dict.fromkeys(("score", "threshold", "usual", "noise", "missing", "missing_limit", "out_of_range"))
    return Column(
        **{
            "name": column.name,
            "role": column.role,
            "method": METHOD,
            "direction": "above",
            "n": 0,
            "n_reference": column.rows,
            "missing_reference": _missing_before(column),
            "importance": column.importance,
            "healthy": False,
            "drifted": False,
            "reason": reason,
            **unknown,
            **measured,
        }
    )


def _missing_before(column: ReferenceColumn) -> float:
    return int(column.counts[MISSING]) / max(column.rows, 1)


def _histogram(column: ReferenceColumn, tally: Tally) -> Histogram:
    bins = column.bins
    return Histogram(
        bins=[bins.label(MISSING), bins.label(OTHER), *bins.labels()],
        edges=bins.bounds,
        dates=bins.dates,
        reference=column.counts.tolist(),
        window=tally.counts.tolist(),
    )


def _reason(column: ReferenceColumn, tally: Tally, index: int, drifted: bool) -> str:
    """Where the middle went, for a quantity; and the bin that moved most, as shares of the reference and the window."""
    before, now = column.counts[index] / column.rows, tally.counts[index] / tally.n
    unit = column.unit

    def named(index: int) -> str:
        return tally.bins.label(index) + (f" {unit}" if unit and index > OTHER else "")

    if not drifted:
        return f"like the reference; moved most: {named(index)}, {before:.1%} then and {now:.1%} now"
    middles = [middle(counts) for counts in (column.counts, tally.counts)]
    moved = f"median {named(middles[1])}, was {named(middles[0])}; " if unit and middles[0] != middles[1] else ""
    more = "more" if now > before else "less"
    return f"{moved}{more} of {named(index)}: {before:.1%} of the reference, {now:.1%} of the window"
