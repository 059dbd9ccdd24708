"""The score of each column of a window against the reference, with what was wrong with it in plain words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data.schema import Field, Kind
from features.definition import FIELDS, TARGET
from features.functions import FEATURES
from monitoring.bins import MISSING, OTHER, contributions, middle, noise
from monitoring.reference import ReferenceColumn
from monitoring.result import Column, Finding, Severity
from monitoring.settings import DriftSettings
from monitoring.tally import Tally
from monitoring.window import WindowData

METHOD = "psi"
_ROUGHLY_CONSTANT = 0.9
"""A reference of which this share is in one bin may well be constant for a while, as rain is on dry days."""

_UNREADABLE = {
    "absent": "the log has no such column; the server that wrote it has other features than the model's package",
    "wrong_kind": "the log declares it as something else than {kind}; the declaration has changed under the model",
}


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
    return sorted(scored, key=lambda column: -excess(column))


def score(column: ReferenceColumn, tally: Tally, days: float, settings: DriftSettings) -> Column:
    """The column's index on the reference's bins; without rows in the window, its score is None.

    Its threshold is the calibrated one for the window's number of rows, spread over `days` days.
    """
    n, healthy = tally.n, tally.n > 0 and tally.missing < 1 and not tally.infinite and not tally.constant
    index = threshold = expected = usual = limit = None
    drifted, reason = False, "no rows"
    before = int(column.counts[MISSING]) / max(column.rows, 1)
    if n and column.rows:
        parts = contributions(column.counts, tally.counts)
        index, expected = float(parts.sum()), float(noise(column.counts, tally.counts))
        usual = column.thresholds.usual_index(days)
        threshold = column.thresholds.index(n, days, settings.psi_floor)
        limit = before + column.thresholds.missing_rise(n, days, before, settings.missing_rise)
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
    )


def excess(column: Column) -> float:
    """The score in terms of its threshold, above 1 where it drifted; infinite where there is none."""
    return column.score / column.threshold if column.score is not None and column.threshold else np.inf


def column_findings(
    column: Column, reference: ReferenceColumn, tally: Tally | None, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    """What there is to say of a column, its faults before its drift; at most one finding of each kind."""

    def finding(severity: Severity, kind: str, text: str) -> Finding:
        return Finding(severity=severity, kind=kind, column=column.name, text=f"{column.name}: {text}")

    if tally is None:
        yield finding("alarm", "column_unreadable", column.reason)
        return
    if not tally.n:
        return
    if tally.missing == 1 and column.missing_reference < 1:
        yield finding("alarm", "column_all_missing", f"all of its {tally.n:,} values are missing; {_before(column)}")
    elif column.missing_limit is not None and tally.missing > column.missing_limit:
        yield finding("alarm", "missing_rise", f"{tally.missing:.1%} of its values are missing; {_before(column)}")
    if tally.infinite:
        yield finding("warning", "column_infinite", f"{tally.infinite:,} of its values are infinite")
    if tally.constant and tally.missing < 1 and not _may_be_constant(reference, days):
        yield finding("alarm", "column_constant", "all of its values are the same; a sensor or a join may be stuck")
    if tally.other > settings.out_of_range_share:
        yield finding("warning", "out_of_range", _outside(reference, tally))
    if column.drifted and tally.missing < 1:
        severity: Severity = "alarm" if column.role == "prediction" else "warning"
        yield finding(severity, f"{column.role}_drift", column.reason)


def _may_be_constant(reference: ReferenceColumn, days: float) -> bool:
    roughly = reference.counts.max() >= _ROUGHLY_CONSTANT * reference.counts.sum()
    return bool(roughly) or reference.thresholds.may_be_constant(days)


def _reason(column: ReferenceColumn, tally: Tally, place: int, drifted: bool) -> str:
    """Where the middle went, for a quantity; and the bin that moved most, as shares of the reference and the window."""
    before, now = column.counts[place] / column.rows, tally.counts[place] / tally.n
    unit = _units().get(column.name)

    def named(place: int) -> str:
        return tally.bins.label(place) + (f" {unit}" if unit and place > OTHER else "")

    if not drifted:
        return f"like the reference; moved most: {named(place)}, {before:.1%} then and {now:.1%} now"
    middles = [middle(counts) for counts in (column.counts, tally.counts)]
    moved = f"median {named(middles[1])}, was {named(middles[0])}; " if unit and middles[0] != middles[1] else ""
    more = "more" if now > before else "less"
    return f"{moved}{more} of {named(place)}: {before:.1%} of the reference, {now:.1%} of the window"


def _units() -> dict[str, str]:
    declared: dict[str, str] = {field.name: _unit(field) for field in (*FIELDS, TARGET)}
    return declared | {feature.name: "" if feature.unit == "code" else feature.unit for feature in FEATURES}


def _unit(field: Field) -> str:
    return field.unit or "" if field.kind is Kind.NUMBER else ""


def _before(column: Column) -> str:
    return f"of the reference, {column.missing_reference:.1%} are"


def _outside(reference: ReferenceColumn, tally: Tally) -> str:
    what = tally.bins.label(OTHER)
    seen = f" (from {tally.minimum:.6g} to {tally.maximum:.6g})" if np.isfinite(tally.minimum) else ""
    known = int(reference.counts[OTHER]) / max(reference.rows, 1)
    return f"{tally.other:.1%} of its values are {what}{seen}; {known:.1%} were"


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
        reason=_UNREADABLE[why].format(kind=column.kind),
    )
