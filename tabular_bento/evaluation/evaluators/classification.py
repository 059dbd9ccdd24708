"""Predictions of a class, with their probabilities, against labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.evaluators.base import Array, Evaluator, Integers, Matrix, Outputs
from tabular_bento.evaluation.evaluators.scores import (
    BINS,
    CALIBRATION_BINS,
    Bootstrap,
    Interval,
    average_precision,
    bins_of,
    calibration_error,
    clipped,
    mean_of,
    precision_recall,
    roc_auc,
)
from tabular_bento.evaluation.metrics import ANY, NOT_NEGATIVE, SHARE, interval_of_draws
from tabular_bento.tasks import Task

if TYPE_CHECKING:
    from tabular_bento.evaluation.reference.thresholds import Spread

LOGISTIC = "logistic_regression"

LEAST_SHARE = 1e-4
"""A share of a group is kept this far from 0 and 1: no group is large enough to say that a class never occurs."""

COUNTED = 5_120
"""Bins of scores of all classes together."""


@dataclass(frozen=True)
class ClassificationMetrics:
    """Metrics of n predictions of k classes; intervals are 95 % intervals by bootstrap over blocks.

    An interval is None for fewer than two blocks. A metric is NaN where the labels do not say it, as the ROC AUC of one
    class. Of more than two classes `roc_auc` and `average_precision` are means over the classes, each against the rest.

    Parameters
    ----------
    n : int
        Predictions with a label.
    log_loss : float
        Mean of the negative logarithm of the probability of the label.
    brier : float
        Mean squared difference of the probability of the positive class and 1 where it is the label, else 0; of more
        than two classes the sum of those of all classes.
    roc_auc, average_precision : float
        Of the probability of the positive class.
    calibration_error : float
        Expected calibration error over ten bins of equal numbers of rows: of the probability of the positive class, or
        of more than two classes of that of the predicted class.
    accuracy : float
        Share of predicted classes that are the label.
    bias : float
        Mean probability of the positive class less its share; of more than two classes that of the predicted class less
        the accuracy.
    precision, recall, f1 : float, optional
        Of the positive class, for two classes.
    confusion_matrix : tuple of tuple of int
        Rows by label, then by predicted class, both in the order of `classes`.
    confusion_matrix_interval : tuple, optional
        Of each cell as a share of the rows with that label; None of a label without rows.
    classes : tuple of str
        The classes' text.
    """

    n: int
    log_loss: float
    brier: float
    roc_auc: float
    average_precision: float
    calibration_error: float
    accuracy: float
    bias: float
    precision: float | None
    recall: float | None
    f1: float | None
    log_loss_interval: Interval | None
    brier_interval: Interval | None
    roc_auc_interval: Interval | None
    average_precision_interval: Interval | None
    calibration_error_interval: Interval | None
    accuracy_interval: Interval | None
    bias_interval: Interval | None
    precision_interval: Interval | None
    recall_interval: Interval | None
    f1_interval: Interval | None
    confusion_matrix: tuple[tuple[int, ...], ...]
    confusion_matrix_interval: tuple[tuple[Interval | None, ...], ...]
    classes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The metrics as plain values."""
        return asdict(self)


class ClassificationEvaluator(Evaluator):
    """The evaluator of binary and multiclass tasks."""

    losses = ("log_loss", "brier")
    in_target_unit = False
    has_bounded_residuals = True
    linear = LOGISTIC
    measured = ("probability",)

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.classes = task.class_names
        self.is_binary = len(self.classes) == 2

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that are one number, which a gate may limit."""
        shared = ("n", "log_loss", "brier", "roc_auc", "average_precision", "calibration_error", "accuracy", "bias")
        return (*shared, "precision", "recall", "f1") if self.is_binary else shared

    def row_losses(self, outputs: Outputs, codes: Array) -> Array:
        """Log loss and Brier score of each row, shape [n, 2]; NaN where there is no label."""
        probability = np.asarray(outputs["probability"], dtype=np.float64)
        known = ~np.isnan(codes)
        index = np.where(known, codes, 0).astype(np.int64)
        log_loss = -np.log(clipped(probability[np.arange(len(index)), index]))
        squares = (probability - np.eye(len(self.classes))[index]) ** 2
        brier = squares[:, 1] if self.is_binary else squares.sum(axis=1)
        return np.where(known[:, None], np.stack([log_loss, brier], axis=1), np.nan)

    def residual(self, outputs: Outputs, codes: Array) -> Array:
        """The probability of the positive, or of more than two classes the predicted one, less 1 where it is the label.

        Shape [n]; NaN where there is no label.
        """
        confidence, right = self._confidence(outputs, codes)
        return np.where(np.isnan(codes), np.nan, confidence - right)

    def level(self, means: Array) -> Array:
        """The means themselves."""
        return means

    def bias_scale(self, bias: Spread, first: Spread) -> float:  # noqa: ARG002
        """The variance of labels about the probabilities: small of a rare class, as its bias is."""
        return float(bias.row_sd**2)

    def measure(
        self,
        outputs: Outputs,
        codes: Array,
        blocks: Integers,
        resamples: int,
        seed: int,
        within: float | None = None,  # noqa: ARG002
    ) -> ClassificationMetrics:
        """See `Evaluator.measure`."""
        known = ~np.isnan(codes)
        if not known.any():
            raise ValueError("no row has a label")
        outputs = {name: np.asarray(values)[known] for name, values in outputs.items()}
        codes, bootstrap = codes[known], Bootstrap(blocks[known], resamples, seed)
        found = self._additive(outputs, codes, bootstrap)
        found |= self._ranking(outputs, codes, bootstrap)
        found |= self._calibration(outputs, codes, bootstrap)
        matrix, intervals = self._confusion(outputs, codes, bootstrap)
        values: dict[str, Any] = {name: value for name, (value, _) in found.items()}
        values |= {f"{name}_interval": interval for name, (_, interval) in found.items()}
        for name in ("precision", "recall", "f1"):
            values |= {name: values.get(name), f"{name}_interval": values.get(f"{name}_interval")}
        return ClassificationMetrics(
            n=len(codes),
            confusion_matrix=matrix,
            confusion_matrix_interval=intervals,
            classes=self.classes,
            **values,
        )

    def naive(self, codes: Array) -> list[float] | None:
        """The share of each class; of one without a row, as if it had half a one. None without labels."""
        known = codes[~np.isnan(codes)].astype(np.int64)
        if not len(known):
            return None
        counts = np.maximum(np.bincount(known, minlength=len(self.classes)), 0.5)
        shares: list[float] = (counts / counts.sum()).tolist()
        return shares

    def naive_raw(self, naive: float | Sequence[float], n: int) -> Array:
        """The logarithm of the shares, or of two classes the log-odds, shape [n, raw_columns]."""
        logs = np.log(np.asarray(naive, dtype=np.float64))
        return np.tile(logs[1:] - logs[:1] if self.is_binary else logs, (n, 1))

    def historical_raw(self, values: NDArray[Any], naive: float | Sequence[float]) -> Array:
        """The log-odds of the feature that is the share of the positive class, shape [n, 1].

        Of more than two classes the logarithms of the features that are their shares, shape [n, classes].
        """
        shares, plain = values.astype(np.float64), np.asarray(naive, dtype=np.float64)
        if self.is_binary:
            shares, plain = np.column_stack([1 - shares, shares]), plain[:2]
        known = np.isfinite(shares).all(axis=1, keepdims=True)
        logs = np.log(np.clip(np.where(known, shares, plain), LEAST_SHARE, 1 - LEAST_SHARE))
        return np.asarray(logs[:, 1:] - logs[:, :1] if self.is_binary else logs)

    def _linear(self, X: Matrix, y: Array, parts: Mapping[str, Matrix]) -> dict[str, Array]:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(
            SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=1000)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X.astype(np.float64), y)
        present = model.classes_.astype(np.int64)
        found = {}
        for name, part in parts.items():
            scores = np.asarray(model.decision_function(part.astype(np.float64)), dtype=np.float64)
            if self.is_binary:
                found[name] = scores.reshape(-1, 1)
                continue
            if scores.ndim == 1:  # of two classes of more
                scores = np.stack([np.zeros(len(scores)), scores], axis=1)
            rare = scores.min(axis=1, keepdims=True) - np.log(2 * len(y))
            found[name] = np.tile(rare, (1, len(self.classes)))
            found[name][:, present] = scores
        return found

    def _confidence(self, outputs: Outputs, codes: Array) -> tuple[Array, Array]:
        """The probability of the positive, or of more than two classes the predicted one; 1 where it is the label."""
        probability = np.asarray(outputs["probability"], dtype=np.float64)
        if self.is_binary:
            return probability[:, 1], (codes == 1).astype(np.float64)
        predicted = probability.argmax(axis=1)
        return probability[np.arange(len(codes)), predicted], (codes == predicted).astype(np.float64)

    def _additive(
        self, outputs: Outputs, codes: Array, bootstrap: Bootstrap
    ) -> dict[str, tuple[float, Interval | None]]:
        """Metrics that are means over rows."""
        names = {"log_loss": NOT_NEGATIVE, "brier": NOT_NEGATIVE, "accuracy": SHARE, "bias": ANY}
        right = (self.codes(outputs[self._target]) == codes).astype(np.float64)
        values = np.column_stack([self.row_losses(outputs, codes), right, self.residual(outputs, codes)])
        sums = bootstrap.sums(np.column_stack([np.ones(len(codes)), values]))
        found = {}
        for index, (name, limits) in enumerate(names.items()):
            value = float(values[:, index].mean())
            found[name] = value, bootstrap.interval(sums, mean_of(index + 1), value, limits)
        return found

    def _ranking(
        self, outputs: Outputs, codes: Array, bootstrap: Bootstrap
    ) -> dict[str, tuple[float, Interval | None]]:
        """Metrics of the order of the probabilities, means over the classes of more than two."""
        probability = np.asarray(outputs["probability"], dtype=np.float64)
        columns = [1] if self.is_binary else list(range(len(self.classes)))
        most = min(max(COUNTED // len(columns), 32), BINS)
        exact: dict[str, list[float]] = {"roc_auc": [], "average_precision": []}
        counts = []
        for column in columns:
            positive = (codes == column).astype(np.int64)
            where, size = bins_of(probability[:, column], len(codes))
            all_rows = np.bincount(positive * size + where, minlength=2 * size).reshape(2, size).astype(np.float64)
            exact["roc_auc"].append(float(roc_auc(all_rows)))
            exact["average_precision"].append(float(average_precision(all_rows)))
            where, _ = bins_of(probability[:, column], most)
            counts.append(bootstrap.counts(positive * most + where, 2 * most).reshape(-1, 2, most))
        sums = np.stack(counts, axis=1)
        found = {}
        for name, metric in (("roc_auc", roc_auc), ("average_precision", average_precision)):
            value = float(_mean_known(np.array(exact[name])))
            found[name] = value, bootstrap.interval(sums, partial(_over_classes, metric), value, SHARE)
        return found

    def _calibration(
        self, outputs: Outputs, codes: Array, bootstrap: Bootstrap
    ) -> dict[str, tuple[float, Interval | None]]:
        confidence, right = self._confidence(outputs, codes)
        where, size = bins_of(confidence, CALIBRATION_BINS)
        values = (None, confidence, right)
        sums = np.stack([bootstrap.counts(where, size, weights) for weights in values], axis=-1)
        value = float(calibration_error(sums.sum(axis=0)))
        interval = bootstrap.interval(sums, calibration_error, value, SHARE, centre=True)
        found = {"calibration_error": (value, interval)}
        if not self.is_binary:
            return found
        predicted = self.codes(outputs[self._target])
        sums = bootstrap.sums(np.stack([predicted, codes, predicted * codes], axis=1))
        for index, name in enumerate(("precision", "recall", "f1")):
            one = float(precision_recall(sums.sum(axis=0))[index])
            found[name] = one, bootstrap.interval(sums, partial(_one_of, index), one, SHARE)
        return found

    def _confusion(
        self, outputs: Outputs, codes: Array, bootstrap: Bootstrap
    ) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[Interval | None, ...], ...]]:
        size = len(self.classes)
        cells = (codes * size + self.codes(outputs[self._target])).astype(np.int64)
        sums = bootstrap.counts(cells, size * size).reshape(-1, size, size)
        matrix = sums.sum(axis=0)
        intervals: list[tuple[Interval | None, ...]] = []
        for label in range(size):
            if bootstrap.blocks < 2 or not matrix[label].any():
                intervals.append((None,) * size)
                continue
            shares = bootstrap.draws(sums[:, label], _shares)
            held = int(sums[:, label].any(axis=-1).sum())
            value = _shares(matrix[label])
            low, high = interval_of_draws(shares, value, max(held, 2), SHARE).tolist()
            intervals.append(tuple(zip(low, high, strict=True)))
        return tuple(tuple(int(count) for count in row) for row in matrix.tolist()), tuple(intervals)


def _shares(counts: Array) -> Array:
    """Counts over their sum, by the last axis; NaN where that is 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True))


def _over_classes(metric: Callable[[Array], Array], counts: Array) -> Array:
    return _mean_known(metric(counts))


def _one_of(index: int, sums: Array) -> Array:
    return precision_recall(sums)[index]


def _mean_known(values: Array) -> Array:
    """The mean over the last axis of what is not NaN, NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1))
