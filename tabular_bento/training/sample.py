"""Rows as a Pipeline was fitted on them: the types of their columns, and what of a problem's fields they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import DataError, ModelFileError
from tabular_bento.problem import Problem
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.runners.frames import InputColumn


@dataclass(frozen=True)
class Sample:
    """A table of rows.

    Parameters
    ----------
    file : str
        The name of its file.
    frame : DataFrame
        The rows, with the types that the columns were saved with.
    """

    file: str
    frame: Any

    @classmethod
    def read(cls, path: Path) -> Self:
        """The rows of a Parquet file.

        Raises
        ------
        ModelFileError
            Where it cannot be read, or has no rows.
        """
        import pandas as pd

        try:
            frame = pd.read_parquet(path)
        except Exception as error:  # of pandas, Arrow or the system
            lines = str(error).strip().splitlines()
            raise ModelFileError(f"{path} cannot be read as Parquet: {lines[0] if lines else error!r}") from error
        if not len(frame):
            raise ModelFileError(f"{path} has no rows.")
        frame.columns = [str(name) for name in frame.columns]
        return cls(path.name, frame)

    @property
    def names(self) -> list[str]:
        """The names of its columns, in their order."""
        return list(self.frame.columns)

    def columns(self, wanted: Sequence[str], fields: Mapping[str, Field], none: bool) -> tuple[InputColumn, ...]:
        """The columns of these names, with the fields that they are made of.

        Parameters
        ----------
        wanted : sequence of str
            Their names, in the Pipeline's order.
        fields : mapping
            The field of each, by the name of the column.
        none : bool
            Whether a missing text is None.

        Raises
        ------
        ModelFileError
            For a column whose type is none that its field can be turned into.
        """
        found, faults = [], []
        for name in wanted:
            try:
                found.append(self._column(name, fields[name], none))
            except ValueError as error:
                faults.append(f"  {name}: {error}")
        if faults:
            raise ModelFileError(f"Columns of {self.file} are no values of the problem's fields:\n" + "\n".join(faults))
        return tuple(found)

    def _column(self, name: str, item: Field, none: bool) -> InputColumn:
        values = self.frame[name]
        dtype, kind = values.dtype, item.kind
        plain = InputColumn(name, item.name, kind, str(dtype), none=none)
        if str(dtype) == "category":
            categories = [_plain(value) for value in dtype.categories.tolist()]
            if not all(_is_of(value, kind) for value in categories):
                raise ValueError(f"its categories, such as {categories[0]!r}, are no {kind.value}")
            return replace(plain, categories=tuple(categories), ordered=bool(dtype.ordered))
        kinds = {type(value) for value in values.dropna().head(1000).tolist()}
        texts = kinds <= {str}
        letter = getattr(dtype, "kind", "O")
        match kind:
            case Kind.TEXT:
                good = texts and letter == "O"
            case Kind.INTEGER | Kind.NUMBER:
                good = letter in "iuf"
            case Kind.BOOLEAN:
                good = letter in "biuf" or (letter == "O" and kinds <= {bool})
            case Kind.DATE:
                good = letter == "M" or (letter == "O" and (texts or kinds <= {date}))
                plain = replace(plain, as_text=texts and letter == "O" and bool(kinds))
            case _:
                good = letter == "M" and (kind is Kind.INSTANT or "," not in str(dtype))
        if not good:
            held = ", ".join(sorted(one.__name__ for one in kinds)) or "nothing"
            raise ValueError(f"its type is {dtype}, of {held}, and the field is of kind {kind.value}")
        return plain

    def array_type(self, wanted: Sequence[str]) -> str:
        """The type of the array of these columns."""
        return str(self.frame[list(wanted)].to_numpy().dtype)

    def fields(self, rows: Any, inputs: Sequence[InputColumn], problem: Problem) -> dict[str, NDArray[Any]]:
        """Rows as fields of the problem; fields that are in no column are missing.

        Raises
        ------
        ModelFileError
            Where a value is none that the field allows.
        """
        import pandas as pd
        import pyarrow as pa

        from tabular_bento.data.columns import columns_of_table
        from tabular_bento.data.tables import TableSchema, check_table

        declared = {item.name: replace(item, optional=True) for item in problem.fields}
        arrays = {}
        for item in inputs:
            values = rows[item.name]
            if item.kind is Kind.INSTANT and "," not in item.dtype:
                values = values.dt.tz_localize("UTC")
            if item.dtype == "object" and item.kind is Kind.BOOLEAN:
                values = values.astype("boolean")
            if item.dtype == "category":
                values = values.astype(object)
            arrays[item.field] = pa.Array.from_pandas(values)
        try:
            table = check_table(pa.table(arrays), TableSchema(self.file, tuple(declared[name] for name in arrays)))
        except (DataError, pa.ArrowException) as error:
            raise ModelFileError(f"Rows of {self.file} are no rows of the problem: {error}") from error
        found = columns_of_table(table, [declared[name] for name in arrays])
        for field in problem.fields:
            if field.name not in found:
                found[field.name] = np.full(len(rows), field.missing, dtype=declared[field.name].dtype)
            elif not field.optional and not pd.isna(found[field.name]).any():
                found[field.name] = found[field.name].astype(field.dtype)
        return found


def default_columns(wanted: Sequence[str], fields: Mapping[str, Field]) -> tuple[InputColumn, ...]:
    """Columns of the types that pandas gives such values when it reads them from a file."""
    import pandas as pd

    times = {Kind.DATE: "datetime64[s]", Kind.LOCAL_TIME: "datetime64[s]", Kind.INSTANT: "datetime64[us, UTC]"}
    types = {
        Kind.TEXT: str(pd.Series(["a"]).dtype),
        Kind.INTEGER: "int64",
        Kind.NUMBER: "float64",
        Kind.BOOLEAN: "bool",
        **times,
    }
    return tuple(InputColumn(name, fields[name].name, fields[name].kind, types[fields[name].kind]) for name in wanted)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_of(value: Any, kind: Kind) -> bool:
    """Whether a category is a value that a field of a kind may have."""
    if isinstance(value, datetime | date):
        return False
    wanted: tuple[type, ...] = {
        Kind.TEXT: (str,),
        Kind.INTEGER: (int,),
        Kind.NUMBER: (int, float),
        Kind.BOOLEAN: (bool, int),
    }.get(kind, ())
    return isinstance(value, wanted)
