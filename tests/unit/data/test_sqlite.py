"""A query of SQLite as a source."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Dataset, SQLSource, read_query
from tabular_bento.data.sizes import Size
from tabular_bento.errors import DataError, SourceError, TableError

KINDS = {
    "name": Kind.TEXT,
    "pieces": Kind.INTEGER,
    "weight": Kind.NUMBER,
    "paid": Kind.BOOLEAN,
    "day": Kind.DATE,
    "ordered": Kind.LOCAL_TIME,
    "sent": Kind.INSTANT,
}
PROBLEM = Problem(
    name="orders",
    fields=tuple(Field(name, kind, name, optional=True) for name, kind in KINDS.items()),
    task=Regression(Field("price", Kind.NUMBER, "Price")),
    event_time=None,
)
ROWS = 3000
"""More than the driver takes the types of columns from."""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A database whose values have the types that SQLite gives them: whole numbers among others, text for times."""
    path = tmp_path / "orders.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (name, pieces, weight, paid, day, ordered, sent, price, mixed)")
        times = ("2024-02-29", "2024-02-29 12:30:00", "2024-02-29T12:30:00Z")
        rows = [
            (None,) * 8 + (0,)
            if row < 1500
            else (f"n{row}", row, row if row % 2 else row + 0.5, row % 2, *times, 0.1, 1)
            for row in range(ROWS)
        ]
        connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * 9)})", rows)
        connection.execute("UPDATE orders SET mixed = 'two' WHERE pieces IN (2000, 2010)")
    connection.close()
    return f"sqlite:///{path}"


def load(uri: str, query: str = "SELECT * FROM orders") -> Dataset:
    return SQLSource(PROBLEM, query, uri).load()


def test_every_value_has_the_kind_of_its_field(uri: str) -> None:
    dataset = load(uri)
    row = int(np.flatnonzero(dataset.columns["pieces"] == 2001)[0])
    assert {name: values[row] for name, values in dataset.columns.items()} == {
        "name": "n2001",
        "pieces": 2001,
        "weight": 2001.0,
        "paid": 1,
        "day": 19782,
        "ordered": 1709209800,
        "sent": 1709209800000000,
    }
    assert (len(dataset), int(dataset.labelled.sum())) == (ROWS, 1500)
    assert np.isnan(dataset.columns["weight"]).sum() == 1500
    assert dataset.target[row] == 0.1
    assert dataset.origin == {"database": uri, "query": "SELECT * FROM orders"}
    assert SQLSource(PROBLEM, "SELECT * FROM orders WHERE pieces > 2995", uri).size() == Size(4)


def test_the_rows_do_not_depend_on_the_order_of_the_query(uri: str) -> None:
    fingerprints = {load(uri, f"SELECT * FROM orders ORDER BY {key}").fingerprint for key in ("pieces", "-pieces")}
    assert len(fingerprints) == 1


def test_booleans_may_be_texts_and_numbers_too(uri: str) -> None:
    texts = "CASE paid WHEN 1 THEN 'true' WHEN 0 THEN 'false' END AS paid"
    others = ", ".join(name for name in (*KINDS, "price") if name != "paid")
    assert load(uri, f"SELECT {others}, {texts} FROM orders").fingerprint == load(uri).fingerprint


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("mixed AS weight", r"rows\.weight: 2 of 3000 rows cannot be read as double.*'two' in row 2000 .*in row 2010"),
        ("name AS weight", r"rows\.weight: 1500 of 3000 rows cannot be read as double"),
        ("pieces + 0.5 AS weight, 1.5 AS pieces", r"rows\.pieces: 3000 of 3000 rows cannot be read as int64.*1\.5"),
        ("'29.02.2024' AS day, weight", r"rows\.day: .*'29\.02\.2024'.*has the day first"),
        ("1709164800 AS day, weight", r"rows\.day: .*'1709164800'"),
        ("CAST(x'ff41' AS text) AS name, weight", r"rows\.name: 3000 of 3000 rows are text that is not UTF-8"),
        ("3 AS wait", r"rows\.weight: the column is missing; the table has .*wait"),
        ("weight, 1 AS weight", r"rows\.weight: the column occurs 2 times"),
    ],
)
def test_values_that_do_not_fit_are_named(column: str, message: str, uri: str) -> None:
    given = {"weight"} | {name for name in KINDS if f"AS {name}" in column}
    others = ", ".join(name for name in (*KINDS, "price") if name not in given)
    with pytest.raises(TableError, match=message):
        load(uri, f"SELECT {others}, {column} FROM orders")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("DELETE FROM orders RETURNING *", "readonly database"),
    ],
)
def test_a_query_that_fails_says_why_and_writes_nothing(query: str, message: str, uri: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        load(uri, query)
    assert str(error.value).startswith(f"{uri}: the query cannot be read: ")
    assert len(load(uri)) == ROWS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sqlite:///{folder}/none.db", r"none\.db cannot be opened: there is no file .*none\.db"),
        ("sqlite:///{folder}/text.db", r"text\.db cannot be opened: file is not a database"),
        ("mysql://host/orders", "no URI of a database"),
        ("orders.csv", "no URI of a database"),
    ],
)
def test_what_is_no_database_is_refused_and_not_made(given: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, and longer than the header of one\n" * 50)
    with pytest.raises(DataError, match=message):
        load(given.format(folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]


def test_a_path_will_do_and_so_will_the_environment(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(uri).fingerprint
    assert load(uri.removeprefix("sqlite:///")).fingerprint == expected
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", uri)
    assert SQLSource(PROBLEM, "SELECT * FROM orders").load().fingerprint == expected
    assert SQLSource(PROBLEM, "SELECT * FROM orders", "sqlite:///elsewhere.db").load(uri).fingerprint == expected


def test_a_query_is_read_in_its_own_types(uri: str) -> None:
    table = read_query("SELECT pieces, name FROM orders WHERE pieces > 2000 ORDER BY pieces", uri, rows=2)
    assert table.to_pydict() == {"pieces": [2001, 2002], "name": ["n2001", "n2002"]}


def test_the_driver_that_is_missing_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    with pytest.raises(SourceError, match=r"pip install 'tabular-bento\[sql\]'"):
        load(uri)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000)])
def test_integers_that_count_to_instants(uri: str, unit: str, factor: int) -> None:
    query = f"SELECT o.*, (1709209800 + coalesce(pieces, 0)) * {factor} AS ts FROM orders o"
    dataset = SQLSource(PROBLEM, query, uri, columns={"sent": "ts"}, epochs={"sent": unit}).load()
    pieces = np.nan_to_num(dataset.columns["pieces"])
    assert np.array_equal(dataset.columns["sent"], (1709209800 + pieces) * 1e6)
    with pytest.raises(TableError, match=r"rows\.sent: .* cannot be read as timestamp"):
        SQLSource(PROBLEM, query, uri, columns={"sent": "ts"}).load()
