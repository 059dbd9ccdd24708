"""What measures the predictions of one kind of task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.tasks import Task

if TYPE_CHECKING:
    from tabular_bento.evaluation.reference.thresholds import Spread

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Matrix = NDArray[np.float32]

Outputs = Mapping[str, NDArray[Any]]
"""Outputs of n predictions by name: of shape [n], or [n, parts]."""

NAIVE = "naive_baseline"
HISTORICAL = "historical_baseline"

HIGHER_IS_BETTER = frozenset(
    {"r2", "within", "roc_auc", "average_precision", "accuracy", "precision", "recall", "f1", "n"}
)
"""Metrics of which more is better; of all others less is."""

TITLES = {
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R2",
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "calibration_error": "calibration error",
    "f1": "F1",
}
"""How metrics are written in messages and reports, where that is not their name."""


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better."""
    return metric in HIGHER_IS_BETTER


def metric_title(metric: str) -> str:
    """A metric's name in messages and reports."""
    return TITLES.get(metric, metric)


class Metrics(Protocol):
    """What was measured of n predictions that have a label."""

    @property
    def n(self) -> int:
        """Predictions with a label."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: each metric by its name, its 95 % interval under the name with `_interval`."""


class Evaluator(ABC):
    """Measures the predictions of one kind of task.

    `codes` are labels as numbers, shape [n], NaN where there is none: those of a regression themselves, those of a
    classification as the index of their class.

    Parameters
    ----------
    task : Task
        The task.
    """

    losses: ClassVar[tuple[str, str]]
    """The metric that each column of `row_losses` belongs to; the first is the primary one."""
    in_target_unit: ClassVar[bool]
    """Whether the metrics `losses` have the unit of the target."""
    has_bounded_residuals: ClassVar[bool]
    """Whether no residual is beyond 1, so that no few rows can move their mean far."""
    linear: ClassVar[str]
    """The name of the baseline that is linear in all features."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._target = task.target.name

    @property
    def primary(self) -> str:
        """The metric that models are compared by unless another is chosen."""
        return self.losses[0]

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Metrics that are one number, which a gate may limit."""

    @property
    @abstractmethod
    def measured(self) -> tuple[str, ...]:
        """The names of the outputs that losses, residuals and intervals are of."""

    @abstractmethod
    def row_losses(self, outputs: Outputs, codes: Array) -> Array:
        """What each of n predictions costs by each of `losses`, shape [n, 2]; NaN where there is no label."""

    @abstractmethod
    def residual(self, outputs: Outputs, codes: Array) -> Array:
        """What the mean of is the bias of n predictions, shape [n]; NaN where there is no label."""

    def interval_values(self, outputs: Outputs, codes: Array) -> Array | None:  # noqa: ARG002
        """Whether the label of each of n predictions is inside of its interval, 0 or 1, and how wide that is.

        Returns
        -------
        ndarray of shape [n, 2], optional
            NaN where there is no label, or no interval; None where predictions have no intervals.
        """
        return None

    @abstractmethod
    def level(self, means: Array) -> Array:
        """The metrics `losses` of means of the columns of `row_losses`, shape [..., 2]."""

    def first_level(self, means: NDArray[Any]) -> NDArray[Any]:
        """The first of the metrics `losses` of means of its loss, of any shape."""
        return self.level(np.stack([means, np.zeros_like(means)], axis=-1))[..., 0]

    @abstractmethod
    def bias_scale(self, bias: Spread, first: Spread) -> float:
        """What a bias is compared with, of the spreads of `residual` and of the first loss."""

    @abstractmethod
    def measure(
        self, outputs: Outputs, codes: Array, blocks: Integers, resamples: int, seed: int, within: float | None = None
    ) -> Metrics:
        """Metrics of n predictions, with intervals.

        Parameters
        ----------
        outputs : mapping
            The predictions.
        codes : ndarray of shape [n]
            Their labels; rows without one are left out.
        blocks : ndarray of shape [n]
            The block of each row, see `tabular_bento.evaluation.metrics.blocks_of`.
        resamples, seed : int
            Of the bootstrap.
        within : float, optional
            The size of an error that the metric `within` of a regression counts.

        Raises
        ------
        ValueError
            Where no row has a label.
        """

    def codes(self, labels: NDArray[Any]) -> Array:
        """Labels of the target's kind as numbers, shape [n]. Raises ValueError for one that the task does not know."""
        return self._task.encode(labels, None)

    def known_codes(self, labels: NDArray[Any]) -> Array:
        """The same, with NaN for labels that the task does not know."""
        try:
            return self.codes(labels)
        except (TypeError, ValueError):
            half = len(labels) // 2
            if not half:
                return np.full(len(labels), np.nan)
            return np.concatenate([self.known_codes(labels[:half]), self.known_codes(labels[half:])])

    @abstractmethod
    def naive(self, codes: Array) -> float | list[float] | None:
        """What the naive baseline is of these training labels: their mean, or the share of each class. None of none."""

    @abstractmethod
    def naive_raw(self, naive: float | Sequence[float], n: int) -> Array:
        """Raw scores of the naive baseline for n rows, shape [n, raw_columns]; `Task.decode` makes outputs of them."""

    @abstractmethod
    def historical_raw(self, values: NDArray[Any], naive: float | Sequence[float]) -> Array:
        """Raw scores of the features that are a baseline, shape [n, raw_columns]; where one is missing, the naive ones.

        Parameters
        ----------
        values : ndarray of shape [n, features]
            The features, see `Declaration.baseline_features`.
        naive : float or sequence of float
            What `naive` gave.
        """

    def naive_outputs(self, naive: float | Sequence[float], n: int, offset: Array | None = None) -> Outputs:
        """Outputs of `naive_raw`, which of a problem with an offset is 0."""
        return self._outputs(self.naive_raw(naive, n), offset)

    def historical_outputs(
        self, values: NDArray[Any], naive: float | Sequence[float], offset: Array | None = None
    ) -> Outputs:
        """Outputs of `historical_raw`; with an offset `naive` is 0."""
        return self._outputs(self.historical_raw(values, naive), offset)

    def _outputs(self, raw: Array, offset: Array | None) -> Outputs:
        return self._task.decode(raw, offset)

    def baseline_names(self, declaration: Declaration) -> tuple[str, ...]:
        """The names of `baselines`."""
        historical = (HISTORICAL,) if declaration.baseline_features else ()
        return (NAIVE, *historical, *((self.linear,) if declaration.features else ()))

    def baselines(
        self, declaration: Declaration, X: Matrix, y: Array, parts: Mapping[str, Matrix]
    ) -> dict[str, dict[str, Array]]:
        """Raw scores of the baselines, shape [rows, raw_columns], by baseline, then by part.

        `naive_baseline` is the offset where there is one, so that its score is 0, otherwise what `naive` makes of the
        training labels; `historical_baseline` are the features that the problem names as `baseline`. The third is
        linear in all features, where there are any.

        Parameters
        ----------
        declaration : Declaration
            Of the problem.
        X : ndarray of shape [n, features]
            Features of the training rows.
        y : ndarray of shape [n]
            What a runner learns of them.
        parts : mapping
            Features of the rows to predict, by part.
        """
        overall = self.naive(y)
        assert overall is not None, "the training part holds labels"
        naive = overall if declaration.offset is None else 0.0
        found = {NAIVE: {name: self.naive_raw(naive, len(part)) for name, part in parts.items()}}
        if declaration.baseline_features:
            columns = [declaration.feature_names.index(name) for name in declaration.baseline_features]
            found[HISTORICAL] = {name: self.historical_raw(part[:, columns], overall) for name, part in parts.items()}
        return found | ({self.linear: self._linear(X, y, parts)} if declaration.features else {})

    @abstractmethod
    def _linear(self, X: Matrix, y: Array, parts: Mapping[str, Matrix]) -> dict[str, Array]:
        """Raw scores of the linear baseline by part."""
