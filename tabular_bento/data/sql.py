"""A query of a database as a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.data.database import VARIABLE, Session, clean, database
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.epochs import as_integers, checked_epochs, with_instants
from tabular_bento.data.names import checked_columns, present_fields
from tabular_bento.data.sizes import Size
from tabular_bento.data.tables import TableSchema, check_names, check_table
from tabular_bento.data.uris import check_uri
from tabular_bento.errors import SourceError, TableError
from tabular_bento.problem import Problem
from tabular_bento.schema import Field, Kind

_TYPE = b"POSTGRESQL:type"
_WITHOUT_EQUAL: Mapping[str, str] = {
    "money": "numeric", "interval": "text", "bytea": "text", "json": "text", "jsonb": "text",
}  # fmt: skip
"""Types that no kind of a field stands for, and what to cast them to."""


class SQLSource:
    """The rows of a query, read from PostgreSQL or SQLite by ADBC, in one transaction that writes nothing.

    The password comes from the environment alone: in the URI that the variable holds, or, where the project names a URI
    without one, from the variables and files of libpq, such as PGPASSWORD. A query promises no order, so rows are put
    into that of event time, identifier and all other columns: the same rows are the same data set.

    | kind | PostgreSQL | SQLite |
    |---|---|---|
    | TEXT | text, varchar, char without its padding, enum, uuid, numbers as written | text, numbers as written |
    | INTEGER | smallint, integer, bigint, numeric without decimals | integer |
    | NUMBER | all numbers, numeric too; NaN is missing | integer, real |
    | BOOLEAN | boolean; 0 and 1 | 0 and 1; `true` and `false` |
    | DATE | date; timestamps at midnight | text in ISO 8601 |
    | LOCAL_TIME | timestamp, date | text in ISO 8601 |
    | INSTANT | timestamp with time zone | text in ISO 8601 with an offset |

    NULL is a missing value. A type that is not named is refused, with the cast that the query needs.

    Parameters
    ----------
    problem : Problem
        Its fields and target are the columns that are read; a row without a target is a row without a label.
    query : str
        One SELECT.
    uri : str, optional
        `postgresql://HOST:PORT/DATABASE` without a password, or `sqlite:///FILE`; by default what the environment
        variable holds.
    columns : mapping, optional
        The query's column of each field whose name is another one.
    variable : str, optional
        The environment variable.
    fit_columns : sequence of str or Field, optional
        Columns that only fitting needs.
    tables : mapping, optional
        By name of a table beside the rows: its `TableSchema` and query.
    description : str, optional
        What the rows are, in one line; by default where they are from.
    epochs : mapping, optional
        By field of kind INSTANT that the query returns as integers: their unit since 1970 in UTC, `s` or `ms`.

    Raises
    ------
    SourceError
        Where the URI holds a password, the query is empty, `columns` names what is no field, or `epochs` what is no
        instant.
    """

    def __init__(
        self,
        problem: Problem,
        query: str,
        uri: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        variable: str = VARIABLE,
        fit_columns: Sequence[str | Field] = (),
        tables: Mapping[str, tuple[TableSchema, str]] | None = None,
        description: str = "",
        epochs: Mapping[str, str] | None = None,
    ) -> None:
        if uri is not None:
            check_uri(uri)
        if not clean(query):
            raise SourceError("The query is empty: it is one SELECT.")
        self.problem = problem
        self.query = query
        self.uri = uri
        self.columns = checked_columns(problem, columns, fit_columns)
        self.variable = variable
        self.fit_columns = tuple(fit_columns)
        self.tables = dict(tables or {})
        self.description = description
        self.epochs = checked_epochs(problem, epochs, fit_columns)

    def load(self, uri: str | None = None) -> Dataset:
        """The data set of the query's rows, from the database at `uri` where one is given.

        Raises
        ------
        SourceError
            Where the database cannot be reached, or refuses the query.
        TableError
            Where the result has no rows, lacks a column, or holds what a field does not allow.
        """
        place = database(uri or self.uri, self.variable)
        with place.reading() as session:
            rows = _read_table(session, self.query, self._fields, self.columns)
            tables = {
                name: check_table(_read_table(session, query, partial(_fields_of, schema), {}), schema)
                for name, (schema, query) in self.tables.items()
            }
        return Dataset.of_table(
            self.problem,
            with_instants(rows, self.epochs),
            self.fit_columns,
            tables,
            description=self.description or place.where,
            origin={"database": place.where, "query": place.scrub(clean(self.query))},
            in_order=True,
        )

    def _fields(self, names: Sequence[str]) -> tuple[Field, ...]:
        return as_integers(present_fields(self.problem, self.fit_columns, names, self.columns), self.epochs)

    def size(self, uri: str | None = None) -> Size:
        """The rows of the query's result, which the database counts.

        Raises
        ------
        SourceError
            As of `load`.
        """
        with database(uri or self.uri, self.variable).reading() as session:
            return Size(session.count(self.query))


def read_query(query: str, uri: str | None = None, rows: int | None = None, variable: str = VARIABLE) -> pa.Table:
    """The result of a query, or its first rows, in the types that its columns have.

    Parameters
    ----------
    query : str
        One SELECT.
    uri, variable : str, optional
        The database, as of `SQLSource`.
    rows : int, optional
        The most rows that are read.

    Raises
    ------
    SourceError
        Where the database cannot be reached, or refuses the query.
    TableError
        For a type that no kind of a field stands for.
    """
    limited = query if rows is None else f"SELECT * FROM (\n{clean(query)}\n) AS limited LIMIT {rows:d}"  # noqa: S608
    with database(uri, variable).reading() as session:
        parts = [_plain_batch(batch, dict.fromkeys(batch.schema.names)) for batch in session.batches(limited)]
    return pa.concat_tables(parts)


def _fields_of(schema: TableSchema, names: Sequence[str]) -> tuple[Field, ...]:
    check_names(schema, names)
    return schema.fields


def _read_table(
    session: Session, query: str, fields_of: Callable[[Sequence[str]], tuple[Field, ...]], columns: Mapping[str, str]
) -> pa.Table:
    """The result of a query by the names of fields, which those of its columns decide."""
    try:
        return _read(session, query, fields_of, columns)
    except SourceError as error:
        if "Type mismatch" not in str(error):
            raise
        return _read(session, query, fields_of, columns, as_text=True)


def _read(
    session: Session,
    query: str,
    fields_of: Callable[[Sequence[str]], tuple[Field, ...]],
    columns: Mapping[str, str],
    as_text: bool = False,
) -> pa.Table:
    names = session.names(query)
    fields = {columns.get(field.name, field.name): field for field in fields_of(names)}
    kinds = {name: field.kind for name, field in fields.items()}
    sent, added = session.database.typed(clean(query), kinds, as_text)
    table = pa.concat_tables([_plain_batch(batch, kinds) for batch in session.batches(sent)])
    return table.slice(added).rename_columns({name: field.name for name, field in fields.items()})


def _plain_batch(batch: pa.RecordBatch, kinds: Mapping[str, Kind | None]) -> pa.Table:
    """The columns in types of Arrow alone, without those of the database's own."""
    names = [name for name in batch.schema.names if name in kinds]
    return pa.table({name: _plain(batch.schema.field(name), batch.column(name), kinds[name]) for name in names})


def _plain(field: pa.Field, column: pa.Array, kind: Kind | None) -> pa.Array:
    metadata: dict[bytes, bytes] = field.metadata or {}
    sql_type = metadata.get(_TYPE, b"").decode()
    if sql_type == "numeric":
        text = column.storage if isinstance(column, pa.ExtensionArray) else column.cast(pa.string())
        return text.cast(pa.float64()) if kind in (None, Kind.NUMBER) else text
    if sql_type == "timestamp" and kind is Kind.LOCAL_TIME:
        return pc.floor_temporal(column, unit="second")  # as a request's is
    if sql_type == "bpchar":
        return pc.utf8_rtrim(column, " ")
    if sql_type == "uuid":
        return pa.array([None if value is None else str(_uuid(value)) for value in column.to_pylist()], pa.string())
    if sql_type in _WITHOUT_EQUAL or isinstance(column, pa.ExtensionArray) or pa.types.is_nested(column.type):
        raise TableError(
            f"{field.name}: the column has the SQL type {sql_type or column.type}, which no kind of a field holds: "
            f"cast it in the query, such as {field.name}::{_WITHOUT_EQUAL.get(sql_type, 'text')}, or leave it out"
        )
    return column


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(bytes=value)
