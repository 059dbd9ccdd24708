"""Values of text that the training rows never held: which, and how many rows have them, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.features.columns import Columns, plain
from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind

MOST_KNOWN = 500
"""A field of more distinct values in training is an id, not a category; none of its values is news."""

MOST_NEW = 1_000

KNOWN, EMPTY, UNKNOWN = 0, 1, 2
TEXT_KINDS = 3


@dataclass(frozen=True)
class Vocabulary:
    """What a field of categories held in training: its values, and the share of rows without one."""

    values: frozenset[str] = frozenset()
    empty: float = 0.0


def vocabularies(declaration: Declaration, columns: Columns) -> dict[str, dict[str, Any]]:
    """The sorted `values` of each field of categories in n rows, and the share of rows that is `empty`, by name.

    `columns` are of shape [n].
    """
    found: dict[str, dict[str, Any]] = {}
    for item in declaration.fields:
        if item.kind is Kind.TEXT:
            texts = list(plain(columns[item.name]))
            values = {value for value in texts if value}
            if 0 < len(values) <= MOST_KNOWN:
                empty = sum(not value for value in texts) / len(texts)
                found[item.name] = {"values": sorted(values), "empty": float(f"{empty:.6g}")}
    return found


class NewValues:
    """Counts of one column's values that are not `known`.

    Of more than `MOST_NEW` different ones, those with the smallest hashes are kept, with their exact counts: the same
    ones in whatever order and parts the rows come. `rows`, `empty` and `unknown` count all of them.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self.rows = 0
        self.empty = 0
        self.unknown = 0
        self.counts: Counter[str] = Counter()

    def add(self, column: pa.Array) -> NDArray[np.int64]:
        """Count a column of n strings, and say of each whether it is KNOWN, EMPTY (null too) or UNKNOWN, shape [n]."""
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        kinds = np.array([self._kind(value) for value in values], np.int64)
        indices = encoded.indices.fill_null(len(values)).to_numpy()
        codes: NDArray[np.int64] = np.append(kinds, EMPTY)[indices]
        counts = np.bincount(indices, minlength=len(values) + 1)
        for index in np.flatnonzero(kinds == UNKNOWN).tolist():
            self.counts[values[index]] += int(counts[index])
        self._shrink()
        self.count(np.bincount(codes, minlength=TEXT_KINDS))
        return codes

    def _kind(self, value: str) -> int:
        if not value:
            return EMPTY
        return KNOWN if value in self.known else UNKNOWN

    def count(self, kinds: NDArray[np.int64]) -> None:
        """Count rows whose kinds are known: those of KNOWN, EMPTY and UNKNOWN, shape [3]."""
        self.rows += int(kinds.sum())
        self.empty += int(kinds[EMPTY])
        self.unknown += int(kinds[UNKNOWN])

    def merge(self, other: NewValues) -> None:
        """Add what another part of the window held."""
        self.rows += other.rows
        self.empty += other.empty
        self.unknown += other.unknown
        self.counts += other.counts
        self._shrink()

    def recount(self, kinds: NDArray[np.int64]) -> None:
        """Count these rows instead, as when some of those counted were repetitions; the names stay."""
        self.rows = self.empty = self.unknown = 0
        self.count(kinds)

    def most_common(self, number: int) -> list[tuple[str, int]]:
        """The most frequent of the kept ones; equally frequent ones by name."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]

    def _shrink(self) -> None:
        if len(self.counts) > MOST_NEW:
            kept = sorted(self.counts, key=_hash)[:MOST_NEW]
            self.counts = Counter({value: self.counts[value] for value in kept})


def _hash(value: str) -> bytes:
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
