"""Databases that are read by ADBC, PostgreSQL and SQLite: one transaction that writes nothing, in batches."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote

import pyarrow as pa

from tabular_bento.data.uris import DATABASES, check_uri, scrubbed, secrets_of, shown
from tabular_bento.environment import pip_install_command
from tabular_bento.errors import SourceError
from tabular_bento.schema import Kind

VARIABLE = "TABULAR_BENTO_DATABASE"
"""The environment variable that holds the database's URI, by default."""

CONNECT_SECONDS = 10
"""How long PostgreSQL may take to accept a connection, where neither the URI nor PGCONNECT_TIMEOUT says so."""

_SQLITE = ("sqlite:///", "file:")
_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_FORMS = "postgresql://HOST:PORT/DATABASE or sqlite:///FILE"
_PREFIX = re.compile(r"^(?:[A-Z_]+: )?(?:\[\w+\] )?(?:Failed to (?:connect|prepare query): )?")
# A semicolon and comments. One with a quotation mark may be the end of a text, and is left to the database.
_END_OF_QUERY = re.compile(r";(\s|;|--[^\n'\"]*(\n|\Z)|/\*(?:(?!\*/)[^'\"])*\*/)*\Z")
_SERVER_SAYS = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.+)")


@dataclass(frozen=True)
class Database:
    """A database, not connected yet.

    Parameters
    ----------
    uri : str
        Its address, which may hold a password.
    where : str
        The address without user and password, for messages and packages.
    named_by : str
        Who names the address, for messages.
    """

    uri: str = field(repr=False)
    where: str
    named_by: str

    driver: ClassVar[str]

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees one state of the database and writes nothing.

        Raises
        ------
        SourceError
            Where the driver is not installed, the database cannot be reached, or refuses.
        """
        try:
            from importlib import import_module

            dbapi: Any = import_module(f"{self.driver}.dbapi")
        except ImportError as error:
            raise SourceError(
                f"{self.where}: reading it needs a driver, `{pip_install_command('tabular-bento[sql]')}` ({error})"
            ) from error
        with self._failing(self._unreachable):
            connection = self._connect(dbapi)
        with closing(connection):
            with self._failing(self._unreachable):
                self._begin(connection)
            yield Session(self, connection)

    def typed(self, query: str, kinds: Mapping[str, Kind], as_text: bool) -> tuple[str, int]:
        """The query that is sent for columns of those kinds, and how many rows it gives before those of the result."""
        del kinds, as_text
        return query, 0

    def scrub(self, text: str) -> str:
        """A text without the database's password."""
        return scrubbed(text, secrets_of(self.uri) | {os.environ.get("PGPASSWORD", "")})

    def _connect(self, dbapi: Any) -> Any:
        return dbapi.connect(self.uri)

    def _begin(self, connection: Any) -> None:
        """Begin the transaction."""

    def _names(self, cursor: Any, query: str) -> list[str]:
        """The columns of a query's result, which is not computed."""
        return list(cursor.adbc_execute_schema(query).names)

    def _unreachable(self, reason: str, refused: bool) -> str:
        fault = "refuses the connection" if refused else "cannot be reached"
        hint = "" if refused else " Is the server running, and is that its address?"
        return f"{self.where} {fault}: {reason}.{hint} It is named by {self.named_by}."

    @contextmanager
    def _failing(self, message: Callable[[str, bool], str]) -> Iterator[None]:
        """Turn an error of the driver into one without passwords, whose cause, which has them, is not shown."""
        try:
            yield
        except SourceError:
            raise
        except Exception as error:  # drivers and Arrow have errors of their own
            text = re.split(r"\n\nQuery was:|\nquery: |\n\s*Is the server running", self.scrub(str(error)))[0]
            found = _SERVER_SAYS.search(text)
            reason = found[1] if found else _PREFIX.sub("", " ".join(text.split()))
            raise SourceError(message(reason.split(". SQLSTATE")[0].rstrip(" ."), found is not None)) from None


class PostgreSQL(Database):
    """A server of PostgreSQL, by libpq: what the URI leaves out, such as the password, libpq's variables may hold."""

    driver = "adbc_driver_postgresql"

    def _connect(self, dbapi: Any) -> Any:
        head, mark, parameters = self.uri.partition("?")
        given = parse_qs(parameters)
        defaults = {"connect_timeout": str(CONNECT_SECONDS), "fallback_application_name": "tabular-bento"}
        if "PGCONNECT_TIMEOUT" in os.environ:
            del defaults["connect_timeout"]
        added = [f"{name}={value}" for name, value in defaults.items() if name not in given]
        return dbapi.connect(f"{head}?{'&'.join([*filter(None, [parameters if mark else '']), *added])}")

    def _begin(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET client_encoding TO 'UTF8'")


class SQLite(Database):
    """A file of SQLite."""

    driver = "adbc_driver_sqlite"

    @property
    def path(self) -> Path:
        """The file."""
        prefix = next((prefix for prefix in _SQLITE if self.uri.startswith(prefix)), "")
        return Path(self.uri.removeprefix(prefix).partition("?")[0])

    def typed(self, query: str, kinds: Mapping[str, Kind], as_text: bool) -> tuple[str, int]:
        """A query whose first row, which is no row of the result, has the type of each column.

        A value of SQLite has a type, a column has none: the driver takes that of the first rows, and refuses others.
        """
        columns = {_quoted(name): Kind.TEXT if as_text else kind for name, kind in kinds.items()}
        first = ", ".join(f"{_FIRST.get(kind, _NO_TEXT)} AS {name}" for name, kind in columns.items())
        rest = ", ".join(_VALUE.get(kind, _AS_TEXT).format(name) for name, kind in columns.items())
        return f"SELECT {first} UNION ALL SELECT {rest} FROM (\n{query}\n)", 1  # noqa: S608 - the project's own query

    def _connect(self, dbapi: Any) -> Any:
        path = self.path
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return dbapi.connect(f"file:{quote(str(path.absolute()))}?mode=ro")

    def _begin(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM sqlite_master")
            cursor.fetch_arrow_table()

    def _names(self, cursor: Any, query: str) -> list[str]:
        cursor.execute(query)
        with closing(cursor.fetch_record_batch()) as reader:
            return list(reader.schema.names)

    def _unreachable(self, reason: str, refused: bool) -> str:
        del refused
        return f"{self.where} cannot be opened: {reason}. It is named by {self.named_by}."


_FIRST: Mapping[Kind, str] = MappingProxyType({Kind.NUMBER: "0.0", Kind.INTEGER: "0", Kind.BOOLEAN: "0"})
_NO_TEXT = "''"
_AS_INTEGER = "CASE WHEN typeof({0}) = 'real' AND {0} = CAST({0} AS INTEGER) THEN CAST({0} AS INTEGER) ELSE {0} END"
_AS_TEXT = "CASE typeof({0}) WHEN 'integer' THEN CAST({0} AS TEXT) WHEN 'real' THEN printf('%!.17g', {0}) ELSE {0} END"
_VALUE: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.NUMBER: "CASE typeof({0}) WHEN 'integer' THEN CAST({0} AS REAL) ELSE {0} END",
        Kind.INTEGER: _AS_INTEGER,
        Kind.BOOLEAN: _AS_INTEGER,
    }
)
"""A value of SQLite in the type of a kind, where it has one without loss, and otherwise as it is."""


@dataclass(frozen=True)
class Session:
    """A transaction that is open; made by `Database.reading`."""

    database: Database
    connection: Any = field(repr=False)

    def count(self, query: str) -> int:
        """The rows of a query's result."""
        with self._cursor() as cursor:
            cursor.execute(f"SELECT count(*) AS n FROM (\n{clean(query)}\n) AS counted")  # noqa: S608
            return int(cursor.fetch_arrow_table()["n"][0].as_py())

    def names(self, query: str) -> list[str]:
        """The columns of a query's result."""
        with self._cursor() as cursor:
            return self.database._names(cursor, clean(query) + "\n")

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """A query's result, at least one batch, which may be empty."""
        with self._cursor() as cursor:
            cursor.execute(clean(query) + "\n")
            with closing(cursor.fetch_record_batch()) as reader:
                yield pa.RecordBatch.from_pylist([], reader.schema)
                yield from reader

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self.connection.cursor() as cursor, self.database._failing(self._failed):
            yield cursor

    def _failed(self, reason: str, refused: bool) -> str:
        del refused
        return f"{self.database.where}: the query cannot be read: {reason}."


def database(uri: str | None = None, variable: str = VARIABLE) -> Database:
    """The database at a URI, or at that of an environment variable.

    Parameters
    ----------
    uri : str, optional
        `postgresql://HOST:PORT/DATABASE` without a password, or `sqlite:///FILE`; by default that of the variable,
        which may hold one.
    variable : str, optional
        The environment variable.

    Raises
    ------
    SourceError
        Where neither names one, or a URI that is no variable's holds a password.
    """
    given = uri if uri is not None else os.environ.get(variable, "")
    if not given:
        raise SourceError(f"The environment variable {variable} is not set: it names the database, {_FORMS}.")
    named_by = f"the environment variable {variable}" if uri is None else "the URI of the source"
    if uri is not None:
        check_uri(uri)
    scheme = given.partition("://")[0]
    if scheme in DATABASES:
        _check_form(given, named_by)
        return PostgreSQL(given, _postgresql_where(given), named_by)
    if given.startswith(_SQLITE) or ("://" not in given and given.endswith(_SUFFIXES)):
        return SQLite(given, given.partition("?")[0], named_by)
    raise SourceError(f"What {named_by} holds is no URI of a database that can be read: {_FORMS}.")


def clean(query: str) -> str:
    """A query without what may not be at its end where it becomes a part of another: semicolons, comments after one."""
    ended = _END_OF_QUERY.search(query)
    return query[: ended.start() if ended else None].strip()


def _check_form(uri: str, named_by: str) -> None:
    """Refuse what libpq would take apart at the wrong place, so that a part of the password is a name of a host."""
    authority = re.split("[/?#]", uri.partition("://")[2])[0]
    rest = uri.partition("://")[2][len(authority) :]
    bad_escape = re.search("%(?![0-9A-Fa-f]{2})", uri)
    port = re.search(r":([^:\]@]*)$", authority.rpartition("@")[2])
    if authority.count("@") > 1 or "@" in rest or bad_escape or (port and not port[1].isdigit()):
        raise SourceError(
            f"The URI that {named_by} holds cannot be read. Special characters of a password, such as @, / and %, are "
            "written as %40, %2F and %25, and the port is a number."
        )


def _postgresql_where(uri: str) -> str:
    """The address without user and password, with host and database of libpq's variables where it leaves them out."""
    parameters = parse_qs(uri.partition("?")[2])
    host, _, name = shown(uri).partition("://")[2].partition("/")
    host = host or next(iter(parameters.get("host", [])), "") or os.environ.get("PGHOST", "")
    return f"postgresql://{host}/{name or os.environ.get('PGDATABASE', '')}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
