"""What is written down of the data of a training, and what is said where they are other ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tabular_bento.data import Dataset, Split
from tabular_bento.data.snapshot import Snapshot
from tests.unit.models import PARCELS, parcels, prices

Table = dict[str, np.ndarray]


def table() -> Table:
    dataset = parcels()
    return {**{name: values.copy() for name, values in dataset.columns.items()}, "cost": dataset.target.copy()}


def snapshot(rows: Table, **origin: str) -> Snapshot:
    return Snapshot.of(Dataset.of_table(PARCELS, rows, origin=origin).split(Split()))


def change_one(name: str, row: int, value: object) -> Callable[[Table], Table]:
    def change(rows: Table) -> Table:
        rows[name] = rows[name].astype(object)
        rows[name][row] = value
        return rows

    return change


def test_it_is_plain_json_and_comes_back_the_same() -> None:
    written = snapshot(table(), uri="s3://bucket/parcels.csv")
    read = Snapshot.from_dict(json.loads(json.dumps(written.to_dict())))
    assert read == written
    assert (read.rows, read.rows_without_label, read.origin) == (300, 30, {"uri": "s3://bucket/parcels.csv"})
    assert {name: part.rows for name, part in read.parts.items()} == {
        "train": 162, "validation": 54, "calibration": 0, "test": 54, "left_out": 30,
    }  # fmt: skip
    assert read.differences(snapshot(table(), uri="elsewhere.csv")) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_one("kind", 5, "bag"), ["part validation: the values of kind differ"]),
        (
            change_one("cost", 5, None),
            ["rows without label: 31 where there were 30", "part train: 161 rows where there"],
        ),
        (change_one("weight", 10, 3.0), ["part left out: the values of weight differ"]),
        (lambda rows: {name: values[:-1] for name, values in rows.items()}, ["rows: 299 where there were 300"]),
        (
            lambda rows: {name: values[::-1] for name, values in rows.items()},
            ["part train: 162 rows as before, and oth"],
        ),
    ],
    ids=["value", "label", "row without label", "fewer rows", "order"],
)
def test_what_differs_is_named_by_part_and_column(change: Callable[[Table], Table], expected: list[str]) -> None:
    before, after = snapshot(table()), snapshot(change(table()))
    found = before.differences(after)
    for start in expected:
        assert any(line.startswith(start) for line in found), found
    assert found[-1] == f"fingerprint: {after.fingerprint[:16]}, which was {before.fingerprint[:16]}"


def test_columns_and_origins_that_are_gone_or_new_are_named() -> None:
    dataset = prices().split(Split())
    before = Snapshot.of(dataset)
    others = {name: values for name, values in dataset.columns.items() if name != "floor"}
    changed = replace(
        dataset,
        columns=others,
        fit_columns={"rooms": dataset.target},
        tables={"cities": {"name": np.array(["Ulm"], dtype=object), "region": np.array(["south"], dtype=object)}},
        origin={"database": "postgresql://host/sales"},
        fingerprint="other",
    )
    found = replace(before, origin={"database": "postgresql://old/sales"}).differences(Snapshot.of(changed))
    assert found == [
        "columns: floor gone",
        "columns: rooms new",
        "tables: cities.population gone",
        "tables: cities.region new",
        "table cities.name: the values differ",
        "database: postgresql://host/sales, which was postgresql://old/sales",
        "fingerprint: other, which was 300-0",
    ]


def test_a_text_that_is_missing_is_not_an_empty_one() -> None:
    kinds = np.array(["", "ab", None], dtype=object), np.array([None, "a", "b"], dtype=object)
    rows = {"weight": np.ones(3), "pieces": np.ones(3, dtype=np.int64), "cost": np.ones(3)}
    digests = {
        Snapshot.of(replace(parcels(), columns={**rows, "kind": kind}, target=rows["cost"]))
        .parts["left_out"]
        .columns["kind"]
        for kind in kinds
    }
    assert len(digests) == 2
