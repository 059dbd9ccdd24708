"""Charts of a test part by prediction and label, as the training report shows them: those of each kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators import Outputs
from tabular_bento.pages import classification
from tabular_bento.pages.card import Chart
from tabular_bento.pages.charts import THIRD, Line, scatter, trace
from tabular_bento.tasks import Task

Array = NDArray[np.float64]

POINTS = 2_000
"""Rows that a chart of points draws."""

BINS = 10
"""Bins of equal numbers of rows that means and shares are taken over."""

CURVES = 5
"""Classes that have a curve: those of the most rows."""

CURVE_POINTS = 200


def charts_of(task: Task, outputs: Outputs, codes: Array, seed: int) -> list[Chart]:
    """The charts of n predictions.

    Parameters
    ----------
    task : Task
        What was predicted; a task whose evaluator is not known here has no charts.
    outputs : mapping
        The predictions.
    codes : ndarray of shape [n]
        Their labels as numbers, see `Evaluator`.
    seed : int
        Of the rows that are drawn as points.
    """
    make = CHARTS.get(task.evaluator)
    known = ~np.isnan(codes)
    if make is None or not known.any():
        return []
    return make(task, {name: values[known] for name, values in outputs.items()}, codes[known], seed)


def regression(task: Task, outputs: Outputs, codes: Array, seed: int) -> list[Chart]:
    """Predictions by label, and residuals by prediction."""
    predicted = np.asarray(outputs[task.target.name], dtype=np.float64)
    residual = predicted - codes
    size = min(POINTS, len(codes))
    chosen = np.sort(np.random.default_rng(seed).choice(len(codes), size, replace=False))
    unit = f", {task.target.unit}" if task.target.unit else ""
    drawn = f"{size:,} of {len(codes):,} rows" if size < len(codes) else f"{size:,} rows"
    shown, labels, errors = (_rounded(values[chosen]) for values in (predicted, codes, residual))
    means = _means(predicted, residual)
    residuals = scatter(shown, errors, f"predicted{unit}", f"predicted - label{unit}", level=0.0)
    line = Line("mean", _rounded(means[:, 0]), _rounded(means[:, 1]), colour=THIRD)
    residuals["data"].append({**trace(line, "mean of a tenth: %{y:.4g}"), "showlegend": False})
    worst = float(np.abs(means[:, 1]).max())
    return [
        Chart(
            "Predicted by label",
            f"Predictions by label, {drawn}; their correlation is {_correlation(predicted, codes):.2f}",
            scatter(labels, shown, f"label{unit}", f"predicted{unit}", diagonal=True),
            f"{drawn}; dotted: equal",
        ),
        Chart(
            "Residuals",
            f"Predicted less label, by predicted value; the mean of each tenth of the rows is within {worst:.3g} of 0",
            residuals,
            "line: mean of each tenth",
        ),
    ]


def classes(task: Task, outputs: Outputs, codes: Array, seed: int) -> list[Chart]:  # noqa: ARG001
    """Calibration, confusion matrix, ROC and precision-recall curves; of many classes those of the most rows."""
    probability = np.asarray(outputs["probability"], dtype=np.float64)
    names, index = task.class_names, codes.astype(np.int64)
    counts = np.bincount(index, minlength=len(names))
    binary = len(names) == 2
    shown = [1] if binary else np.argsort(-counts, kind="stable")[:CURVES].tolist()
    shown = [code for code in shown if 0 < counts[code] < len(index)]
    which = f"of {names[1]}" if binary else "of each class against the rest"
    if len(names) > CURVES:
        which = f"of the {CURVES} classes of the most rows"
    size = len(names)
    predicted = task.encode(outputs[task.target.name]).astype(np.int64)
    matrix = np.bincount(index * size + predicted, minlength=size * size).reshape(size, size)
    right = float(np.trace(matrix)) / len(index)
    confusion = Chart(
        "Confusion matrix",
        f"Rows by label and predicted class; {right:.1%} are on the diagonal, where the two are the same",
        classification.confusion_matrix(matrix.tolist(), names),
        "shade: share of the label's rows",
    )
    if not shown:
        return [confusion]
    cases = [(names[code], index == code, probability[:, code]) for code in shown]
    styled = classification.styled
    base_rate = float(cases[0][1].mean()) if binary else None
    return [
        Chart(
            "Calibration",
            f"Observed share by predicted probability {which}",
            classification.calibration_curve(styled([_calibration(*case) for case in cases])),
            f"{which}; dotted: equal",
        ),
        confusion,
        Chart(
            "ROC curve",
            f"True positive rate by false positive rate {which}",
            classification.roc_curve(styled([_roc(*case) for case in cases])),
            which,
        ),
        Chart(
            "Precision and recall",
            f"Precision by recall {which}",
            classification.precision_recall_curve(styled([_precision_recall(*case) for case in cases]), base_rate),
            which,
        ),
    ]


CHARTS: Mapping[str, Callable[[Task, Outputs, Array, int], list[Chart]]] = MappingProxyType(
    {"regression": regression, "binary": classes, "multiclass": classes}
)
"""What draws the predictions that an evaluator measures, by its name."""


def _means(by: Array, values: Array) -> Array:
    """The mean of both in each tenth of the rows in order of the first, shape [bins, 2]."""
    order = np.argsort(by, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return np.array([(by[part].mean(), values[part].mean()) for part in parts])


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _calibration(name: str, is_class: NDArray[np.bool_], probability: Array) -> Line:
    """Shares of tenths of the rows in order of the probability, with their 95 % intervals (Wilson, 1927)."""
    from scipy.stats import binomtest

    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    shares = [float(is_class[part].mean()) for part in parts]
    bounds = [binomtest(int(is_class[part].sum()), len(part)).proportion_ci(method="wilson") for part in parts]
    return Line(
        name,
        _rounded(np.array([probability[part].mean() for part in parts])),
        _rounded(np.array(shares)),
        low=[float(bound.low) for bound in bounds],
        high=[float(bound.high) for bound in bounds],
        text=[f"of {len(part):,} rows" for part in parts],
    )


def _roc(name: str, is_class: NDArray[np.bool_], probability: Array) -> Line:
    from sklearn.metrics import auc, roc_curve

    false_positive, true_positive, _ = roc_curve(is_class, probability)
    area = float(auc(false_positive, true_positive))
    x, y = _thinned(false_positive, true_positive)
    return Line(f"{name}, area {area:.3f}", x, y, markers=False)


def _precision_recall(name: str, is_class: NDArray[np.bool_], probability: Array) -> Line:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, _ = precision_recall_curve(is_class, probability)
    area = float(average_precision_score(is_class, probability))
    x, y = _thinned(recall, precision)
    return Line(f"{name}, average precision {area:.3f}", x, y, markers=False)


def _thinned(x: Array, y: Array) -> tuple[list[float], list[float]]:
    """Points of a curve, evenly over all."""
    chosen = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).astype(np.int64))
    return _rounded(x[chosen]), _rounded(y[chosen])


def _rounded(values: Array) -> list[float]:
    """Numbers as charts need them, which makes pages small."""
    return [float(f"{value:.5g}") for value in values]
