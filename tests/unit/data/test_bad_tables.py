"""Tables that nothing can be learnt from: one clear message each."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular_bento.data import FunctionSource, Split, TableSource
from tabular_bento.errors import DataError, SourceError, TableError
from tabular_bento.training import load_config, train
from tests.unit.models import PARCELS, SMALL

GOOD: dict[str, Any] = {"weight": [1.0, 2.5], "pieces": [1, 2], "kind": ["a", "b"], "cost": [3.0, None]}


def frame(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({**GOOD, **changes})


def rows(count: int, cost: float = 1.0) -> dict[str, Any]:
    values = np.arange(count, dtype=np.float64)
    return {"weight": values, "pieces": np.ones(count, np.int64), "kind": np.full(count, "a"), "cost": values * cost}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame().iloc[:0], "rows: the table has no rows"),
        (
            {**rows(3), "pieces": np.array([1, "two", 3], object)},
            r"rows\.pieces: 1 of 3 rows are not of type int, as the others are.*'two' in row 1",
        ),
        (
            frame(kind=["a", 3]),
            r"rows\.kind: 1 of 2 rows are not of type str, as the others are, for example '3' in row 1",
        ),
        ({**GOOD, "kind": np.array([3, "b"], object)}, r"rows\.kind: 1 of 2 rows are not of type str.*'3' in row 0"),
        (frame(weight=["1", "heavy"]), r"rows\.weight: 1 of 2 rows cannot be read as double.*'heavy' in row 1"),
        (pd.concat([frame(), frame()[["cost"]]], axis=1), "Duplicate column names found.*cost"),
        (frame().drop(columns="kind"), r"rows\.kind: the column is missing"),
        ({**GOOD, "weight": [1.0]}, "expected length 1 but got length 2"),
    ],
)
def test_a_table_in_memory(table: Any, message: str) -> None:
    with pytest.raises(TableError, match=message):
        FunctionSource(PARCELS, lambda: table).load()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows(1), r"part 'validation' \(0\.2 of the rows\).*the data set has 1 row with a label, and training, val"),
        (rows(3), r"the data set has 3 rows with a label"),
        (rows(50, cost=np.nan), "No row has a label: cost is missing in all 50 rows"),
    ],
)
def test_too_few_labels(table: dict[str, Any], message: str) -> None:
    dataset = FunctionSource(PARCELS, lambda: table).load()
    with pytest.raises(DataError, match=message):
        train(PARCELS, dataset, load_config(**SMALL))


def test_rows_without_a_label_are_counted_and_in_no_part() -> None:
    table = rows(100)
    table["cost"][::4] = np.nan
    dataset = FunctionSource(PARCELS, lambda: table).load().split(Split())
    assert (len(dataset), int(dataset.labelled.sum())) == (100, 75)
    assert sum(map(len, dataset.parts.values())) == 75


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({**{name: pa.array(values) for name, values in GOOD.items()}, **columns}), sink)
    return sink.getvalue()


def not_utf8(values: list[bytes]) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values).buffers())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda _: b"", SourceError, "table 'rows' cannot be read: Parquet file size is 0 bytes"),
        (lambda _: b"weight,pieces\n1,2\n" * 9, SourceError, "corrupted or this is not a parquet file"),
        (lambda content: content[:-10], SourceError, "corrupted or this is not a parquet file"),
        (lambda content: content[:20] + b"\xff" * 60 + content[80:], SourceError, "table 'rows' cannot be read: "),
        (lambda content: content[: len(content) // 2], SourceError, "corrupted or this is not a parquet file"),
        (
            lambda _: parquet(kind=pa.array([b"a", b"caf\xe9"])),
            TableError,
            r"rows\.kind: .*b'caf\\xe9' in row 1.*iconv",
        ),
        (
            lambda _: parquet(kind=not_utf8([b"a", b"\xff"])),
            TableError,
            r"rows\.kind: 1 of 2 rows are text that is not UTF",
        ),
        (lambda _: parquet(pieces=pa.array(["1", "x"])), TableError, r"rows\.pieces: 1 of 2 rows cannot.*'x' in row 1"),
        (lambda _: parquet(weight=pa.array([[1.0], [2.0]])), TableError, r"rows\.weight: 2 of 2 rows have type list"),
    ],
)
def test_a_parquet_file(change: Callable[[bytes], bytes], error: type[DataError], message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(change(parquet()))
    with pytest.raises(error, match=message) as refused:
        TableSource(PARCELS, str(path)).load()
    assert "\n" not in str(refused.value)


def test_parquet_files_of_one_folder_with_other_columns(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(parquet())
    pq.write_table(pa.table({"weight": [1.0]}), tmp_path / "2.parquet")
    with pytest.raises(SourceError, match=r"1\.parquet and 2\.parquet differ in having cost, kind, pieces"):
        TableSource(PARCELS, str(tmp_path)).load()
