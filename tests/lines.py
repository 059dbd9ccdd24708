"""Lines of a log, with the elements of their lists under the names that readers give them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabular_bento.schema import Field
from tabular_bento.traffic.log import PREDICTION_SCHEMA

Line = dict[str, Any]


def unfold(line: Line, schema: Sequence[Field] = PREDICTION_SCHEMA) -> Line:
    """A line as it was written, its lists by the names of their elements."""
    lists = _lists(schema)
    flat = {name: value for name, value in line.items() if name not in lists}
    for name, members in lists.items():
        flat |= dict(zip(members, line[name], strict=True))
    return flat


def fold(line: Line, schema: Sequence[Field] = PREDICTION_SCHEMA) -> Line:
    """The inverse of `unfold`."""
    lists = _lists(schema)
    within = {member for members in lists.values() for member in members}
    folded = {name: value for name, value in line.items() if name not in within}
    return folded | {name: [line.get(member) for member in members] for name, members in lists.items()}


def _lists(schema: Sequence[Field]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for field in schema:
        if field.within:
            lists.setdefault(field.within, []).append(field.name)
    return lists
