"""A table of text to what is chosen of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.scaffold.choices import Choices, choose
from tabular_bento.scaffold.reading import TableInput
from tabular_bento.scaffold.summary import TableSummary, summarise


def summary_of(path: Path) -> TableSummary:
    """What a file holds."""
    table = TableInput.of(str(path))
    with table.batches() as batches:
        return summarise(batches, typed=not table.is_csv)


@pytest.fixture
def chosen(tmp_path: Path) -> Callable[..., Choices]:
    """Choices of columns, 100 rows of each; a value takes the row's number, or is the same in all rows."""

    def choose_of(rows: int = 100, /, target: str = "y", **columns: Any) -> Choices:
        roles = {name: columns.pop(name) for name in ("time", "identifier", "task") if name in columns}
        return choose(summary_of(csv_of(tmp_path / "t.csv", rows, columns)), target, **roles)

    return choose_of


def csv_of(path: Path, rows: int, columns: dict[str, Any]) -> Path:
    """A CSV file of columns, each a function of the row's number or a value."""
    given = [value if callable(value) else lambda _, value=value: value for value in columns.values()]
    lines = [",".join(str(value(row)) for value in given) for row in range(rows)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n", encoding="utf-8")
    return path
