"""Data quality: each column by itself, whatever it weighs in the model.

Gaps, constants, values out of range, categories that are gone or new, and units that have changed. Each rule has a
limit of its own, calibrated in the model's package or fixed in the settings; docs/alarms.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tabular_bento.evaluation.reference.bins import FIRST, MISSING, OTHER, contributions, numbers_of
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.evaluation.reference.thresholds import NOTABLE_SPREAD
from tabular_bento.evaluation.reference.vocabulary import NewValues, Vocabulary
from tabular_bento.monitoring.drift.checks import LONGEST, UNREADABLE, UNREADABLE_KINDS
from tabular_bento.monitoring.drift.result import Column, Finding, Severity
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.counts import Tally
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import feature_column, input_column

RARELY = 0.001
"""How often chance may pass a single test of a column of one window, all its categories together."""

GONE = 0.05
"""A category is gone where less than this part of its share in the reference is left."""

EXPLAINED = 0.25
"""A unit has changed where a conversion leaves at most this part of the column's index."""

OUTLYING_DAYS = 4.0
"""Days whose rows may all be out of range without a warning, as far as they are no more than `alarm_share`."""

MOVED = 0.25
"""Of the rows, that are in other bins before a conversion is tried on a column that is not at `far_drift`."""

LEAST_REFERENCE = 200
"""Rows of the reference's sample below which no conversion is tried."""

_UNITS: tuple[tuple[str, str, float, float], ...] = (
    ("degrees F", "degrees C", 5 / 9, -160 / 9),
    ("degrees C", "kelvins", 1.0, 273.15),
    ("miles", "km", 1.609344, 0.0),
    ("mph", "m/s", 0.44704, 0.0),
    ("m/s", "km/h", 3.6, 0.0),
    ("mph", "knots", 0.868976, 0.0),
    ("knots", "km/h", 1.852, 0.0),
    ("feet", "m", 0.3048, 0.0),
    ("inches", "cm", 2.54, 0.0),
    ("inches", "mm", 25.4, 0.0),
    ("pounds", "kg", 0.45359237, 0.0),
    ("hPa", "inHg", 0.02953, 0.0),
    ("degrees", "radians", float(np.pi / 180), 0.0),
    ("tens", "units", 10.0, 0.0),
)
"""Two units, the factor from the one to the other, and what is added."""

CONVERSIONS: tuple[tuple[str, float, float], ...] = (
    *((f"{one} to {other}", factor, added) for one, other, factor, added in _UNITS),
    *((f"{other} to {one}", 1 / factor, -added / factor) for one, other, factor, added in _UNITS),
    ("degrees F to kelvins", 5 / 9, 273.15 - 160 / 9),
    ("hPa to mmHg", 0.750062, 0.0),
    ("hours to minutes, or minutes to seconds", 60.0, 0.0),
    ("minutes to hours, or seconds to minutes", 1 / 60, 0.0),
    ("fractions to percent, or units to hundredths", 100.0, 0.0),
    ("percent to fractions, or hundredths to units", 0.01, 0.0),
    ("units to thousandths", 1_000.0, 0.0),
    ("units to thousands", 0.001, 0.0),
    ("the sign turned", -1.0, 0.0),
)
"""What a column's values may have become: name, factor, and what is added."""

_NAMED = 5
"""How many new values a finding names."""


def column_findings(
    column: Column,
    reference: ReferenceColumn,
    data: WindowData,
    days: float,
    settings: DriftSettings,
) -> Iterator[Finding]:
    """What there is to say of a column, its faults before its drift; at most one finding of each kind.

    `settings` are those of the column.
    """

    def finding(severity: Severity, kind: str, text: str) -> Finding:
        return Finding.of(severity, kind, f"{column.name}: {text}", column.name)

    if (tally := data.tallies.get(column.name)) is None and reference.log_name in data.broken:
        return
    if tally is None:
        yield finding("alarm", UNREADABLE_KINDS[data.unreadable[column.name]], column.reason)
        return
    if not tally.n:
        return
    lacking = f"{tally.missing:.1%} of its values are missing; {_before(column)}"
    if tally.missing == 1 and column.missing_reference < 1:
        yield finding("alarm", "column_all_missing", f"all of its {tally.n:,} values are missing; {_before(column)}")
    elif column.missing_limit is not None and tally.missing > column.missing_limit:
        yield finding("alarm", "missing_rise", lacking)
    elif tally.missing > column.missing_reference + reference.thresholds.missing_rise(
        tally.n, days, column.missing_reference, settings.missing_notable, NOTABLE_SPREAD
    ):
        yield finding("warning", "missing_more", lacking)
    if tally.infinite:
        yield finding("warning", "column_infinite", f"{tally.infinite:,} of its values are infinite")
    if tally.constant and tally.missing < 1 and not _may_be_constant(reference, tally, days):
        yield finding("alarm", "column_constant", "all of its values are the same; a sensor or a join may be stuck")
    else:
        yield from _gone(finding, reference, tally, days, settings)
    named = any(
        values.unknown and reference.log_name in (input_column(name), feature_column(name))
        for name, values in data.texts.items()
    )
    if tally.other > settings.out_of_range_share and not named:
        beyond = tally.other - int(reference.counts[OTHER]) / max(reference.rows, 1)
        level = _level(
            beyond, max(settings.out_of_range_share, min(OUTLYING_DAYS / days, settings.alarm_share)), settings
        )
        yield finding(level, "out_of_range", _outside(reference, tally))
    if column.drifted and tally.missing < 1:
        severity: Severity = "alarm" if column.role == "prediction" else "notice"
        yield finding(severity, f"{column.role}_drift", column.reason)
        if severity == "notice" and (column.excess or 0) >= settings.far_drift:
            text = f"{column.excess:.1f} times its limit, whatever it weighs; {column.reason}"
            yield finding("warning", "far_drift", text)


def _level(share: float, notable: float, settings: DriftSettings) -> Severity:
    """How bad it is that such a share of a column is new, gone or out of range."""
    if share > max(2 * notable, settings.alarm_share):
        return "alarm"
    return "warning" if share > notable else "notice"


def _gone(
    finding: Callable[[Severity, str, str], Finding],
    reference: ReferenceColumn,
    tally: Tally,
    days: float,
    settings: DriftSettings,
) -> Iterator[Finding]:
    """A finding that names the categories that are gone.

    Judged by the binomial distribution of what is left of their rows, and of the days that they were there on.
    """
    absent, names = reference.thresholds.absent_days, reference.bins.categorical
    if absent is None or not names:
        return
    shares = reference.counts[FIRST:] / max(reference.rows, 1)
    left = tally.counts[FIRST:]
    of_rows = stats.binom.cdf(left, tally.n, shares)
    of_days = (1 - np.asarray(reference.thresholds.present_days)) ** days
    chance = np.maximum(of_rows, of_days) * len(names)
    gone = (
        (shares >= settings.gone_share)
        & (left < GONE * shares * tally.n)
        & (chance < RARELY)
        & (days > 2 * np.asarray(absent))
    )
    if gone.any():
        worst = np.flatnonzero(gone)[np.argsort(-shares[gone], kind="stable")]
        named = ", ".join(f"{names[index][:LONGEST]} ({shares[index]:.1%})" for index in worst[:_NAMED].tolist())
        level: Severity = "alarm" if shares[gone].max() >= settings.alarm_share else "warning"
        yield finding(level, "category_gone", f"values of the reference are gone: {named}")


def unit_findings(
    columns: Sequence[Column], reference: Reference, data: WindowData, settings: DriftSettings
) -> Iterator[Finding]:
    """Columns of numbers that look as the reference does after a conversion, and unlike it before."""
    references = {column.name: column for column in reference.columns}
    for column in columns:
        known = references.get(column.name)
        if known is None or not column.drifted or known.kind is Kind.TEXT or known.role == "prediction":
            continue
        if known.log_name not in reference.rows.column_names:
            continue
        moved = np.abs(known.counts / known.rows - data.tallies[column.name].counts / column.n).sum() / 2
        if moved < MOVED and (column.excess or 0) < settings.column(column.name).far_drift:
            continue
        if found := conversion_of(known, numbers_of(reference.rows[known.log_name]), data.tallies[column.name]):
            name, index = found
            text = (
                f"{column.name}: its values are as if converted, as from {name}: so converted, the reference is at "
                f"{index:.2f} from the window, and at {column.score:.2f} as it is"
            )
            yield Finding.of("alarm", "unit_changed", text, column.name)


def conversion_of(column: ReferenceColumn, values: NDArray[np.float64], tally: Tally) -> tuple[str, float] | None:
    """The conversion that makes the reference's values like the window's, if there is one, and the index it leaves.

    Of conversions that leave as much, as where all values are out of range, that by which the largest values agree.
    """
    known = values[~np.isnan(values)]
    if len(known) < LEAST_REFERENCE or known.min() == known.max():
        return None
    here = tally.counts.copy()
    here[MISSING] = 0
    there = column.counts.copy()
    there[MISSING] = 0
    if not here.sum() or not there.sum():
        return None
    before = float(contributions(there, here).sum())
    found: list[tuple[float, float, str, float]] = []
    for name, factor, added in CONVERSIONS:
        converted = known * factor + added
        index = float(contributions(column.bins.count(converted), here).sum())
        if index <= EXPLAINED * before:
            span = abs(float(converted.max()) - tally.maximum) + abs(float(converted.min()) - tally.minimum)
            found.append((round(index, 1), span, name, index))
    return min(found)[2:] if found else None


def text_findings(data: WindowData, reference: Reference, settings: DriftSettings) -> Iterator[Finding]:
    """Fields of categories: those that are empty more often than in training, and values that training never held."""
    for name, why in data.texts_unreadable.items():
        if not settings.ignores(name):
            yield Finding.of("alarm", UNREADABLE_KINDS[why], f"{name}: {UNREADABLE[why].format(kind='text')}", name)
    for name, values in data.texts.items():
        if not values.rows or settings.ignores(name):
            continue
        own = settings.column(name)
        before = reference.vocabularies.get(name, Vocabulary()).empty
        broken = values.empty > (before + own.missing_rise) * values.rows
        if broken or (values.empty and not before):
            text = f"{name}: {values.empty:,} of {values.rows:,} values are empty"
            text += f"; of the reference, {before:.1%} are" if before else ""
            yield Finding.of("alarm" if broken else "notice", "column_empty", text, name)
        if values.unknown:
            share = values.unknown / values.rows
            severity = "note" if share <= own.out_of_range_share else _level(share, own.out_of_range_share, own)
            yield Finding.of(severity, "new_category", f"{name}: {_new(values)}", name)


def _new(values: NewValues) -> str:
    named = values.most_common(_NAMED)
    listed = ", ".join(f"{value[:LONGEST]!r} ({count:,})" for value, count in named)
    more = ", ..." if len(values.counts) > len(named) else ""
    share = values.unknown / values.rows
    return f"{values.unknown:,} of {values.rows:,} values ({share:.2%}) were never seen in training: {listed}{more}"


def _may_be_constant(reference: ReferenceColumn, tally: Tally, days: float) -> bool:
    """Whether the column was constant in training for half as long, or its most frequent bin makes it so by chance."""
    known = int(tally.counts[OTHER:].sum())
    share = reference.counts[OTHER:].max() / max(int(reference.counts[OTHER:].sum()), 1)
    return reference.thresholds.may_be_constant(days) or float(share) ** known > RARELY


def _before(column: Column) -> str:
    return f"of the reference, {column.missing_reference:.1%} are"


def _outside(reference: ReferenceColumn, tally: Tally) -> str:
    what = tally.bins.label(OTHER)
    seen = f" (from {tally.minimum:.6g} to {tally.maximum:.6g})" if np.isfinite(tally.minimum) else ""
    known = int(reference.counts[OTHER]) / max(reference.rows, 1)
    return f"{tally.other:.1%} of its values are {what}{seen}; {known:.1%} were"
