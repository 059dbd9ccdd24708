"""The profile of a reference: what each column of the traffic looked like when the model was made.

| key | |
|---|---|
| rows | of the training months |
| columns | by name, as below; `outcome` is what came true |
| vocabularies | by field of categories, its values: `tabular_bento.evaluation.reference.vocabulary` |
| calibration | how far windows may stray: `tabular_bento.evaluation.reference.calibration` |
| error | of the model on months that it did not see: RMSE with its 95 % interval, MAE, bias, ratio to zero gain |
| error: days, usual_ratio | that ratio by span, as nearly all windows of the training months stayed below it |
| error: estimate | by span, how far the error model was off: root mean square of ln(realised / estimated) |

| key of a column | of | |
|---|---|---|
| kind | all | `number` or `text` |
| n, missing | all | rows, and the share of them that has no value |
| counts | all | rows in each bin, as `reference.bins` orders them: missing, other, then the bins themselves |
| importance | features | share of 1 among the features: `tabular_bento.evaluation.reference.importance` |
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

from features.definition import SEGMENTS, TARGET
from features.functions import FEATURE_NAMES
from tabular_bento.evaluation.reference.bins import Bins
from tabular_bento.evaluation.reference.calibration import calibrate

OUTCOME = "outcome"
"""The name of what came true, as a column of the profile and of the reference rows."""

BINS = 20
REST_BINS = 5
TOP_CATEGORIES = 30


def monitored(
    columns: Mapping[str, NDArray[Any]],
    features: NDArray[np.float32],
    predicted: NDArray[np.float64],
    outcome: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """The columns that drift is looked for in: features, predictions, outcomes, and segments that are no feature.

    `columns` are the request's fields, arrays of shape [n] by name; `features` is of shape [n, features].
    """
    found: dict[str, NDArray[Any]] = {
        name: features[:, index].astype(np.float64) for index, name in enumerate(FEATURE_NAMES)
    }
    found |= {TARGET.name: predicted, OUTCOME: outcome}
    return found | {name: columns[name] for name in SEGMENTS if name not in found}


def profile(
    columns: Mapping[str, NDArray[Any]], event: NDArray[np.int64], importance: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """The profile of n rows, n at least 1, but for `error`; the same bytes for the same rows and seed.

    `columns` are as for `profile_columns`, `event` is the rows' times in seconds, and `importance` the weights of the
    features, by name.
    """
    summaries = profile_columns(columns)
    for name, weight in importance.items():
        summaries[name]["importance"] = float(f"{weight:.6g}")
    return {"rows": len(event), "columns": summaries, "calibration": calibrate(columns, summaries, event, seed)}


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
    edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
    repeated = np.unique(edges[1:][edges[1:] == edges[:-1]])
    rest = known[~np.isin(known, repeated)]
    if len(repeated) and len(rest):
        # Where one value fills whole bins, as no rain does, the others have bins of their own.
        edges = np.concatenate([edges, np.quantile(rest, np.linspace(0, 1, REST_BINS + 1)[:-1], method="higher")])
    edges = np.unique(edges[edges > known.min()])
    filled = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return summary | {"edges": edges[filled[1:] > 0].tolist()}


def _texts(values: NDArray[Any]) -> dict[str, Any]:
    counts = Counter(value for value in values.tolist() if value is not None)
    return {"kind": "text", "categories": [value for value, _ in counts.most_common(TOP_CATEGORIES)]}
