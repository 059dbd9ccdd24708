"""Which columns of the log are as a pass must read them, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable

from tabular_bento.schema import Field, Kind

Kinds = dict[str, set[Kind]]
"""The kinds that each column of a log was ever declared with; nothing where it has no schema, and so no rows."""

_NUMBERS = {Kind.NUMBER, Kind.INTEGER}


def why_unreadable(name: str, expected: Kind, kinds: Kinds) -> str | None:
    """`absent` or `wrong_kind`; None where all rows hold the column as `expected`, numbers being whole or not."""
    if not kinds:
        return None
    if name not in kinds:
        return "absent"
    allowed = _NUMBERS if expected is Kind.NUMBER else {expected}
    return None if kinds[name] <= allowed else "wrong_kind"


def unreadable(fields: Iterable[Field], kinds: Kinds) -> dict[str, str]:
    """Why some of the fields cannot be read, by name."""
    return {field.name: why for field in fields if (why := why_unreadable(field.name, field.kind, kinds))}
