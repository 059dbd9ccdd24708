"""Values of text that the training months never held: which, and how many rows have them, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.schema import Kind
from features.definition import FIELDS

MOST_KNOWN = 500
"""A field of more distinct values in training is an id, not a category; none of its values is news."""

MOST_NEW = 1_000


def vocabularies(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[str]]:
    """The values of each field of categories in n rows, sorted; `columns` are arrays of shape [n] by name."""
    found = {}
    for field in FIELDS:
        if field.kind is Kind.TEXT:
            values = {value for value in columns[field.name].tolist() if value is not None}
            if 0 < len(values) <= MOST_KNOWN:
                found[field.name] = sorted(values)
    return found


class NewValues:
    """Counts of one column's values that are not `known`.

    Of more than `MOST_NEW` different ones, those with the smallest hashes are kept, with their exact counts: the same
    ones in whatever order and parts the rows come. `rows`, `empty` and `unknown` count all of them.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self.rows = 0
        self.empty = 0
        self.unknown = 0
        self.counts: Counter[str] = Counter()

    def add(self, column: pa.Array) -> None:
        """Count a column of strings; null and the empty text are empty."""
        self.rows += len(column)
        if not pa.types.is_string(column.type):
            return
        found = pc.value_counts(column)
        for value, count in zip(*(part.to_pylist() for part in found.flatten()), strict=True):
            if not value:
                self.empty += count
            elif value not in self._known:
                self.unknown += count
                self.counts[value] += count
        self._shrink()

    def merge(self, other: NewValues) -> None:
        """Add what another part of the window held."""
        self.rows += other.rows
        self.empty += other.empty
        self.unknown += other.unknown
        self.counts += other.counts
        self._shrink()

    def most_common(self, number: int) -> list[tuple[str, int]]:
        """The most frequent of the kept ones; equally frequent ones by name."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]

    def _shrink(self) -> None:
        if len(self.counts) > MOST_NEW:
            kept = sorted(self.counts, key=_hash)[:MOST_NEW]
            self.counts = Counter({value: self.counts[value] for value in kept})


def _hash(value: str) -> bytes:
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
