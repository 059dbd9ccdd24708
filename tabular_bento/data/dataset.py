"""Rows of a problem with their labels: what training, replay and comparisons read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.cache import digest_of_tables
from tabular_bento.data.columns import columns_of_table
from tabular_bento.data.splits import Split
from tabular_bento.data.tables import TableSchema, check_table, refuse
from tabular_bento.errors import DataError, TableError
from tabular_bento.features import FitData
from tabular_bento.features.columns import Columns
from tabular_bento.features.lookups import Tables
from tabular_bento.problem import Declaration, Problem
from tabular_bento.schema import Field, Kind

PARTITION_ROWS = 1_000_000
"""Rows of one of `Dataset.partitions`."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Dataset:
    """n rows with what is known of them; arrays of shape [n].

    Parameters
    ----------
    problem : Problem or Declaration
        What the rows are rows of.
    columns : mapping
        The fields of a request, by name, as `Kind` says.
    target : ndarray of shape [n]
        Labels; NaN, or None of a text, where none is known.
    fit_columns : mapping
        Columns that only fitting needs, by name.
    tables : mapping
        Tables beside the rows, arrays by column by name.
    fingerprint : str
        SHA-256 in hex of the content.
    description : str
        What the rows are, in one line.
    origin : mapping
        Where the rows are from, as plain JSON values without passwords: `uri`, or `database` and `query`.
    parts : mapping
        Positions of the rows of each part of a split; see `split`.
    """

    problem: Problem | Declaration
    columns: Mapping[str, NDArray[Any]]
    target: NDArray[Any]
    fit_columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    fingerprint: str = ""
    description: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of_table(
        cls,
        problem: Problem | Declaration,
        table: Any,
        fit_columns: Sequence[str | Field] = (),
        tables: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
        description: str = "",
        *,
        origin: Mapping[str, Any] | None = None,
        in_order: bool = False,
    ) -> Dataset:
        """The data set of a table whose columns have the names of the fields and of the target.

        Parameters
        ----------
        problem : Problem or Declaration
            Its fields, bounds and target are what the table is checked against.
        table : pyarrow.Table, pandas.DataFrame or mapping of arrays
            n rows. Only the column of the identifier may be left out. A target without a value is a row without label.
        fit_columns : sequence of str or Field, optional
            Columns that only fitting needs; names stand for optional numbers.
        tables : mapping, optional
            Tables beside the rows, as `table`, by name.
        fingerprint : str, optional
            By default that of the content.
        description : str, optional
            What the rows are, in one line.
        origin : mapping, optional
            Where they are from, as plain JSON values.
        in_order : bool
            Whether rows are put into the order of event time, identifier and all other columns, as those of a query,
            which come in any.

        Raises
        ------
        TableError
            Where a column is missing, or holds what its field does not allow.
        """
        rows = arrow_table(table)
        identifier = problem.identifier
        if any(item.name == identifier and item.optional for item in problem.fields) and (
            identifier not in rows.column_names
        ):
            rows = rows.append_column(identifier, pa.nulls(rows.num_rows, pa.string()))
        schema = TableSchema("rows", declared_fields(problem, fit_columns))
        checked = check_table(rows, schema)
        _check_labels(problem, checked)
        if in_order:
            checked = _sorted(checked, problem)
        others = {name: arrow_table(other) for name, other in (tables or {}).items()}
        if fingerprint is None:
            fingerprint = digest_of_tables({"rows": checked, **others})
        columns = columns_of_table(checked, schema.fields)
        return cls(
            problem,
            {item.name: columns[item.name] for item in problem.fields},
            columns[problem.target.name],
            {item.name: columns[item.name] for item in schema.fields[len(problem.fields) + 1 :]},
            {name: _arrays(other) for name, other in others.items()},
            fingerprint,
            description,
            origin or {},
        )

    def __len__(self) -> int:
        return len(self.target)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label, shape [n]."""
        if self.target.dtype == object:
            return np.array([value is not None for value in self.target.tolist()], dtype=bool)
        return np.asarray(~np.isnan(self.target))

    @property
    def offset(self) -> NDArray[np.float64] | None:
        """The values of the offset, shape [n]; None where there is none."""
        name = self.problem.task.offset
        return None if name is None else np.asarray(self.columns[name], dtype=np.float64)

    @property
    def residual(self) -> NDArray[np.float64]:
        """What a runner learns, shape [n]: the encoded target, less the offset where there is one."""
        return self.problem.task.encode(self.target, self.offset)

    @property
    def event_days(self) -> NDArray[np.int64] | None:
        """The day of each row's event time, numbered since 1970, shape [n]; None without an event time."""
        name = self.problem.event_time
        if name is None:
            return None
        kind = next(item.kind for item in self.problem.fields if item.name == name)
        return np.asarray(self.columns[name], dtype=np.int64) // kind.per_day

    @property
    def months(self) -> NDArray[np.int64] | None:
        """The month of each row's event time, numbered since 1970, shape [n]; None without an event time."""
        days = self.event_days
        return None if days is None else days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)

    @property
    def fit_data(self) -> FitData:
        """The rows as an extractor is fitted on them."""
        learnt = self.problem.task.fit_targets(self.target, self.offset)
        return FitData(self.columns, {**self.fit_columns, **learnt})

    @property
    def partitions(self) -> list[Dataset]:
        """The rows in contiguous pieces of at most `PARTITION_ROWS`, which engines may take each by itself."""
        starts = range(0, max(len(self), 1), PARTITION_ROWS)
        return [self.where(slice(start, start + PARTITION_ROWS)) for start in starts]

    def where(self, chosen: NDArray[Any] | slice) -> Dataset:
        """The rows that a mask, positions or a slice choose, without the parts of a split."""
        return replace(
            self,
            columns={name: values[chosen] for name, values in self.columns.items()},
            target=self.target[chosen],
            fit_columns={name: values[chosen] for name, values in self.fit_columns.items()},
            parts={},
        )

    def between(self, start: date, end: date) -> Dataset:
        """The rows whose event time is from `start` up to, not including, `end`.

        Raises
        ------
        DataError
            Where the problem has no event time.
        """
        days = self.event_days
        if days is None:
            raise DataError("Rows cannot be chosen by date: the problem has no event time.")
        first, last = (start - _EPOCH).days, (end - _EPOCH).days
        return self.where((days >= first) & (days < last))

    def split(self, split: Split) -> Dataset:
        """The same rows with the parts of a split.

        Raises
        ------
        DataError
            Where a part has no row with a label.
        """
        return replace(self, parts=split.positions(self))

    def part(self, name: str) -> Dataset:
        """The labelled rows of a part, in the order of the data set.

        Raises
        ------
        DataError
            Where the data set has no such part.
        """
        if name not in self.parts:
            raise DataError(
                f"The data set has no part {name!r}: split it first; it has {', '.join(self.parts) or '-'}."
            )
        return self.where(self.parts[name])

    def batches(
        self, columns: Sequence[str] | None = None, part: str | None = None, rows: int = 65_536
    ) -> Iterator[Columns]:
        """The rows in batches, always in the same order.

        Parameters
        ----------
        columns : sequence of str, optional
            Fields, the target or columns of `fit_columns`; by default all fields.
        part : str, optional
            Only this part.
        rows : int
            The most rows of a batch.
        """
        names = list(self.columns) if columns is None else list(columns)
        known = {**self.columns, **self.fit_columns, self.problem.target.name: self.target}
        if missing := [name for name in names if name not in known]:
            raise DataError(f"The data set has no column {missing[0]!r}; it has {', '.join(known)}.")
        chosen = np.arange(len(self)) if part is None else self.parts[part]
        for start in range(0, len(chosen), rows):
            places = chosen[start : start + rows]
            yield {name: known[name][places] for name in names}


def declared_fields(problem: Problem | Declaration, fit_columns: Sequence[str | Field] = ()) -> tuple[Field, ...]:
    """The columns of a table of labelled rows: fields, target, which may be missing, and columns for fitting alone."""
    extra = [Field(item, Kind.NUMBER, optional=True) if isinstance(item, str) else item for item in fit_columns]
    return (*problem.fields, replace(problem.target, optional=True), *extra)


def _sorted(table: pa.Table, problem: Problem | Declaration) -> pa.Table:
    first = [name for name in (problem.event_time, problem.identifier) if name is not None]
    keys = dict.fromkeys([*first, *table.column_names])
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys]))


def _check_labels(problem: Problem | Declaration, rows: pa.Table) -> None:
    """Refuse labels that are none of the classes, where the task has some."""
    if not problem.task.classes:
        return
    labels = rows[problem.target.name]
    known = pc.is_in(labels, value_set=pa.array(problem.task.classes, labels.type))
    refuse(
        "rows",
        problem.target.name,
        labels,
        pc.and_(pc.is_valid(labels), pc.invert(known)),
        f"are none of the classes {problem.task.listed}",
        "Declare the class, or leave its rows out",
    )


def arrow_table(table: Any) -> pa.Table:
    """A table of Arrow, of pandas or of arrays by name as a table of Arrow.

    Raises
    ------
    TableError
        For anything else.
    """
    if isinstance(table, pa.Table):
        return table
    try:
        if isinstance(table, Mapping):
            return pa.table({name: _arrow_column(name, np.asarray(values)) for name, values in table.items()})
        names = list(table.columns)
        if all(names.count(name) == 1 for name in names):
            for name in names:
                if table[name].dtype == object:
                    _arrow_column(str(name), table[name].to_numpy())
        return pa.Table.from_pandas(table, preserve_index=False)
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        raise TableError(f"a {type(table).__name__} cannot be read as a table: {error}") from error


def _arrow_column(name: str, values: NDArray[Any]) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        if values.dtype != object:
            raise
        kinds = np.array(["" if _missing(value) else type(value).__name__ for value in values.tolist()])
        counts = Counter(sorted(kinds[kinds != ""].tolist(), key=lambda kind: kind != "str"))
        if len(counts) < 2:
            raise
        most = counts.most_common(1)[0][0]
        other = pa.array((kinds != most) & (kinds != ""))
        refuse(
            "rows", name, pa.array(list(map(str, values.tolist()))), other, f"are not of type {most}, as the others are"
        )
        raise


def _missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _arrays(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns of a table beside the rows: text as objects, numbers as float64 with NaN."""
    found: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if text:
            found[name] = np.array(column.to_pylist(), dtype=object)
        else:
            found[name] = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    return found
