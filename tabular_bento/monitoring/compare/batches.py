"""Batches of rows as the sources of a comparison yield them, and what a source tells beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.definition import EVENT_TIME

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """n rows: request fields by name, outcomes [n] with NaN for none, and what each row is called.

    `baseline` and `candidate` are predictions that were logged, [n]; None where they are to be computed.
    """

    columns: Mapping[str, NDArray[Any]]
    outcome: Array
    names: list[str]
    baseline: Array | None = None
    candidate: Array | None = None

    @property
    def event(self) -> NDArray[np.int64]:
        """Local times of the rows in seconds, shape [n]."""
        return np.asarray(self.columns[EVENT_TIME])


@dataclass
class Found:
    """What a source tells beside its rows: where they are, what was left out and why, and what to know."""

    where: str
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, why: str, rows: int) -> None:
        """Count rows that are not compared."""
        if rows:
            self.left_out[why] = self.left_out.get(why, 0) + rows


def numbers(column: pa.ChunkedArray) -> Array:
    """A column of numbers, missing is NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
