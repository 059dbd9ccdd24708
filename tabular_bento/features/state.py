"""The fitted state of an extractor: vocabularies and tables, as plain arrays and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.features.columns import RepeatedTexts

UNKNOWN = 0
"""The code of every value that a vocabulary does not hold; tables hold NaN there."""

JSON_FILE = "extractor.json"
ARRAYS_FILE = "extractor.npz"


class Codes:
    """Codes 1 to `size` - 1 for the values seen in fitting, in sorted order, and `UNKNOWN` for all others.

    Parameters
    ----------
    values : iterable of str or int
        The values; missing ones (None, NaN) are left out.

    Attributes
    ----------
    values : list
        The values in their order.
    size : int
        The number of codes.
    known : dict
        The code of each value.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        distinct = {value for value in values if value is not None and value == value}
        texts = any(isinstance(value, str) for value in distinct)
        self.values: list[Any] = sorted(distinct if texts else {_integral(value) for value in distinct})
        self.size = len(self.values) + 1
        self.known: dict[Any, int] = {value: code for code, value in enumerate(self.values, start=1)}

    @classmethod
    def of_column(cls, values: Any) -> Codes:
        """The vocabulary of a column, of which few values may be distinct."""
        if isinstance(values, RepeatedTexts):
            return cls(values.distinct)
        if isinstance(values, np.ndarray) and values.dtype != object:
            return cls(np.unique(values[~np.isnan(values)] if values.dtype.kind == "f" else values).tolist())
        return cls(values)

    def code(self, value: Any) -> int:
        """The code of one value."""
        return self.known.get(value, UNKNOWN)

    def codes(self, values: Any) -> NDArray[np.int64]:
        """The codes of a column of n values, shape [n]."""
        if isinstance(values, RepeatedTexts):
            return self.codes(values.distinct)[values.indices]
        if isinstance(values, np.ndarray) and values.dtype != object:
            return self._codes_of_numbers(values)
        return np.fromiter(map(self.known.get, values, repeat(UNKNOWN)), dtype=np.int64)

    def _codes_of_numbers(self, values: NDArray[Any]) -> NDArray[np.int64]:
        known = np.asarray(self.values if not self.values or not isinstance(self.values[0], str) else [])
        if not len(known):
            return np.zeros(len(values), dtype=np.int64)
        index = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[index] == values, index + 1, UNKNOWN).astype(np.int64)


def _integral(value: Any) -> Any:
    return int(value) if float(value).is_integer() else value


@dataclass
class State:
    """What an extractor has learnt.

    Parameters
    ----------
    vocabularies : dict
        Vocabularies by the key that they code: the name of a field, or `table.column`.
    tables : dict
        A flat float64 array for each look-up. One over several codes is in C order, so that `a * size_b + b` is its
        cell.
    texts : dict
        Lists of texts, such as the time zone of each key of a vocabulary, by look-up.
    """

    vocabularies: dict[str, Codes] = field(default_factory=dict)
    tables: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write `extractor.json` and `extractor.npz`; equal states give equal bytes."""
        document = {
            "vocabularies": {name: vocabulary.values for name, vocabulary in sorted(self.vocabularies.items())},
            "texts": dict(sorted(self.texts.items())),
        }
        (directory / JSON_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        arrays: dict[str, Any] = dict(sorted(self.tables.items()))
        with (directory / ARRAYS_FILE).open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, directory: Path) -> State:
        """Read what `save` wrote.

        Raises
        ------
        OSError, ValueError, KeyError
            Where a file is missing or damaged.
        """
        document = json.loads((directory / JSON_FILE).read_text(encoding="utf-8"))
        with np.load(directory / ARRAYS_FILE, allow_pickle=False) as arrays:
            tables = {name: arrays[name] for name in arrays.files}
        vocabularies = {name: Codes(values) for name, values in document["vocabularies"].items()}
        return cls(vocabularies, tables, document["texts"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex of everything learnt."""
        digest = hashlib.sha256()
        for name, vocabulary in sorted(self.vocabularies.items()):
            digest.update(repr((name, vocabulary.values)).encode())
        for name, texts in sorted(self.texts.items()):
            digest.update(repr((name, texts)).encode())
        for name, table in sorted(self.tables.items()):
            digest.update(name.encode() + np.ascontiguousarray(table).tobytes())
        return digest.hexdigest()
