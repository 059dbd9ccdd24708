"""Lines of a log, with the elements of their lists under the names that readers give them, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabular_bento.traffic.schema import PREDICTIONS, LogColumn

Line = dict[str, Any]


def logged(directory: Path, stream: str = PREDICTIONS) -> list[Line]:
    """The decoded lines of a stream's log files, oldest file first."""
    return [
        json.loads(line)
        for path in sorted((directory / stream).glob("*.jsonl"))
        for line in path.read_text().split("\n")
        if line
    ]


def unfold(line: Line, columns: Sequence[LogColumn]) -> Line:
    """A line as it was written, the elements of its lists by the names of their columns."""
    lists = _lists(columns)
    flat = {name: value for name, value in line.items() if name not in lists}
    for name, members in lists.items():
        flat |= dict(zip(members, line[name], strict=True))
    return flat


def fold(line: Line, columns: Sequence[LogColumn]) -> Line:
    """The inverse of `unfold`."""
    lists = _lists(columns)
    within = {member for members in lists.values() for member in members}
    folded = {name: value for name, value in line.items() if name not in within}
    return folded | {name: [line.get(member) for member in members] for name, members in lists.items()}


def _lists(columns: Sequence[LogColumn]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for column in columns:
        if column.within:
            lists.setdefault(column.within, []).append(column.name)
    return lists
