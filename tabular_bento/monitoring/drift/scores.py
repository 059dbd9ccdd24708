"""The score of each column of a window against the reference, and what moved, in plain words."""

from __future__ import annotations

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
        else _unreadable(column, data.unreadable[column.name])
        for column in columns
    ]
    return sorted(scored, key=lambda column: -np.inf if column.excess is None else -column.excess)


def score(column: ReferenceColumn, tally: Tally, days: float, settings: DriftSettings) -> Column:
    """The column's index on the reference's bins; without rows in the window, its score is None.

    Its threshold is the calibrated one for the window's number of rows, spread over `days` days.
    """
    n, healthy = tally.n, tally.n > 0 and tally.missing < 1 and not tally.infinite and not tally.constant
    index = threshold = expected = usual = limit = None
    own, fixed = settings.column(column.name), settings.psi_limit(column.name)
    drifted, reason, histogram = False, "no rows", None
    before = int(column.counts[MISSING]) / max(column.rows, 1)
    if n and column.rows:
        parts = contributions(column.counts, tally.counts)
        index, expected = float(parts.sum()), float(noise(column.counts, tally.counts))
        usual = column.thresholds.usual_index(days)
        histogram = _histogram(column, tally)
    if index is not None and settings.ignores(column.name):
        reason = "the settings ignore it"
    elif index is not None:
        threshold = fixed or column.thresholds.index(n, days, own.psi_floor)
        limit = before + column.thresholds.missing_rise(n, days, before, own.missing_rise)
        drifted = index > threshold
        reason = _reason(column, tally, int(parts.argmax()), drifted)
    return Column(
        name=column.name,
        role=column.role,
        method=METHOD,
        direction="above",
        score=index,
        threshold=threshold,
        usual=usual,
        noise=expected,
        n=n,
        n_reference=column.rows,
        missing=tally.missing if n else None,
        missing_reference=before,
        missing_limit=limit,
        out_of_range=tally.other if n else None,
        importance=column.importance,
        healthy=healthy,
        drifted=drifted,
        reason=reason,
        histogram=histogram,
    )


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


def _unreadable(column: ReferenceColumn, why: str) -> Column:
    return Column(
        name=column.name,
        role=column.role,
        method=METHOD,
        direction="above",
        score=None,
        threshold=None,
        usual=None,
        noise=None,
        n=0,
        n_reference=column.rows,
        missing=None,
        missing_reference=int(column.counts[MISSING]) / max(column.rows, 1),
        missing_limit=None,
        out_of_range=None,
        importance=column.importance,
        healthy=False,
        drifted=False,
        reason=UNREADABLE[why].format(kind=column.kind),
    )
