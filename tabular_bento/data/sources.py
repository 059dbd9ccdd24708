"""Where a project's rows come from: any object with `load(uri)`, or one of those ready made here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from tabular_bento.data.csv_files import MISSING, CsvFormat
from tabular_bento.data.dataset import Dataset, arrow_table, declared_fields
from tabular_bento.data.epochs import as_integers, checked_epochs, with_instants
from tabular_bento.data.names import checked_columns, present_fields
from tabular_bento.data.raw import fetch_file
from tabular_bento.data.sizes import Size, table_size
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.data.uris import check_uri, shown
from tabular_bento.errors import SourceError
from tabular_bento.problem import Problem
from tabular_bento.schema import Field


@runtime_checkable
class Source(Protocol):
    """What `source` in a project's pyproject.toml names."""

    def load(self, uri: str | None = None) -> Dataset:
        """The data set, from `uri` where one is given, otherwise from where the source looks by default.

        Raises
        ------
        DataError
            Where it cannot be found or read, or breaks its contract.
        """


class TableSource:
    """One table of Parquet or CSV, on any file system that fsspec knows or in an installed package.

    Parameters
    ----------
    problem : Problem
        Its fields and target are the columns that are read.
    uri : str
        A file (`.parquet`, `.csv`, `.csv.gz`, `.csv.zip`) or a folder of Parquet files: a path, `s3://...`, `gs://...`,
        or `package://NAME/PATH`. Credentials are those that the file system's driver finds in the environment.
    columns : mapping, optional
        The table's column of each field whose name is another one.
    fit_columns : sequence of str or Field, optional
        Columns that only fitting needs.
    tables : mapping, optional
        By name of a table beside the rows: its `TableSchema` and URI.
    description : str, optional
        What the rows are, in one line.
    missing : sequence of str, optional
        Texts by which a CSV file says that a value is missing.
    decimal : str, optional
        What separates the digits of a fraction in a CSV file, `.` or `,`.
    encoding : str, optional
        The encoding of a CSV file, by a name that Python knows, such as `windows-1252`.
    thousands : str, optional
        What separates groups of three digits in a CSV file, such as `,`.
    dates : str, optional
        The order of a date in a CSV file where it is not that of ISO 8601: `DMY`, such as 28.11.2022, `MDY` or `YMD`.
    trim : bool, optional
        Whether spaces around the values of a CSV file are no part of them.
    epochs : mapping, optional
        By field of kind INSTANT that the table holds as integers: their unit since 1970 in UTC, `s` or `ms`.

    Raises
    ------
    SourceError
        Where the URI holds a password, `columns` names what is no field, or `epochs` what is no instant.
    """

    def __init__(
        self,
        problem: Problem,
        uri: str,
        columns: Mapping[str, str] | None = None,
        fit_columns: Sequence[str | Field] = (),
        tables: Mapping[str, tuple[TableSchema, str]] | None = None,
        description: str = "",
        missing: Sequence[str] = MISSING,
        decimal: str = ".",
        encoding: str = "utf-8",
        thousands: str = "",
        dates: str = "",
        trim: bool = False,
        epochs: Mapping[str, str] | None = None,
    ) -> None:
        check_uri(uri)
        self.problem = problem
        self.uri = uri
        self.columns = checked_columns(problem, columns, fit_columns)
        self.fit_columns = tuple(fit_columns)
        self.tables = dict(tables or {})
        self.description = description
        self.written = CsvFormat(tuple(missing), decimal, encoding, thousands, dates, trim)
        self.epochs = checked_epochs(problem, epochs, fit_columns)

    def load(self, uri: str | None = None) -> Dataset:
        """The data set of the table, from `uri` where one is given.

        Raises
        ------
        SourceError
            Where it cannot be found or read.
        TableError
            Where it has no rows, lacks a column, or holds what a field does not allow.
        """
        place = uri or self.uri
        fields = as_integers(declared_fields(self.problem, self.fit_columns), self.epochs)
        there = TableSchema("rows", tuple(replace(f, name=self.columns.get(f.name, f.name)) for f in fields))
        table = fetch_file(place).read(there, self.written)
        present = present_fields(self.problem, self.fit_columns, table.column_names, self.columns)
        rows = pa.table({field.name: table[self.columns.get(field.name, field.name)] for field in present})
        rows = with_instants(rows, self.epochs)
        tables = {
            name: check_table(fetch_file(location, schema.name).read(schema), schema)
            for name, (schema, location) in self.tables.items()
        }
        origin = {"uri": shown(place)}
        return Dataset.of_table(
            self.problem, rows, self.fit_columns, tables, description=self.description, origin=origin
        )

    def size(self, uri: str | None = None) -> Size:
        """The rows of the table, and the bytes of its files.

        Raises
        ------
        SourceError
            As of `load`.
        """
        return table_size(uri or self.uri)


class FunctionSource:
    """A table that a function makes, such as one of `sklearn.datasets`.

    Parameters
    ----------
    problem : Problem
        Its fields and target are the columns that are read.
    function : callable
        Takes nothing and gives a table of Arrow, of pandas, or arrays by name.
    fit_columns : sequence of str or Field, optional
        Columns that only fitting needs.
    tables : mapping, optional
        Tables beside the rows, in the same forms.
    description : str, optional
        What the rows are, in one line.
    """

    def __init__(
        self,
        problem: Problem,
        function: Callable[[], Any],
        fit_columns: Sequence[str | Field] = (),
        tables: Mapping[str, Any] | None = None,
        description: str = "",
    ) -> None:
        self.problem = problem
        self.function = function
        self.fit_columns = tuple(fit_columns)
        self.tables = dict(tables or {})
        self.description = description

    def load(self, uri: str | None = None) -> Dataset:
        if uri is not None:
            raise SourceError(
                f"{uri}: the rows of this source are made by a function and read from nowhere: leave the URI out."
            )
        name = f"{self.function.__module__}:{self.function.__qualname__}"
        return Dataset.of_table(
            self.problem,
            arrow_table(self.function()),
            self.fit_columns,
            self.tables,
            description=self.description,
            origin={"function": name},
        )
