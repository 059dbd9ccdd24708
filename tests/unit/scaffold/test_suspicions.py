from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabular_bento.scaffold.choices import Choices, choose
from tabular_bento.scaffold.summary import TableSummary
from tabular_bento.scaffold.suspicions import duplicates, suspected_leaks
from tests.tables import customers, rentals, wines, written
from tests.unit.scaffold.conftest import summary_of

RNG = np.random.default_rng(3)
ROWS = 600


def suspects(path: Path, table: pd.DataFrame, target: str) -> list[str]:
    """The columns that are warned of."""
    found, choices = looked_at(path, table, target)
    return [warning.split("'")[1] for warning in suspected_leaks(found, choices)]


def looked_at(path: Path, table: pd.DataFrame, target: str) -> tuple[TableSummary, Choices]:
    found = summary_of(written(table, path))
    return found, choose(found, target)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("table", "target", "leak"),
    [
        (rentals(), "rented", lambda y: y * 1.2 + RNG.normal(0, 0.1, len(y))),
        (rentals(), "rented", lambda y: "q" + pd.qcut(y, 60, labels=False).astype(str)),
        (customers(), "Leaves?", lambda y: np.where(y == "Yes", 3, RNG.integers(0, 3, len(y)))),
        (customers(), "Leaves?", lambda y: "left: " + y.str.lower()),
        (wines().dropna(), "kind", lambda y: y.map({1: 8, 2: 5, 3: 7}).astype(int)),
    ],
)
def test_a_column_that_gives_the_target_away_is_warned_of(
    tmp_path: Path, suffix: str, table: pd.DataFrame, target: str, leak: Any
) -> None:
    given = table.assign(leak=leak(table[target]))
    assert suspects(tmp_path / f"t{suffix}", given, target) == ["leak"]
    assert suspects(tmp_path / f"u{suffix}", table, target) == []


def test_missing_values_can_give_the_target_away(tmp_path: Path) -> None:
    table = customers()
    table["ended"] = np.where(table["Leaves?"] == "Yes", "1", "")
    assert suspects(tmp_path / "t.csv", table.assign(ended=pd.to_numeric(table["ended"])), "Leaves?") == ["ended"]


def test_a_category_of_each_row_gives_nothing_away(tmp_path: Path) -> None:
    table = customers().assign(code=[f"c{row // 3}" for row in range(1_200)])
    assert suspects(tmp_path / "t.csv", table, "Leaves?") == []


def test_rows_that_are_there_twice_are_counted(tmp_path: Path) -> None:
    table = wines()
    found, _ = looked_at(tmp_path / "t.csv", pd.concat([table, table.head(7)]), "kind")
    (warning,) = duplicates(found)
    assert warning.startswith("7 of 907 rows are equal to another row in every column")
    assert duplicates(summary_of(written(table, tmp_path / "u.csv"))) == []
