"""The profile of a reference: what each column of the traffic looked like when the model was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20
TOP_CATEGORIES = 30


def profile_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """A summary of each column of n rows, by name.

    Columns of numbers (NaN is missing) get quantile edges for `BINS` bins; columns of text (None is missing) get the
    shares of their most frequent values.
    """
    return {name: _numbers(v) if v.dtype.kind == "f" else _texts(v) for name, v in columns.items()}


def _numbers(values: NDArray[Any]) -> dict[str, Any]:
    known = values[~np.isnan(values)].astype(np.float64)
    summary: dict[str, Any] = {"kind": "number", "n": len(values), "missing": 1 - len(known) / max(len(values), 1)}
    if len(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        summary |= {"edges": edges.tolist(), "minimum": float(known.min()), "maximum": float(known.max())}
    return summary


def _texts(values: NDArray[Any]) -> dict[str, Any]:
    counts = Counter(value for value in values.tolist() if value is not None)
    known = sum(counts.values())
    return {
        "kind": "text",
        "n": len(values),
        "missing": 1 - known / max(len(values), 1),
        "shares": {value: count / known for value, count in counts.most_common(TOP_CATEGORIES)},
    }
