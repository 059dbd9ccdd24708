"""The profile of a reference: what each column of the traffic looked like when the model was made.

| key | |
|---|---|
| rows | of the training part |
| columns | by name in the log, as below: `feature.*` (without features `input.*`), `output.*`, `label`, and segments |
| vocabularies | by field of categories, its `values` and the share that is `empty`: `reference.vocabulary` |
| calibration | how far windows may stray: `reference.calibration` |
| naive_baseline | the mean of the labels, or the share of each class, where the problem has no offset; else null |
| error | on the test part: RMSE or log loss with its 95 % interval, MAE or Brier score, bias, and |
| | `ratio_to_naive_baseline` of the first |
| error: days, usual_ratio | that ratio by span, as nearly all windows of the training part stayed below it |
| error: unseen | on unseen rows, of residual (`bias`) and first loss (`square`): `reference.thresholds.Spread` |
| error: shift | how a shift of all segments alike is measured, and its limits: `reference.common_shift` |
| error: estimate | by span, how far the error model was off: root mean square of ln(observed / estimated); or, of a |
| | classification, what `reference.confidence` estimates by |

| key of a column | of | |
|---|---|---|
| kind | all | `number`, `time` (in days since 1970) or `text` |
| n, missing | all | rows, and the share of them that has no value |
| counts | all | rows in each bin, as `reference.bins` orders them: missing, other, then the bins themselves |
| importance | features, or inputs | share of 1 among them: `importance` |
| values | few distinct numbers | each is a bin |
| edges | other numbers | inner edges of quantile bins between minimum and maximum |
| minimum, maximum | numbers | the range; left out where all is missing |
| categories | text | the most frequent ones; each is a bin |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.bins import Bins
from tabular_bento.evaluation.reference.calibration import calibrate
from tabular_bento.evaluation.reference.vocabulary import vocabularies
from tabular_bento.features.columns import Columns
from tabular_bento.problem import Declaration
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.schema import LABEL, feature_column, input_column, output_column

BINS = 20
REST_BINS = 5
TOP_CATEGORIES = 30
IMPORTANCE_ROWS = 2_000

Outputs = Mapping[str, NDArray[Any]]
"""Outputs of n predictions by name: of shape [n], or [n, parts]."""


def naive_baseline(declaration: Declaration, labels: NDArray[Any]) -> float | list[float] | None:
    """What the naive baseline predicts where the problem has no offset, see `Evaluator.naive`; else None."""
    if declaration.offset is not None:
        return None
    evaluator = evaluator_of(declaration.task)
    return evaluator.naive(evaluator.codes(labels))


def monitored_inputs(declaration: Declaration) -> tuple[Field, ...]:
    """The fields that drift is looked for in: of a problem without features all but the identifier and the event time,
    else the offset and the segments, as far as no feature has their name.
    """
    if not declaration.features:
        apart = (declaration.identifier, declaration.event_time)
        return tuple(item for item in declaration.fields if item.name not in apart)
    names = dict.fromkeys((declaration.offset, *declaration.segments))
    return tuple(declaration.field(name) for name in names if name and name not in declaration.feature_names)


def output_columns(declaration: Declaration, outputs: Outputs) -> dict[str, NDArray[Any]]:
    """Outputs as columns of shape [n] by their names in the log, one a part."""
    found: dict[str, NDArray[Any]] = {}
    for output in declaration.outputs:
        values = np.asarray(outputs[output.name])
        parts = values.T if output.parts else [values]
        found |= {output_column(name): part for name, part in zip(output.columns, parts, strict=True)}
    return found


def monitored(
    declaration: Declaration,
    columns: Columns,
    features: NDArray[np.float32] | None,
    outputs: Outputs,
    labels: NDArray[Any],
) -> dict[str, NDArray[Any]]:
    """The columns that drift is looked for in, by their names in the log.

    Parameters
    ----------
    declaration : Declaration
        Of the problem.
    columns : Columns
        The fields of n rows, arrays of shape [n].
    features : ndarray of shape [n, features], optional
        Not needed for a problem without features.
    outputs : mapping
        The model's predictions.
    labels : ndarray of shape [n]
        The labels.

    Returns
    -------
    dict
        float64 arrays in which NaN is missing and times are in days, and object arrays of texts.
    """
    found: dict[str, NDArray[Any]] = {}
    if features is not None:
        for index, name in enumerate(declaration.feature_names):
            found[feature_column(name)] = features[:, index].astype(np.float64)
    kinds = _output_kinds(declaration)
    for name, values in output_columns(declaration, outputs).items():
        found[name] = _plain(values, kinds[name])
    found[LABEL] = _plain(labels, declaration.target.kind)
    for item in monitored_inputs(declaration):
        found[input_column(item.name)] = _plain(columns[item.name], item.kind)
    return found


def _output_kinds(declaration: Declaration) -> dict[str, Kind]:
    """The kind of each output's column, by its name in the log."""
    return {output_column(name): output.kind for output in declaration.outputs for name in output.columns}


def _plain(values: Any, kind: Kind) -> NDArray[Any]:
    """Texts as objects, times in days, everything else as float64."""
    array = np.asarray(values)
    if kind is Kind.TEXT:
        return array.astype(object)
    return array / kind.per_day if kind.is_time else array.astype(np.float64)


def profile(
    declaration: Declaration,
    columns: Columns,
    features: NDArray[np.float32] | None,
    outputs: Outputs,
    labels: NDArray[Any],
    weights: Mapping[str, float],
    seed: int,
) -> dict[str, Any]:
    """The profile of n rows, n at least 1, but for `error`; the same bytes for the same rows and seed.

    Parameters
    ----------
    declaration, columns, features, outputs, labels
        As of `monitored`.
    weights : mapping
        The importance of each feature, or input, by name; of those that are not named, all have the same.
    seed : int
        Of the calibration.
    """
    watched = monitored(declaration, columns, features, outputs, labels)
    summaries = profile_columns(watched)
    kinds = _output_kinds(declaration) | {input_column(item.name): item.kind for item in declaration.fields}
    for name, summary in summaries.items():
        if name in kinds and kinds[name].is_time:
            summary["kind"] = "time"
    if declaration.features:
        names = {name: feature_column(name) for name in declaration.feature_names}
    else:
        names = {item.name: input_column(item.name) for item in monitored_inputs(declaration)}
    for name, column in names.items():
        summaries[column]["importance"] = float(f"{weights.get(name, 1 / len(names)):.6g}")
    return {
        "rows": len(labels),
        "columns": summaries,
        "calibration": calibrate(watched, summaries, event_seconds(declaration, columns), seed),
        "vocabularies": vocabularies(declaration, columns),
        "naive_baseline": naive_baseline(declaration, labels),
    }


def profile_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """A summary of each column of n rows, by name; n is at least 1.

    Columns of numbers are float (NaN is missing), columns of text are object (None is missing).
    """
    return {name: _profile(values) for name, values in columns.items()}


def reference_rows(
    declaration: Declaration,
    columns: Columns,
    features: NDArray[np.float32] | None,
    outputs: Outputs,
    labels: NDArray[Any],
) -> pa.Table:
    """Rows as the log would hold them, with their labels; parameters as of `monitored`."""
    arrays: dict[str, pa.Array] = {
        input_column(item.name): arrow_column(columns[item.name], item) for item in declaration.fields
    }
    if features is not None:
        for index, name in enumerate(declaration.feature_names):
            values = features[:, index].astype(np.float64)
            arrays[feature_column(name)] = pa.array(values, pa.float64(), from_pandas=True)
    kinds = _output_kinds(declaration)
    for name, part in output_columns(declaration, outputs).items():
        arrays[name] = arrow_column(part, Field(name, kinds[name]))
    arrays[LABEL] = pa.array(_plain(labels, declaration.target.kind), from_pandas=True)
    return pa.table(arrays)


def arrow_column(values: Any, item: Field) -> pa.Array:
    """A column of a field, as it is held in NumPy, in Arrow; missing values are null."""
    if item.kind is Kind.TEXT:
        return pa.array(values.tolist() if hasattr(values, "tolist") else list(values), pa.string())
    array = np.asarray(values)
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(len(array), dtype=np.bool_)
    if item.kind is Kind.NUMBER:
        return pa.array(array.astype(np.float64), pa.float64(), mask=missing)
    whole = pa.array(np.where(missing, 0, array).astype(np.int64), pa.int64(), mask=missing)
    match item.kind:
        case Kind.BOOLEAN:
            return whole.cast(pa.bool_())
        case Kind.DATE:
            return whole.cast(pa.int32()).cast(pa.date32())
        case Kind.LOCAL_TIME:
            return whole.cast(pa.timestamp("s"))
        case Kind.INSTANT:
            return whole.cast(pa.timestamp("us", tz="UTC"))
        case _:
            return whole


def importance(
    predict: Callable[[NDArray[np.float32]], NDArray[np.float64]], features: NDArray[np.float32], seed: int
) -> NDArray[np.float64]:
    """Each feature's share of the predictions' mean squared change when it alone is shuffled among rows.

    Model reliance by permutation (Fisher, Rudin and Dominici, All Models are Wrong, but Many are Useful, JMLR 20, 2019,
    after Breiman, Random Forests, 2001), of the prediction rather than of the error: it asks for no labels, is never
    negative, and means the same for every runner.

    Parameters
    ----------
    predict : callable
        Gives raw scores, of shape [n] or [n, k], of features of shape [n, features].
    features : ndarray of shape [n, features]
        n is at least 2; up to `IMPORTANCE_ROWS` rows are used.
    seed : int
        Of the shuffling.

    Returns
    -------
    ndarray of shape [features]
        All equal where nothing moves the prediction.
    """
    found = input_importance(
        lambda columns: predict(np.column_stack(list(columns.values()))),
        {str(index): column for index, column in enumerate(features.T)},
        [str(index) for index in range(features.shape[1])],
        seed,
    )
    return np.array(list(found.values()))


def input_importance(
    predict: Callable[[dict[str, NDArray[Any]]], NDArray[np.float64]],
    columns: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """The same of fields, for a runner that takes them.

    Parameters
    ----------
    predict : callable
        Gives raw scores, of shape [n] or [n, k], of fields as arrays of shape [n] by name.
    columns : mapping
        The fields of n rows, n at least 2; up to `IMPORTANCE_ROWS` of them are used.
    names : sequence of str
        The fields whose importance is wanted.
    seed : int
        Of the shuffling.

    Returns
    -------
    dict
        By name.
    """
    rng = np.random.default_rng(seed)
    count = len(next(iter(columns.values())))
    drawn = rng.choice(count, min(IMPORTANCE_ROWS, count), replace=False)
    rows = {name: values[drawn] for name, values in columns.items()}
    scores, changes = predict(rows), np.empty(len(names))
    for index, name in enumerate(names):
        changes[index] = np.mean((predict({**rows, name: rng.permutation(rows[name])}) - scores) ** 2)
    total = changes.sum()
    shares = changes / total if total else np.full(len(changes), 1 / max(len(changes), 1))
    return dict(zip(names, shares.tolist(), strict=True))


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
