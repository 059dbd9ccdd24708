"""CSV files as people export them, and what is said of those that cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Dataset, TableSource
from tabular_bento.data.csv_files import reader
from tabular_bento.errors import DataError, SourceError, TableError

PROBLEM = Problem(
    name="orders",
    fields=(
        Field("customer", Kind.TEXT, "Customer"),
        Field("pieces", Kind.INTEGER, "Pieces", optional=True),
        Field("weight", Kind.NUMBER, "Weight", optional=True),
        Field("paid", Kind.BOOLEAN, "Paid", optional=True),
        Field("day", Kind.DATE, "Day", optional=True),
        Field("ordered", Kind.LOCAL_TIME, "Ordered", optional=True),
        Field("sent", Kind.INSTANT, "Sent", optional=True),
    ),
    task=Regression(Field("price", Kind.NUMBER, "Price")),
)
HEADER = "customer,pieces,weight,paid,day,ordered,sent,price\n"
ROW = "Zoë,3,1.5,true,2024-02-29,2024-02-29T12:30:00,2024-02-29T12:30:00Z,9.5\n"


def load(tmp_path: Path, content: str | bytes, name: str = "orders.csv") -> Dataset:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TableSource(PROBLEM, str(path)).load()


def values(dataset: Dataset) -> dict[str, object]:
    return {name: column[0] for name, column in dataset.columns.items()} | {"price": dataset.target[0]}


def first(tmp_path: Path) -> dict[str, object]:
    return values(load(tmp_path, HEADER + ROW))


def test_types_are_those_of_the_fields(tmp_path: Path) -> None:
    assert first(tmp_path) == {
        "customer": "Zoë",
        "pieces": 3,
        "weight": 1.5,
        "paid": 1,
        "day": 19782,
        "ordered": 1709209800,
        "sent": 1709209800000000,
        "price": 9.5,
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_may_be_separated_by_other_than_commas(delimiter: str, tmp_path: Path) -> None:
    assert values(load(tmp_path, (HEADER + ROW).replace(",", delimiter))) == first(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("2024-02-29T12:30:00,", "2024-02-29 12:30,"),
        lambda text: text.replace("2024-02-29T12:30:00Z", "2024-02-29 14:30:00+02:00"),
        lambda text: text.replace(",3,", ",3.0,").replace("true", "True"),
        lambda text: text.replace("customer,pieces", "pieces,customer").replace("Zoë,3", "3,Zoë"),
        lambda text: text.replace(HEADER, HEADER.replace("price", "price,note")).replace("9.5\n", '9.5,"a\nb"\n'),
    ],
    ids=["mark", "crlf", "no seconds", "offset", "as pandas writes", "another order", "another column"],
)
def test_spellings_that_mean_the_same(change: object, tmp_path: Path) -> None:
    assert callable(change)
    assert values(load(tmp_path, change(HEADER + ROW))) == first(tmp_path)


def test_quoted_texts_may_hold_line_breaks_commas_and_quotes(tmp_path: Path) -> None:
    names = ['Smith, "Ann"\nBerlin', "line\r\nbreak", "x" * 3_000_000]
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerow(HEADER.strip().split(","))
    for name in names * 50:
        writer.writerow([name[:200], *ROW.strip().split(",")[1:]])
    writer.writerow([names[2], *ROW.strip().split(",")[1:]])
    dataset = load(tmp_path, content.getvalue())
    assert dataset.columns["customer"][:2].tolist() == names[:2]
    assert dataset.columns["customer"][-1] == names[2]
    assert len(dataset) == 151


def test_thousands_of_columns(tmp_path: Path) -> None:
    fields = tuple(Field(f"number_{index}", Kind.NUMBER, "Number") for index in range(5000))
    problem = Problem(name="wide", fields=fields, task=Regression(Field("y", Kind.NUMBER, "y")))
    header = ",".join([*problem.field_names, "y"])
    rows = "\n".join(",".join(str(row * column % 977) for column in range(5001)) for row in range(30))
    (tmp_path / "wide.csv").write_text(f"{header}\n{rows}\n")
    dataset = TableSource(problem, str(tmp_path / "wide.csv")).load()
    assert (len(dataset), dataset.columns["number_4999"][2]) == (30, 9998 % 977)

    (tmp_path / "wide.csv").write_text(f"{header}x\n{rows}\n")
    with pytest.raises(TableError, match=r"rows\.y: the column is missing; .*number_19 and 4981 more$"):
        TableSource(problem, str(tmp_path / "wide.csv")).load()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2024-02-29,", "03/04/2024,", r"rows\.day: .*'03/04/2024' in row 0.*ISO 8601.*not known which is the day"),
        ("2024-02-29,", "31.03.2024,", r"rows\.day: .*has the day first"),
        ("2024-02-29,", "3/31/24,", r"rows\.day: .*has the month first"),
        ("2024-02-29,", "2024-02-30,", r"rows\.day: .*'2024-02-30'"),
        ("2024-02-29,", "2024-02-29 12:00:00,", r"rows\.day: .*declare the field as a local time"),
        ("T12:30:00,", "T12:30:00Z,", r"rows\.ordered: .*A local time has no offset"),
        ("T12:30:00Z", "T12:30:00", r"rows\.sent: .*An instant has an offset, such as 2024-02-29T12:30:00Z"),
        (",1.5,", ',"1,5",', r"rows\.weight: .*'1,5' in row 0.*decimal point: 1\.5"),
        (",3,", ",many,", r"rows\.pieces: 1 of 1 rows cannot be read as int64.*'many' in row 0"),
        (",3,", ",3.5,", r"rows\.pieces: 1 of 1 rows cannot be read as int64.*'3\.5'"),
        (",true,", ",yes,", r"rows\.paid: .*'yes' in row 0.*true and false"),
        ("Zoë", "", r"rows\.customer: 1 of 1 rows have no value"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_what_to_do(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=message):
        load(tmp_path, HEADER + ROW.replace(old, new, 1))


def test_the_rows_of_a_column_of_mixed_types_are_named(tmp_path: Path) -> None:
    rows = [ROW.replace(",3,", ",three,") if row % 3 == 1 else ROW for row in range(30)]
    with pytest.raises(
        TableError, match=r"rows\.pieces: 10 of 30 .*'three' in row 1 .*rows 4, 7, 10, 13, 16 and 4 more"
    ):
        load(tmp_path, HEADER + "".join(rows))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", SourceError, "the file is empty"),
        ("\n\n", SourceError, "the file is empty"),
        (HEADER, TableError, "rows: the table has no rows"),
        (HEADER.strip(), TableError, "rows: the table has no rows"),
        (
            HEADER.replace("weight", "price") + ROW,
            TableError,
            r"rows\.weight: the column is missing; the table has cust",
        ),
        (HEADER.replace("sent", "day") + ROW, TableError, r"rows\.day: the column occurs 2 times"),
        ((HEADER + ROW).encode("latin-1"), SourceError, r"line 2, byte 3 of it, is 0xEB, which is not UTF-8.*iconv"),
        ((HEADER + ROW).encode("utf-16"), SourceError, r"UTF-16.*iconv -f UTF-16"),
        (HEADER.replace("day", "dâte").encode("latin-1"), SourceError, r"line 1, byte 30 of it, is 0xE2"),
        (HEADER + ROW + "Ann,3\n" + ROW, SourceError, r"Row #3: Expected 8 columns, got 2"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    content: str | bytes, error: type[DataError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as refused:
        load(tmp_path, content)
    if error is SourceError:
        assert str(refused.value).startswith(str(tmp_path / "orders.csv"))


def test_bytes_that_are_not_utf8_do_not_matter_in_a_column_that_is_not_read(tmp_path: Path) -> None:
    content = HEADER.replace("price", "price,note") + ROW.replace("9.5\n", "9.5,caf\n")
    assert values(load(tmp_path, content.encode().replace(b"caf", b"caf\xe9"))) == first(tmp_path)


@pytest.mark.parametrize("cut", [20, -10, -4])
def test_a_damaged_archive_is_refused(cut: int, tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + ROW * 100).encode())
    with pytest.raises(SourceError, match=r"orders\.csv\.gz: table 'rows' cannot be read"):
        load(tmp_path, whole[:cut], "orders.csv.gz")
    damaged = bytearray(whole)
    damaged[cut] ^= 0xFF
    with pytest.raises(SourceError, match=r"orders\.csv\.gz: table 'rows' cannot be read"):
        load(tmp_path, bytes(damaged), "orders.csv.gz")


def test_arrow_reads_memory_of_its_own() -> None:
    """A thread of Arrow's that frees Python's memory while the interpreter ends would abort the process."""
    content = (HEADER + ROW).encode()
    before = sys.getrefcount(content)
    made = reader(content)
    assert sys.getrefcount(content) == before
    assert made.read() == content


@pytest.mark.parametrize(
    "text",
    ["2024-02-29 12:30:00 UTC", "2024-02-29T12:30:00GMT", "2024-02-29 12:30 UTC", "2024-02-29 13:30:00.0000000 +01:00"],
)
def test_an_instant_may_end_with_the_name_of_utc_or_an_offset_after_a_space(tmp_path: Path, text: str) -> None:
    content = HEADER + ROW.replace("2024-02-29T12:30:00Z", text)
    assert values(load(tmp_path, content)) == first(tmp_path)


@pytest.mark.parametrize("text", ["2024-02-29 12:30:00 CET", "2024-02-29 12:30:00 UTC+1", "12:30 UTC"])
def test_another_name_of_a_zone_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TableError, match=r"rows\.sent: 1 of 1 rows cannot be read as timestamp"):
        load(tmp_path, HEADER + ROW.replace("2024-02-29T12:30:00Z", text))


def test_beside_an_instant_that_is_read_as_text_numbers_have_their_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    row = ROW.replace(",", ";").replace("1.5", "1,5").replace("9.5", "9,5").replace("00Z", "00 UTC")
    path.write_text(HEADER.replace(",", ";") + row)
    assert values(TableSource(PROBLEM, str(path), decimal=",").load()) == first(tmp_path)


def test_dates_in_another_order_may_have_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + ROW.replace("2024-02-29", "29.02.2024").replace("00Z", "00 UTC"))
    assert values(TableSource(PROBLEM, str(path), dates="DMY").load()) == first(tmp_path)
