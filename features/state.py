"""What an extractor has learnt: vocabularies and tables, as plain arrays and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.texts import RepeatedTexts

UNKNOWN = 0
"""The code of every value a vocabulary does not hold; tables hold NaN there."""

_JSON_FILE = "extractor.json"
_ARRAYS_FILE = "extractor.npz"


class Vocabulary:
    """Maps the values seen in fitting to codes 1..size-1, in sorted order, and all others to `UNKNOWN`."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = sorted(set(values))
        self.size = len(self.values) + 1
        self._codes: dict[str | None, int] = {value: code for code, value in enumerate(self.values, start=1)}

    def code(self, value: str | None) -> int:
        return self._codes.get(value, UNKNOWN)

    def codes(self, values: Iterable[str | None]) -> NDArray[np.int64]:
        if isinstance(values, RepeatedTexts):
            return self.codes(values.distinct)[values.places]
        return np.fromiter(map(self._codes.get, values, repeat(UNKNOWN)), dtype=np.int64)


@dataclass
class State:
    """Vocabularies by field, time zones of the airports, and one flat float64 table per looked-up quantity.

    A table over several codes is stored flat in C order, so that `(a * size_b + b)` finds its cell. `clocks` are the
    distinct zones, and `clock_of_airport` says which of them is each airport's.
    """

    vocabularies: dict[str, Vocabulary]
    zones: list[str]
    tables: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clocks = sorted(set(self.zones))
        places = {zone: place for place, zone in enumerate(self.clocks)}
        self.clock_of_airport = np.array([places[zone] for zone in self.zones], dtype=np.int64)

    def save(self, directory: Path) -> None:
        """Write `extractor.json` and `extractor.npz`; equal states give equal bytes."""
        document = {
            "vocabularies": {name: vocabulary.values for name, vocabulary in sorted(self.vocabularies.items())},
            "zones": self.zones,
        }
        (directory / _JSON_FILE).write_text(json.dumps(document, indent=1) + "\n")
        arrays: Mapping[str, Any] = dict(sorted(self.tables.items()))
        with (directory / _ARRAYS_FILE).open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, directory: Path) -> State:
        """Read what `save` wrote. Raises OSError or ValueError where it is missing or damaged."""
        document = json.loads((directory / _JSON_FILE).read_text())
        with np.load(directory / _ARRAYS_FILE, allow_pickle=False) as arrays:
            tables = {name: arrays[name] for name in arrays.files}
        vocabularies = {name: Vocabulary(values) for name, values in document["vocabularies"].items()}
        return cls(vocabularies, document["zones"], tables)
