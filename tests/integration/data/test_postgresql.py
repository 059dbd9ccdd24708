"""A query of PostgreSQL as a source, on a real server."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Source, SQLSource, read_query
from tabular_bento.data.sizes import Size
from tabular_bento.errors import DataError, SourceError, TableError
from tabular_bento.serving.ports import free_port
from tests.postgres import HOST, PostgreSQL

KINDS = {
    "name": Kind.TEXT,
    "code": Kind.TEXT,
    "key": Kind.TEXT,
    "mood": Kind.TEXT,
    "small": Kind.INTEGER,
    "big": Kind.INTEGER,
    "whole": Kind.INTEGER,
    "price": Kind.NUMBER,
    "single": Kind.NUMBER,
    "open": Kind.BOOLEAN,
    "day": Kind.DATE,
    "local": Kind.LOCAL_TIME,
    "instant": Kind.INSTANT,
}

EVERY = Problem(
    name="every",
    fields=tuple(Field(name, kind, name, optional=True) for name, kind in KINDS.items()),
    task=Regression(Field("cost", Kind.NUMBER, "Cost")),
)

CREATE = """
CREATE TYPE mood AS ENUM ('calm', 'loud');
CREATE TABLE every (name text, code char(6), key uuid, mood mood, small smallint, big bigint, whole numeric(12, 2),
    price numeric, single real, open boolean, day date, local timestamp, instant timestamptz, cost double precision);
INSERT INTO every VALUES
    ('Zoë', 'ab', '0d9e5f3c-3b0b-4c3e-9d6b-0f1f6f1b2a3c', 'loud', -3, 9007199254740991, 12.00, 0.1, 1.5, true,
     '2024-02-29', '2024-02-29 23:59:59.75', '2024-02-29 23:59:59.75+05:30', 2.5),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'NaN', 'NaN', NULL, NULL, NULL, NULL, NULL);
CREATE TABLE many AS SELECT g AS id, g % 7 AS size, g * 0.5 AS cost FROM generate_series(1, 200000) AS g;
"""

MANY = Problem(
    name="many",
    fields=(Field("id", Kind.INTEGER, "Id"), Field("size", Kind.INTEGER, "Size")),
    task=Regression(Field("cost", Kind.NUMBER, "Cost")),
    identifier="id",
)


@pytest.fixture(scope="module")
def server(postgresql: PostgreSQL) -> PostgreSQL:
    """The server with the tables of these tests."""
    postgresql.execute(CREATE)
    return postgresql


@pytest.fixture(autouse=True)
def _environment(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", server.uri)


def refused(source: SQLSource, server: PostgreSQL) -> str:
    """Why the source cannot be loaded; no password is in the message, the traceback or the source."""
    with pytest.raises(DataError) as error:
        source.load()
    shown = "".join(traceback.format_exception(error.value)) + repr(source.__dict__)
    password = server.password
    for spelling in {password, quote(password, safe=""), quote(password), *password.split("?")}:
        assert spelling not in shown
    return str(error.value)


def test_every_type_is_read_as_the_kind_of_its_field(server: PostgreSQL) -> None:
    source = SQLSource(EVERY, "SELECT * FROM every;")
    assert isinstance(source, Source)
    dataset = source.load()
    first = {name: values[0] for name, values in dataset.columns.items()}
    assert first == {
        "name": "Zoë",
        "code": "ab",
        "key": "0d9e5f3c-3b0b-4c3e-9d6b-0f1f6f1b2a3c",
        "mood": "loud",
        "small": -3,
        "big": 9007199254740991,
        "whole": 12,
        "price": 0.1,
        "single": 1.5,
        "open": 1,
        "day": 19782,
        "local": 1709251199,
        "instant": 1709231399750000,
    }
    for name, kind in KINDS.items():
        missing = dataset.columns[name][1]
        assert missing is None if kind is Kind.TEXT else np.isnan(missing), name
    assert np.array_equal(dataset.target, [2.5, np.nan], equal_nan=True)
    assert dataset.origin == {"database": server.where, "query": "SELECT * FROM every"}
    assert dataset.description == server.where


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1::money", r"SQL type money.*cost::numeric"),
        ("'1 day'::interval", r"SQL type interval.*cost::text"),
        ("'{}'::jsonb", r"SQL type jsonb.*cost::text"),
        ("ARRAY[1, 2]", r"SQL type _int4.*cast it in the query"),
        ("'\\x00'::bytea", r"SQL type bytea"),
        ("'1.2.3.4'::inet", r"SQL type inet"),
        ("'high'", r"rows\.cost: 2 of 2 rows cannot be read as double.*'high' in row 0.*in row 1"),
        ("day", r"rows\.cost: 2 of 2 rows have type date32"),
        ("'Infinity'::numeric", r"rows\.cost: 2 of 2 rows are infinite"),
    ],
)
def test_a_type_that_is_no_number_is_refused_as_one(expression: str, message: str) -> None:
    columns = ", ".join(KINDS)
    source = SQLSource(EVERY, f"SELECT {columns}, {expression} AS cost FROM every")
    with pytest.raises(TableError, match=message):
        source.load()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("instant AS local, instant", r"rows\.local: .*timestamp\[us, tz=UTC\].*has a time zone"),
        ("local, local AS instant", r"rows\.instant: .*has no time zone"),
        ("'infinity'::timestamp AS local, instant", r"rows\.local: 2 of 2 rows are before the year 1900 or after 2199"),
    ],
)
def test_a_time_of_another_kind_is_refused(given: str, message: str) -> None:
    others = ", ".join(name for name in KINDS if name not in ("local", "instant"))
    with pytest.raises(TableError, match=message):
        SQLSource(EVERY, f"SELECT {others}, {given}, cost FROM every").load()


def test_columns_of_other_names_are_mapped() -> None:
    query = 'SELECT id AS "Customer No.", size, cost AS total FROM many LIMIT 10'
    columns = {"id": "Customer No.", "cost": "total"}
    assert SQLSource(MANY, query, columns=columns).load().columns["id"].tolist() == list(range(1, 11))
    with pytest.raises(TableError, match=r"rows\.id: the column 'Customer No\.' is missing; the table has id, size"):
        SQLSource(MANY, "SELECT id, size, cost AS total FROM many", columns=columns).load()
    with pytest.raises(SourceError, match="columns: 'number' is neither a field nor the target"):
        SQLSource(MANY, query, columns={"number": "id"})
    with pytest.raises(SourceError, match="two fields are read from the column 'size'"):
        SQLSource(MANY, query, columns={"id": "size"})


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(TableError, match=r"rows\.size: the column occurs 2 times"):
        SQLSource(MANY, "SELECT *, 3 AS size FROM many").load()


def test_rows_have_an_order_whatever_the_database_gives_them() -> None:
    up, down = (SQLSource(MANY, f"SELECT * FROM many ORDER BY id {order}").load() for order in ("ASC", "DESC"))
    assert down.columns["id"][:3].tolist() == [1, 2, 3]
    assert up.fingerprint == down.fingerprint
    assert len(up) == 200_000


def test_its_size_is_known_without_reading_it() -> None:
    assert SQLSource(MANY, "SELECT * FROM many WHERE id <= 7 -- the first\n;").size() == Size(7)


def test_an_empty_result_is_refused() -> None:
    with pytest.raises(TableError, match="rows: the table has no rows"):
        SQLSource(MANY, "SELECT * FROM many WHERE false").load()


def test_a_table_beside_the_rows_is_another_query() -> None:
    from tabular_bento.data.tables import TableSchema

    schema = TableSchema("sizes", (Field("size", Kind.INTEGER, "Size"), Field("label", Kind.TEXT, "Label")), ("size",))
    tables = {"sizes": (schema, "SELECT DISTINCT size, 'size ' || size AS label FROM many")}
    dataset = SQLSource(MANY, "SELECT * FROM many LIMIT 10", tables=tables, fit_columns=["size"]).load()
    assert sorted(dataset.tables["sizes"]["label"].tolist()) == [f"size {number}" for number in range(7)]


def test_a_query_that_writes_is_refused_and_writes_nothing(server: PostgreSQL) -> None:
    for query in (
        "DELETE FROM many RETURNING id, size, cost",
        "WITH gone AS (DELETE FROM many RETURNING *) SELECT * FROM gone",
        "SELECT id, size, cost FROM many; DELETE FROM many",
    ):
        assert f"{server.where}: the query cannot be read: " in refused(SQLSource(MANY, query), server)
    assert server.execute("SELECT count(*) FROM many") == "200000"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT id, size, cost / (150000 - id) AS cost FROM many", "division by zero"),
    ],
)
def test_a_query_that_fails_says_why(query: str, reason: str, server: PostgreSQL) -> None:
    message = refused(SQLSource(MANY, query), server)
    assert message.startswith(f"{server.where}: the query cannot be read: ")
    assert reason in message


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(SourceError, match="query is empty"):
        SQLSource(MANY, " ; ")


def test_a_connection_that_breaks_while_rows_are_read_is_reported(server: PostgreSQL) -> None:
    query = (
        "SELECT id, CASE WHEN id = 150000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE 0 END AS size, cost "
        "FROM many"
    )
    message = refused(SQLSource(MANY, query), server)
    assert message.startswith(f"{server.where}: the query cannot be read: ")
    assert "terminat" in message or "closed" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": None}, r"cannot be reached: .*Connection refused\. Is the server running"),
        ({"host": "no-such-host.invalid"}, r"no-such-host\.invalid:\d+/sales cannot be reached: could not translate"),
        ({"password": "wrong"}, r"refuses the connection: password authentication failed for user \"trainer\""),
        ({"database": "nowhere"}, r"refuses the connection: database \"nowhere\" does not exist"),
        ({"parameters": "?sslmode=nonsense"}, r"cannot be reached: invalid sslmode value"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_database_that_is_down_or_refuses_says_which_and_why(
    change: dict[str, Any], message: str, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"password": server.password, "host": HOST, "port": server.port, "database": "sales", "parameters": ""}
    parts |= change
    port = free_port() if parts["port"] is None else parts["port"]
    password = quote(parts["password"], safe="")
    uri = f"postgresql://trainer:{password}@{parts['host']}:{port}/{parts['database']}{parts['parameters']}"
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", uri)
    found = refused(SQLSource(MANY, "SELECT * FROM many"), server)
    assert found.startswith(f"postgresql://{parts['host']}:{port}/{parts['database']} ")
    assert found.endswith("It is named by the environment variable TABULAR_BENTO_DATABASE.")
    assert re.search(message, found), found


def test_the_password_comes_from_the_environment_alone(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "SELECT * FROM many LIMIT 3"
    with pytest.raises(SourceError, match=r"URI holds a password.*TABULAR_BENTO_DATABASE") as error:
        SQLSource(MANY, query, server.uri)
    assert server.password not in str(error.value)

    source = SQLSource(MANY, query)
    with pytest.raises(SourceError, match="URI holds a password"):
        source.load(server.uri)

    monkeypatch.delenv("TABULAR_BENTO_DATABASE")
    assert "TABULAR_BENTO_DATABASE is not set" in refused(source, server)
    monkeypatch.setenv("SALES_DATABASE", server.uri)
    assert len(SQLSource(MANY, query, variable="SALES_DATABASE").load()) == 3

    without = urlsplit(server.where)._replace(netloc=f"trainer@{HOST}:{server.port}").geturl()
    assert "no password supplied" in refused(SQLSource(MANY, query, without), server)
    monkeypatch.setenv("PGPASSWORD", server.password)
    dataset = SQLSource(MANY, query, without).load()
    assert dataset.origin["database"] == server.where


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p?ss", "12?ss", "p%zz", "p#ss"])
def test_a_password_that_is_not_escaped_is_not_taken_for_a_host(
    password: str, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", f"postgresql://trainer:{password}@{HOST}:{server.port}/sales")
    message = refused(SQLSource(MANY, "SELECT * FROM many"), server)
    assert "TABULAR_BENTO_DATABASE holds cannot be read" in message
    assert password not in message
    assert "%40" in message


def test_a_password_in_a_query_is_not_written_down() -> None:
    query = "SELECT *, 'host=db password=hidden-one user=x' AS remote FROM many LIMIT 3"
    assert "hidden-one" not in str(SQLSource(MANY, query).load().origin)


def test_a_query_is_read_in_its_own_types() -> None:
    table = read_query("SELECT name, whole, day FROM every ORDER BY name", rows=1)
    assert table.to_pydict() == {"name": ["Zoë"], "whole": [12.0], "day": [table["day"][0].as_py()]}
    with pytest.raises(SourceError, match=r"relation \"nowhere\" does not exist"):
        read_query("SELECT * FROM nowhere")


@pytest.fixture
def latin1(server: PostgreSQL) -> Iterator[str]:
    """A database that holds text in Latin-1."""
    server.execute("CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", database="postgres")
    yield server.uri.replace("/sales", "/latin1")
    server.execute("DROP DATABASE latin1 WITH (FORCE)", database="postgres")


def test_text_of_a_database_in_another_encoding_is_read(latin1: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", latin1)
    assert read_query("SELECT 'Zo' || chr(235) AS name")["name"].to_pylist() == ["Zoë"]


def test_none_of_it_needs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: PostgreSQL) -> None:
    monkeypatch.chdir(tmp_path)
    SQLSource(MANY, "SELECT * FROM many LIMIT 3").load()
    refused(SQLSource(MANY, "SELECT * FROM nowhere"), server)
    assert list(tmp_path.iterdir()) == []
