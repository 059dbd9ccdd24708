"""What a training read, as it is written down: enough to know the same data again, and to say what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data.dataset import Dataset

LEFT_OUT = "left_out"
"""The rows that are in no part."""

_DIGITS = 16
"""Hexadecimal digits that are kept of a column's SHA-256."""

_SHOWN = 5
"""Columns that a message names."""


@dataclass(frozen=True)
class PartSnapshot:
    """The rows of one part of a split.

    Parameters
    ----------
    rows : int
        Their number.
    columns : mapping
        The digest of each column's values, by name.
    """

    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Snapshot:
    """A data set as a training read it.

    Parameters
    ----------
    fingerprint : str
        That of the data set.
    origin : mapping
        Where the rows are from; see `Dataset`.
    rows, rows_without_label : int
        Their numbers.
    parts : mapping
        By part of the split, and `left_out` of those in none.
    tables : mapping
        The digest of each column of the tables beside the rows, by `TABLE.COLUMN`.
    """

    fingerprint: str
    origin: Mapping[str, Any]
    rows: int
    rows_without_label: int
    parts: Mapping[str, PartSnapshot]
    tables: Mapping[str, str]

    @classmethod
    def of(cls, dataset: Dataset) -> Snapshot:
        """The snapshot of a data set that has been split."""
        columns = {**dataset.columns, dataset.problem.target.name: dataset.target}
        columns |= {name: values for name, values in dataset.fit_columns.items() if name not in columns}
        used = np.zeros(len(dataset), dtype=bool)
        for places in dataset.parts.values():
            used[places] = True
        return cls(
            dataset.fingerprint,
            dict(dataset.origin),
            len(dataset),
            int((~dataset.labelled).sum()),
            {
                name: PartSnapshot(len(places), {column: _digest(values[places]) for column, values in columns.items()})
                for name, places in {**dataset.parts, LEFT_OUT: np.flatnonzero(~used)}.items()
            },
            {
                f"{table}.{column}": _digest(values)
                for table, found in dataset.tables.items()
                for column, values in found.items()
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Snapshot:
        """The inverse of `to_dict`.

        Raises
        ------
        KeyError, TypeError
            Where the values are no snapshot.
        """
        return cls(**{**values, "parts": {name: PartSnapshot(**part) for name, part in values["parts"].items()}})

    def differences(self, now: Snapshot) -> list[str]:
        """What another snapshot has otherwise than this one; empty where the data are the same.

        Parameters
        ----------
        now : Snapshot
            Of the data as they are now.
        """
        if now.fingerprint == self.fingerprint and now.parts == self.parts:
            return []
        found = [
            f"{name.replace('_', ' ')}: {new:,} where there were {old:,}"
            for name, old, new in (
                ("rows", self.rows, now.rows),
                ("rows_without_label", self.rows_without_label, now.rows_without_label),
            )
            if new != old
        ]
        found += _names("columns", _columns(self), _columns(now)) + _names("tables", self.tables, now.tables)
        for name in dict.fromkeys([*now.parts, *self.parts]):
            found += _of_part(name.replace("_", " "), self.parts.get(name), now.parts.get(name))
        found += [
            f"table {name}: the values differ" for name, old in self.tables.items() if now.tables.get(name, old) != old
        ]
        found += [
            f"{name}: {now.origin.get(name, 'none')}, which was {old}"
            for name, old in self.origin.items()
            if now.origin.get(name) != old
        ]
        return [*found, f"fingerprint: {now.fingerprint[:_DIGITS]}, which was {self.fingerprint[:_DIGITS]}"]


def _digest(values: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    if values.dtype == object:
        encoded = [b"" if value is None else str(value).encode() for value in values.tolist()]
        lengths = [-1 if value is None else len(text) for value, text in zip(values.tolist(), encoded, strict=True)]
        digest.update(np.array(lengths, dtype="<i8").tobytes())
        digest.update(b"".join(encoded))
    else:
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()[:_DIGITS]


def _columns(snapshot: Snapshot) -> list[str]:
    return list(dict.fromkeys(name for part in snapshot.parts.values() for name in part.columns))


def _names(what: str, old: Iterable[str], new: Iterable[str]) -> list[str]:
    gone, added = [name for name in old if name not in new], [name for name in new if name not in old]
    return [f"{what}: {', '.join(names)} {fault}" for names, fault in ((gone, "gone"), (added, "new")) if names]


def _of_part(name: str, old: PartSnapshot | None, new: PartSnapshot | None) -> list[str]:
    if old is None or new is None:
        return [f"part {name}: it is {'gone' if new is None else 'new'}"]
    if old.rows != new.rows:
        return [f"part {name}: {new.rows:,} rows where there were {old.rows:,}"]
    differ = [column for column, digest in old.columns.items() if new.columns.get(column, digest) != digest]
    if not differ:
        return []
    if len(differ) == len(old.columns) > 1:
        return [f"part {name}: {new.rows:,} rows as before, and other ones"]
    more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
    return [f"part {name}: the values of {', '.join(differ[:_SHOWN])}{more} differ"]
