from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular_bento.data.raw import fetch
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import SourceError, TableError
from tabular_bento.schema import Field, Kind

SCHEMA = TableSchema(
    "trips",
    (
        Field("id", Kind.INTEGER, "Number"),
        Field("month", Kind.INTEGER, "Month"),
        Field("place", Kind.TEXT, "Code", optional=True),
        Field("delay", Kind.NUMBER, "Delay", optional=True),
    ),
    key=("id",),
)
TABLE = pa.table({"id": [1, 2, 3], "month": [1, 1, 2], "place": ["JFK", None, "EWR"], "delay": [1.5, 2.0, None]})
CSV = b"extra,id,month,place,delay\nx,1,1,JFK,1.5\nx,2,1,NA,2\nx,3,2,EWR,\n"


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return sink.getvalue()


FORMATS = {
    "trips.csv": CSV,
    "trips.csv.zip": zipped(trips=CSV),
    "trips.parquet": parquet(TABLE),
}


def write(folder: str, files: dict[str, bytes]) -> str:
    filesystem, path = fsspec.core.url_to_fs(folder)
    for name, content in files.items():
        filesystem.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(f"{path}/{name}", content)
    return folder


def read(uri: str) -> pa.Table:
    return check_table(fetch(uri, ["trips"])["trips"].read(SCHEMA), SCHEMA)


@pytest.fixture(params=["path", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield {"path": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://trips-source"}[request.param]
    if request.param == "memory":
        fsspec.filesystem("memory").rm("/trips-source", recursive=True)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_give_the_same_table(folder: str, name: str) -> None:
    assert read(write(folder, {name: FORMATS[name]})).equals(TABLE)


def test_folder_of_parquet_files(folder: str) -> None:
    parts = {
        "trips.parquet/b/2.parquet": parquet(TABLE.slice(2)),
        "trips.parquet/1.parquet": parquet(TABLE.slice(0, 2)),
    }
    litter = {"trips.parquet/_metadata": b"x", "trips.parquet/.1.parquet": b"x", "trips.parquet/_SUCCESS": b""}
    assert read(write(folder, parts | litter)).equals(TABLE)


def test_column_held_in_the_path(folder: str) -> None:
    parts = {
        f"trips.parquet/month={month}/part-0.parquet": parquet(
            TABLE.filter(pa.compute.field("month") == month).drop("month")
        )
        for month in (1, 2)
    }
    assert read(write(folder, parts)).equals(TABLE)


def test_digest_is_of_the_bytes(folder: str) -> None:
    first = fetch(write(folder, {"trips.csv": CSV}), ["trips"])["trips"].sha256
    assert fetch(folder, ["trips"])["trips"].sha256 == first
    assert fetch(write(folder, {"trips.csv": CSV + b"\n"}), ["trips"])["trips"].sha256 != first


def test_zip_with_several_members_takes_the_named_one(tmp_path: Path) -> None:
    archive = zipped(readme=b"hello", trips=CSV)
    assert read(write(str(tmp_path), {"trips.csv.zip": archive})).equals(TABLE)


def test_bad_value_in_csv_is_named(folder: str) -> None:
    uri = write(folder, {"trips.csv": CSV.replace(b"x,2,1", b"x,two,1")})
    with pytest.raises(TableError, match=r"trips\.id: 1 of 3 rows cannot be read as int64.*'two' in row 1"):
        read(uri)


def test_missing_column_of_csv_is_named(folder: str) -> None:
    uri = write(folder, {"trips.csv": CSV.replace(b"delay", b"late")})
    with pytest.raises(TableError, match=r"trips\.delay: the column is missing"):
        read(uri)


def test_repeated_column_of_csv_is_named(tmp_path: Path) -> None:
    uri = write(str(tmp_path), {"trips.csv": CSV.replace(b"extra", b"id").replace(b"x,", b"7,")})
    with pytest.raises(TableError, match=r"trips\.id: the column occurs 2 times"):
        read(uri)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"other.csv": CSV}, r"table 'trips' is not there \(looked for trips\.parquet, trips\.csv, trips\.csv\.zip\)"),
        ({"trips.csv": CSV, "trips.parquet": b""}, "table 'trips' is there as trips.parquet and trips.csv; keep one"),
        ({"trips.parquet/readme": b""}, "table 'trips' is a folder without .parquet files"),
        ({"trips.parquet": b"not parquet"}, "table 'trips' cannot be read"),
        ({"trips.csv.zip": b"not a zip"}, "table 'trips' cannot be read: File is not a zip file"),
        ({"trips.csv.zip": zipped(a=CSV, b=CSV)}, "table 'trips' cannot be read: the archive holds 2 files"),
        ({"trips.csv": b""}, "table 'trips' cannot be read"),
        ({"trips.csv": CSV + b"1,2\n"}, "table 'trips' cannot be read: .*Expected 5 columns, got 2"),
        (
            {"trips.parquet/1.parquet": parquet(TABLE), "trips.parquet/2.parquet": parquet(TABLE.drop("delay"))},
            r"trips.parquet/1.parquet and trips.parquet/2.parquet differ in having delay",
        ),
    ],
)
def test_refuses(folder: str, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        read(write(folder, files))
    assert str(refused.value).startswith(folder)


@pytest.mark.parametrize("uri", ["/no/such/folder", "file:///no/such/folder", "memory://no-such-folder"])
def test_refuses_missing_folder(uri: str) -> None:
    with pytest.raises(SourceError, match=f"^{uri}: there is no such folder"):
        fetch(uri, ["trips"])


@pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_names_the_package_a_protocol_needs(protocol: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"{protocol}://bucket/flights: {protocol}:// needs a package, `pip install 'tabular-bento\[{protocol}\]'`"
    with pytest.raises(SourceError, match=wanted):
        fetch(f"{protocol}://bucket/flights", ["trips"])


def test_refuses_unknown_protocol() -> None:
    with pytest.raises(SourceError, match="nope://x: cannot be opened: Protocol not known: nope"):
        fetch("nope://x", ["trips"])


@pytest.mark.parametrize("name", ["no_such_package", "../etc", "sys", ""])
def test_refuses_missing_package(name: str) -> None:
    with pytest.raises(SourceError, match="there is no installed package"):
        fetch(f"package://{name}", ["trips"])
