"""From the feature matrix to the inputs of a network: what was fitted for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tabular_bento.scoring.network.layers import Values

Prepare = Callable[[NDArray[np.float32]], Values]

Column = Annotated[int, Field(ge=0)]

CLIP = 10.0
"""Standard deviations beyond which a number is taken as that far: networks go astray on what they have never seen."""

_NOTHING = 1e-7
"""The deviation of a constant, relative to it: what rounding makes of 0."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScaledInput(_Input):
    """Numbers in standard deviations from their mean, then an indicator for each number that may be missing.

    A missing number becomes the mean.
    """

    kind: Literal["scaled"] = "scaled"
    columns: tuple[Column, ...] = Field(min_length=1)
    """The columns of the feature matrix."""
    mean: tuple[float, ...]
    deviation: tuple[Annotated[float, Field(gt=0)], ...]
    indicators: tuple[Column, ...]
    """Places among `columns` of those that have an indicator: 1 where the number is missing, 0 elsewhere."""

    @model_validator(mode="after")
    def _check_lengths(self) -> ScaledInput:
        count = len(self.columns)
        if (len(self.mean), len(self.deviation)) != (count, count) or max(self.indicators, default=0) >= count:
            raise ValueError("mean, deviation and indicators are not those of the columns")
        return self

    @classmethod
    def fit(cls, X: NDArray[np.float32], columns: tuple[int, ...], weights: NDArray[np.float64] | None) -> ScaledInput:
        """Means and deviations of the columns, each over the rows that have the number."""
        known = X[:, list(columns)].astype(np.float64)
        missing = np.isnan(known)
        counted = np.where(missing, 0.0, (np.ones(len(X)) if weights is None else weights)[:, None])
        total = counted.sum(axis=0)
        total[total == 0] = 1.0
        known[missing] = 0.0
        mean = (known * counted).sum(axis=0) / total
        deviation = np.sqrt(((known - mean) ** 2 * counted).sum(axis=0) / total)
        deviation[deviation <= _NOTHING * np.abs(mean)] = 1.0
        indicators = tuple(int(place) for place in np.flatnonzero(missing.any(axis=0)))
        return cls(columns=columns, mean=tuple(mean), deviation=tuple(deviation), indicators=indicators)

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return len(self.columns) + len(self.indicators)

    def prepare(self) -> Prepare:
        """The function that gives the input of n rows of the feature matrix, shape [n, width]."""
        columns, indicators = np.array(self.columns), np.array(self.indicators, dtype=np.intp)
        mean, deviation = np.array(self.mean), np.array(self.deviation)

        def values(X: NDArray[np.float32]) -> Values:
            known = X[:, columns].astype(np.float64)
            missing = np.isnan(known)
            scaled = np.minimum(np.maximum((known - mean) / deviation, -CLIP), CLIP)
            scaled[missing] = 0.0
            numbers: Values = scaled.astype(np.float32)
            return np.concatenate([numbers, missing[:, indicators]], axis=1) if len(indicators) else numbers

        return values


class CodeInput(_Input):
    """One code of a vocabulary; a code that was not seen in training, or none, is that of unknown values, 0."""

    kind: Literal["code"] = "code"
    column: Column
    size: int = Field(ge=1)
    """Codes that there are."""

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return 1

    def prepare(self) -> Prepare:
        """The function that gives the input of n rows of the feature matrix, shape [n, 1]."""
        column, size, unknown = self.column, self.size, np.float32(0)

        def values(X: NDArray[np.float32]) -> Values:
            codes = X[:, column : column + 1]
            return np.where((codes >= 0) & (codes < size), codes, unknown)

        return values


class PlainInput(_Input):
    """Features as they are, of which a missing one becomes a number that is given for it."""

    kind: Literal["plain"] = "plain"
    columns: tuple[Column, ...] = Field(min_length=1)
    fill: tuple[float, ...] = ()
    """What a missing number of each column becomes; empty where it stays missing."""

    @model_validator(mode="after")
    def _check_lengths(self) -> PlainInput:
        if len(self.fill) not in (0, len(self.columns)):
            raise ValueError("fill has not a number for each column")
        return self

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return len(self.columns)

    def prepare(self) -> Prepare:
        """The function that gives the input of n rows of the feature matrix, shape [n, width]."""
        columns, fill = np.array(self.columns), np.array(self.fill, dtype=np.float32)
        if not len(fill):
            return lambda X: X[:, columns]

        def values(X: NDArray[np.float32]) -> Values:
            found = X[:, columns]
            return np.where(np.isnan(found), fill, found)

        return values


AnyInput = Annotated[ScaledInput | CodeInput | PlainInput, Field(discriminator="kind")]
"""Any of them, as pydantic reads it from a document."""
