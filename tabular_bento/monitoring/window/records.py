"""What is set aside of a row and of an outcome: their types, and which numbers an error can be measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definition import KNOWN_PART, TARGET
from tabular_bento.evaluation.reference.bins import Bins

OUTCOME_KIND = np.dtype([("key", "<u8"), ("time", "<i8"), ("value", "<f8")])
"""An outcome: the key of its prediction's id, when it was received in us UTC, and what came true."""

KEY_KIND = np.dtype([("key", "<u8")])

MEASURED = {"predicted": TARGET.name, "baseline": KNOWN_PART}
"""What errors are measured by, of each row: the field of the record, and the column of the log."""

LARGEST = 1e30
"""Numbers beyond it, of either sign, are none that an error can be measured by: sums of squares must stay finite."""

INFINITE = 255
"""The code of an infinite value in a row's `codes`; it is in the bin OTHER. All other codes are bins."""


@dataclass(frozen=True)
class Watched:
    """A column to look at: its name, its name in the log, and its bins."""

    name: str
    log_name: str
    bins: Bins


def record_kind(columns: Sequence[Watched], texts: int = 0) -> np.dtype[Any]:
    """The type of a row: `codes` holds its bin in each column, by place, and then what kind of text each field has."""
    assert all(column.bins.size <= INFINITE for column in columns), "a profile has some dozens of bins a column"
    codes = ("codes", np.uint8, (len(columns) + texts,))
    floats = [("predicted", "<f8"), ("baseline", "<f8"), ("gain", "<f4")]
    return np.dtype([("key", "<u8"), ("time", "<i8"), ("event", "<i8"), *floats, codes])


def measurable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n numbers an error can be measured by: neither missing, nor infinite, nor beyond LARGEST; shape [n]."""
    return np.asarray(np.abs(values) <= LARGEST)
