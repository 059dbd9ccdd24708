"""What is measured of predicted classes beyond their losses, on the rows of the window's sample whose label is due."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import GROUPS
from tabular_bento.evaluation.reference.bins import numbers_of, seconds_of
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.features.clock import DAY
from tabular_bento.monitoring.drift.result import ClassMetrics, Labels
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.columns import event_column
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import LABEL, TIME, output_column


def class_metrics(
    labels: Labels, data: WindowData, declaration: Declaration | None, settings: DriftSettings
) -> ClassMetrics | None:
    """Ranking, calibration and confusion of the window's sample; None of a task without classes, or without labels.

    The losses need no more than sums, and are of all rows; a ROC AUC needs the probabilities side by side.

    Parameters
    ----------
    labels : Labels
        Which labels are due.
    data : WindowData
        The window.
    declaration : Declaration, optional
        Of the model's problem.
    settings : DriftSettings
        Of the bootstrap.
    """
    if declaration is None or not declaration.task.class_names or labels.model is None or labels.maturity is None:
        return None
    sample, (predicted, probability) = data.sample, declaration.outputs[:2]
    columns = [output_column(name) for name in (*predicted.columns, *probability.columns)]
    if not {LABEL, TIME.name, *columns} <= set(sample.column_names):
        return None
    due = data.now.timestamp() - seconds_of(sample[TIME.name]) >= labels.maturity.hours * HOUR
    shares = np.column_stack([numbers_of(sample[name]) for name in columns[1:]])
    codes = numbers_of(sample[LABEL])
    usable = due & np.isfinite(shares).all(axis=1) & np.isfinite(codes) & sample[columns[0]].is_valid().to_numpy()
    if not usable.any():
        return None
    outputs: dict[str, NDArray[Any]] = {
        predicted.name: _values(sample[columns[0]], predicted.kind)[usable],
        probability.name: shares[usable],
    }
    blocks = _blocks(sample, event_column(declaration), labels.blocks)[usable]
    measured = evaluator_of(declaration.task).measure(outputs, codes[usable], blocks, settings.resamples, settings.seed)
    known = {name: _plain(value) for name, value in measured.to_dict().items() if name in ClassMetrics.model_fields}
    return ClassMetrics(**known)


def _values(column: pa.ChunkedArray, kind: Kind) -> NDArray[Any]:
    return np.array(column.to_pylist(), dtype=object if kind is Kind.TEXT else np.float64)


def _blocks(sample: pa.Table, event: str | None, kind: str | None) -> NDArray[np.int64]:
    """What the bootstrap draws, as of the losses."""
    if event is None or kind == "row":
        return np.arange(sample.num_rows, dtype=np.int64) % GROUPS
    return np.asarray(seconds_of(sample[event]) // (DAY if kind == "day" else HOUR)).astype(np.int64)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
