"""Pieces of HTML that the page's sections share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tabular_bento.monitoring.drift.result import Interval

LONGEST = 40
"""Characters that are shown of a value of the log, which may be of any length."""


def interval_text(interval: Interval | None, digits: int) -> str:
    """An interval in words; nothing where there is none."""
    return f"({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else ""


def table(
    head: Iterable[str],
    rows: Iterable[list[str]],
    numbers_from: int,
    numbers_to: int | None = None,
    marks: list[str] | None = None,
) -> str:
    """A table whose columns from `numbers_from` up to `numbers_to` are aligned as numbers."""

    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place >= numbers_from and (numbers_to is None or place < numbers_to) else ''}>"
            f"{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f'<tr class="{marks[i] if marks else ""}">{cells("td", row)}</tr>' for i, row in enumerate(rows)]
    return f"<table><tr>{cells('th', head)}</tr>{''.join(lines)}</table>"
