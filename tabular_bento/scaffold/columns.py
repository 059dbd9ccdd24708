"""The declaration of one column: its kind, range and gaps, with what was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tabular_bento.scaffold.summary import ColumnSummary
from tabular_bento.schema import LARGEST_INTEGER, Field, Kind

SEGMENT_VALUES = 8
"""Most values of a field that results are broken down by."""

FREE_TEXT = 0.5
"""Distinct values for each row from which a text names rows instead of grouping them."""

_SHOWN = 60


@dataclass(frozen=True)
class Chosen:
    """A column of the table and what the project makes of it.

    Parameters
    ----------
    column : str
        Its name in the table.
    field : Field
        What is declared.
    why : str
        What was seen, for the comment beside the declaration.
    distinct : int
        Distinct values.
    low, high : float, str or None
        The least and the greatest number or time.
    epoch : str
        The unit, `s` or `ms`, of integers in the table that count to an instant; else empty.
    """

    column: str
    field: Field
    why: str
    distinct: int
    low: Any = None
    high: Any = None
    epoch: str = ""

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name


def declared_field(summary: ColumnSummary, name: str, role: str, epoch: str = "") -> Chosen:
    kind = summary.kind
    gaps = summary.missing + sum(summary.odd[text] for text in summary.other_missing)
    called = summary.name.strip()
    described = f"`{called}`" if called != name else name.replace("_", " ").capitalize()
    why = [f"{'more than ' * summary.many}{summary.distinct:,} values"]
    settings: dict[str, Any] = {}
    if kind.is_numeric and role != "--id":
        settings["minimum"], settings["maximum"] = bounds(summary.low, summary.high, kind)
        why = [f"from {_number(summary.low)} to {_number(summary.high)}"]
    elif kind is Kind.TEXT:
        settings["max_length"] = max(16, 2 * summary.longest)
        if summary.distinct <= SEGMENT_VALUES and not role:
            why = [", ".join(shown(value) for value in sorted(summary.counts, key=str))]
    elif kind.is_time:
        why = [f"from {summary.low} to {summary.high}"]
    if gaps:
        settings["optional"] = True
        why.append(f"missing in {gaps:,} of {summary.rows:,} rows")
    text = "; ".join(why)
    declared = Field(name, kind, described, **settings)
    return Chosen(summary.name, declared, text, summary.distinct, summary.low, summary.high, epoch)


def bounds(low: float, high: float, kind: Kind) -> tuple[float, float]:
    """The range of a field: that which was observed and as much again on either side, in round numbers.

    What was never negative stays so, and so does what was never positive.

    Parameters
    ----------
    low, high : float
        The least and the greatest value observed.
    kind : Kind
        INTEGER or NUMBER.
    """
    if kind is Kind.INTEGER and (low, high) == (0, 1):
        return 0, 1
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    lower, upper = math.floor((low - span) / step) * step, math.ceil((high + span) / step) * step
    lower, upper = max(0.0, lower) if low >= 0 else lower, min(0.0, upper) if low < 0 and high <= 0 else upper
    digits = max(0, -math.floor(math.log10(step)))
    lower, upper = round(lower, digits), round(upper, digits)
    if kind is Kind.INTEGER:
        return max(math.floor(lower), 1 - LARGEST_INTEGER), min(math.ceil(upper), LARGEST_INTEGER - 1)
    return lower, upper


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
