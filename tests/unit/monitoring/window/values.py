"""What rows with a label come to, of errors that a test gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tabular_bento.monitoring.window.errors import (
    ABSOLUTE,
    ERROR,
    HISTORICAL,
    MODEL,
    NAIVE,
    SQUARE,
    VALUES,
    RowValues,
)

Array = NDArray[np.float64]


def values_of(model: Array, naive: Array, historical: Array, known: NDArray[np.bool_]) -> RowValues:
    """Errors of the three, prediction less label, with their absolute values and squares."""
    values = np.zeros((VALUES, len(model)))
    for first, error in ((MODEL, model), (NAIVE, naive), (HISTORICAL, historical)):
        values[first + ERROR], values[first + ABSOLUTE], values[first + SQUARE] = error, np.abs(error), error**2
    return RowValues(values, known)
