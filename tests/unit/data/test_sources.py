from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Dataset, FunctionSource, Source, TableSource
from tabular_bento.data.tables import TableSchema
from tabular_bento.errors import SourceError, TableError
from tests.unit.models import PARCELS, parcels

TABLE = pa.table({"weight": [1.0, 2.5], "pieces": [1, 2], "kind": ["007", "tube"], "cost": [3.0, None]})


def csv() -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(TABLE, sink)
    return sink.getvalue()


def expected(dataset: Dataset) -> None:
    assert dataset.columns["kind"].tolist() == ["007", "tube"]
    assert dataset.columns["pieces"].tolist() == [1, 2]
    assert np.array_equal(dataset.target, [3.0, np.nan], equal_nan=True)
    assert dataset.fingerprint == Dataset.of_table(PARCELS, TABLE).fingerprint


def write(folder: Path, name: str) -> str:
    path = folder / name
    match path.suffixes:
        case [".parquet"]:
            pq.write_table(TABLE, path)
        case [".csv"]:
            path.write_bytes(csv())
        case [".csv", ".gz"]:
            path.write_bytes(gzip.compress(csv()))
        case [".csv", ".zip"]:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("anything.csv", csv())
        case _:
            path.mkdir()
            for number in range(2):
                pq.write_table(TABLE.slice(number, 1), path / f"{number}.parquet")
    return str(path)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz", "rows.csv.zip", "rows"])
def test_a_table_in_any_format_is_the_same_data_set(tmp_path: Path, name: str) -> None:
    source = TableSource(PARCELS, write(tmp_path, name))
    assert isinstance(source, Source)
    expected(source.load())


def test_a_uri_takes_the_place_of_the_source_s_own(tmp_path: Path) -> None:
    source = TableSource(PARCELS, "/nowhere.csv")
    expected(source.load(write(tmp_path, "rows.csv")))
    system = fsspec.filesystem("memory")
    system.pipe_file("/parcels/rows.csv", csv())
    try:
        expected(source.load("memory://parcels/rows.csv"))
    finally:
        system.rm("/parcels", recursive=True)
    with pytest.raises(SourceError, match=r"/nowhere\.csv: there is no such file"):
        source.load()


def test_a_file_of_an_installed_package_is_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some_parcels"
    (folder / "tables").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError")
    write(folder / "tables", "rows.csv")
    monkeypatch.syspath_prepend(str(tmp_path))
    expected(TableSource(PARCELS, "package://some_parcels/tables/rows.csv").load())


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Gross Weight,Pcs,Kind,EUR\n1,1,007,3\n2.5,2,tube,\n")
    names = {"weight": "Gross Weight", "pieces": "Pcs", "kind": "Kind", "cost": "EUR"}
    expected(TableSource(PARCELS, str(path), columns=names).load())
    with pytest.raises(TableError, match=r"rows\.cost: the column 'USD' is missing; the table has .*EUR"):
        TableSource(PARCELS, str(path), columns={**names, "cost": "USD"}).load()


def test_tables_beside_the_rows_and_columns_for_fitting(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("weight,pieces,kind,cost,hours\n1,1,a,3,2\n2,1,b,4,\n")
    places = tmp_path / "places.csv"
    places.write_text("name,people\na,5\nb,\n")
    schema = TableSchema(
        "places",
        (Field("name", Kind.TEXT, "Name"), Field("people", Kind.INTEGER, "People", optional=True)),
        key=("name",),
    )
    source = TableSource(PARCELS, str(path), fit_columns=["hours"], tables={"places": (schema, str(places))})
    dataset = source.load()
    assert np.array_equal(dataset.fit_columns["hours"], [2.0, np.nan], equal_nan=True)
    assert np.array_equal(dataset.tables["places"]["people"], [5.0, np.nan], equal_nan=True)


def test_a_function_gives_a_table() -> None:
    source = FunctionSource(PARCELS, lambda: TABLE, description="two parcels")
    assert isinstance(source, Source)
    expected(source.load())
    assert source.load().description == "two parcels"
    with pytest.raises(SourceError, match="leave the URI out"):
        source.load("s3://bucket/rows.csv")


def test_scikit_learn_s_diabetes_is_one_line() -> None:
    from sklearn.datasets import load_diabetes

    names = load_diabetes().feature_names
    problem = Problem(
        name="diabetes",
        fields=tuple(Field(name, Kind.NUMBER, name) for name in names),
        task=Regression(Field("target", Kind.NUMBER, "Progression in a year")),
    )
    dataset = FunctionSource(problem, lambda: load_diabetes(as_frame=True).frame).load()
    assert (len(dataset), bool(dataset.labelled.all())) == (442, True)


@pytest.mark.parametrize("table", [3, [1, 2], {"weight": [[1], [2, 3]]}])
def test_what_is_no_table_is_refused(table: Any) -> None:
    with pytest.raises(TableError):
        FunctionSource(PARCELS, lambda: table).load()


def test_the_rows_of_these_tests_have_gaps() -> None:
    assert not parcels().labelled.all()
