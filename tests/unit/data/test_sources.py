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


SENT = Problem(
    name="sent",
    fields=(Field("at", Kind.INSTANT, "At", optional=True), Field("pieces", Kind.INTEGER, "Pieces")),
    task=Regression(Field("cost", Kind.NUMBER, "Cost")),
)


@pytest.mark.parametrize(("unit", "count"), [("s", 1_714_566_600), ("ms", 1_714_566_600_000)])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_integers_that_count_to_instants(tmp_path: Path, suffix: str, unit: str, count: int) -> None:
    path = tmp_path / f"rows{suffix}"
    table = pa.table({"ts": pa.array([count, None, count + 1]), "pieces": [1, 2, 3], "cost": [1.0, 2.0, 3.0]})
    (pa.csv.write_csv if suffix == ".csv" else pq.write_table)(table, path)
    dataset = TableSource(SENT, str(path), columns={"at": "ts"}, epochs={"at": unit}).load()
    step = 1_000_000 if unit == "s" else 1_000
    instant = 1_714_566_600_000_000
    assert np.array_equal(dataset.columns["at"], [instant, np.nan, instant + step], equal_nan=True)
    as_text = tmp_path / "text.csv"
    as_text.write_text("at,pieces,cost\n2024-05-01T12:30:00Z,1,1\n")
    assert TableSource(SENT, str(as_text)).load().columns["at"][0] == instant


def test_what_does_not_count_to_an_instant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("at,pieces,cost\n2024-05-01,1,1\n")
    with pytest.raises(TableError, match=r"rows\.at: 1 of 1 rows cannot be read as int64"):
        TableSource(SENT, str(path), epochs={"at": "s"}).load()
    path.write_text("at,pieces,cost\n1714566600000,1,1\n")
    with pytest.raises(TableError, match=r"rows\.at: 1 of 1 rows are before the year 1900 or after 2199"):
        TableSource(SENT, str(path), epochs={"at": "s"}).load()
    path.write_text("at,pieces,cost\n1714566600,1,1\n")
    with pytest.raises(TableError, match=r"rows\.at: 1 of 1 rows have type int64, which is no timestamp.*`epochs`"):
        TableSource(SENT, write_parquet(tmp_path, path)).load()


def write_parquet(folder: Path, path: Path) -> str:
    pq.write_table(pa.csv.read_csv(path), folder / "rows.parquet")
    return str(folder / "rows.parquet")


def test_only_instants_are_counted_to_and_in_known_units() -> None:
    with pytest.raises(SourceError, match=r"epochs: 'pieces' is no field of kind INSTANT.*those are at"):
        TableSource(SENT, "rows.csv", epochs={"pieces": "s"})
    with pytest.raises(SourceError, match=r"epochs: 'seconds' of 'at' is no unit; it is one of 's', 'ms'"):
        TableSource(SENT, "rows.csv", epochs={"at": "seconds"})
