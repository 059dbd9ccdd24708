"""Which columns of the log a pass reads, and why some cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from tabular_bento.evaluation.reference.bins import Bins
from tabular_bento.problem import Declaration
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.schema import LABEL, input_column, output_column

ENVELOPE = (Field("prediction_id", Kind.TEXT), Field("time", Kind.INSTANT), Field("model", Kind.TEXT))
"""Columns that every row of the log must have, whatever its problem."""

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


def label_columns(declaration: Declaration | None) -> tuple[Column, ...]:
    """Columns that the log of labels must have for any of them to be joined."""
    kind = Kind.NUMBER if declaration is None else declaration.target.kind
    return (*ENVELOPE[:2], Field(LABEL, kind))


def event_column(declaration: Declaration | None) -> str | None:
    """The column of the event time; None where the rows have none."""
    event = None if declaration is None else declaration.event_time
    return None if event is None else input_column(event)


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


def texts_of(column: pa.Array) -> pa.Array:
    """A column of codes as texts: `12`, `true`."""
    return column.cast(pa.string())
