"""The profile of a reference: what each column of the traffic looked like when the model was made.

| key | of | |
|---|---|---|
| kind | all | `number` or `text` |
| n, missing | all | rows, and the share of them that has no value |
| counts | all | rows in each bin, as `monitoring.bins` orders them: missing, other, then the bins themselves |
| values | few distinct numbers | each is a bin |
| edges | other numbers | inner edges of quantile bins between minimum and maximum |
| minimum, maximum | numbers | the range; left out where all is missing |
| categories | text | the most frequent ones; each is a bin |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import Bins

BINS = 20
TOP_CATEGORIES = 30


def profile_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """A summary of each column of n rows, by name; n is at least 1.

    Columns of numbers are float (NaN is missing), columns of text are object (None is missing).
    """
    return {name: _profile(values) for name, values in columns.items()}


def _profile(values: NDArray[Any]) -> dict[str, Any]:
    summary = _numbers(values) if values.dtype.kind == "f" else _texts(values)
    counts = Bins(summary).count(values)
    return summary | {"n": len(values), "missing": int(counts[0]) / len(values), "counts": counts.tolist()}


def _numbers(values: NDArray[Any]) -> dict[str, Any]:
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        return {"kind": "number"}
    summary = {"kind": "number", "minimum": float(known.min()), "maximum": float(known.max())}
    distinct = np.unique(known)
    if len(distinct) <= TOP_CATEGORIES:
        return summary | {"values": distinct.tolist()}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    return summary | {"edges": edges[edges > known.min()].tolist()}


def _texts(values: NDArray[Any]) -> dict[str, Any]:
    counts = Counter(value for value in values.tolist() if value is not None)
    return {"kind": "text", "categories": [value for value, _ in counts.most_common(TOP_CATEGORIES)]}
