"""Which columns of the log a pass reads, why some cannot be read, and what it keeps of each row and label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import Bins
from tabular_bento.problem import Declaration
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.schema import LABEL, feature_column, input_column, output_column

LABEL_KIND = np.dtype([("key", "<u8"), ("time", "<i8"), ("value", "<f8")])
"""A label: the key of its prediction's id, when it was received in us UTC, and its value."""

KEY_KIND = np.dtype([("key", "<u8")])

LARGEST = 1e30
"""Numbers beyond it, of either sign, are none that an error can be measured by: sums of squares must stay finite."""

INFINITE = 255
"""The code of an infinite value in a row's `codes`; it is in the bin OTHER. All other codes are bins."""

ENVELOPE = (Field("prediction_id", Kind.TEXT), Field("time", Kind.INSTANT), Field("model", Kind.TEXT))
"""Columns that every row of the log must have, whatever its problem."""

LABEL_COLUMNS = (*ENVELOPE[:2], Field(LABEL, Kind.NUMBER))
"""Columns that every label of the log must have."""

Kinds = dict[str, set[Kind]]
"""The kinds that each column of a log was ever declared with; nothing where it has no schema, and so no rows."""


class Column(Protocol):
    """A column's name in the log, and its kind."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...


@dataclass(frozen=True)
class Watched:
    """A column to look at: its name, its name in the log, and its bins."""

    name: str
    log_name: str
    bins: Bins


@dataclass(frozen=True)
class Measured:
    """What errors are measured by, and where it is in the log.

    Parameters
    ----------
    predicted : str, optional
        The column of the first output; None where nothing is measured.
    offset : str, optional
        The column of the offset, which is the naive baseline.
    naive : float
        The naive baseline where there is no offset; NaN where it is not known.
    historical : str, optional
        The column of the feature that is a baseline, less the offset.
    event : str, optional
        The column of the event time.
    """

    predicted: str | None = None
    offset: str | None = None
    naive: float = float("nan")
    historical: str | None = None
    event: str | None = None

    @classmethod
    def of(cls, declaration: Declaration | None, naive: float | None) -> Measured:
        """That of a problem; `naive` is the naive baseline of one without an offset."""
        if declaration is None:
            return cls()
        offset, event, baseline = declaration.offset, declaration.event_time, declaration.baseline
        return cls(
            output_column(declaration.outputs[0].columns[0]),
            None if offset is None else input_column(offset),
            float("nan") if naive is None else naive,
            None if baseline is None else feature_column(baseline),
            None if event is None else input_column(event),
        )

    @property
    def columns(self) -> dict[str, str]:
        """The columns that must hold numbers, by the fields of a record."""
        named = {"predicted": self.predicted, "baseline": self.offset}
        return {field: column for field, column in named.items() if column is not None}


def needed_columns(declaration: Declaration | None) -> tuple[Column, ...]:
    """Columns that the log must have for any of its rows to be judged."""
    if declaration is None:
        return ENVELOPE
    fields = [declaration.event_time, declaration.offset]
    inputs = [declaration.field(name) for name in fields if name is not None]
    first = declaration.outputs[0]
    return (
        *ENVELOPE,
        *(Field(input_column(item.name), item.kind) for item in inputs),
        Field(output_column(first.columns[0]), Kind.NUMBER if first.parts else first.kind),
    )


def why_unreadable(name: str, expected: Kind, kinds: Kinds) -> str | None:
    """`absent` or `wrong_kind`; None where all rows hold the column as `expected`, numbers being whole or not."""
    if not kinds:
        return None
    if name not in kinds:
        return "absent"
    allowed = {Kind.NUMBER, Kind.INTEGER} if expected.is_numeric else {expected}
    return None if kinds[name] <= allowed else "wrong_kind"


def unreadable(columns: Iterable[Column], kinds: Kinds) -> dict[str, str]:
    """Why some of the columns cannot be read, by name."""
    return {column.name: why for column in columns if (why := why_unreadable(column.name, column.kind, kinds))}


def record_kind(columns: Sequence[Watched], texts: int = 0) -> np.dtype[Any]:
    """The type of a row: `codes` holds its bin in each column, in order, and then what kind of text each field has."""
    assert all(column.bins.size <= INFINITE for column in columns), "a profile has some dozens of bins a column"
    codes = ("codes", np.uint8, (len(columns) + texts,))
    floats = [("predicted", "<f8"), ("baseline", "<f8"), ("gain", "<f4")]
    return np.dtype([("key", "<u8"), ("time", "<i8"), ("event", "<i8"), *floats, codes])


def measurable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n numbers an error can be measured by: neither missing, nor infinite, nor beyond LARGEST; shape [n]."""
    return np.asarray(np.abs(values) <= LARGEST)
