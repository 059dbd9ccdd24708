"""Metrics of predicted classes as functions of sums over blocks of rows, so that all resamples are one product.

A resample of the block bootstrap draws each block some number of times. The sums of a resample are the numbers of draws
times the sums of the blocks; each metric here is a function of such sums. Ranking metrics need the counts of scores:
those of up to `BINS` distinct scores are exact; more are counted in bins of equal numbers of rows, and the interval is
moved by the difference that this makes to the metric of all rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.metrics import ANY, Limits, draw_blocks, interval_of_draws

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

BINS = 512
CALIBRATION_BINS = 10
RESAMPLED = 1_000_000
"""Sums of resamples that are in memory at a time."""

LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to this and to 1 less this, so that a log loss is finite; scikit-learn does the same."""

Interval = tuple[float, float]


class Bootstrap:
    """Draws of blocks with replacement.

    Parameters
    ----------
    blocks : ndarray of shape [n]
        The block of each row.
    resamples, seed : int
        Of the draws.
    """

    def __init__(self, blocks: Integers, resamples: int, seed: int) -> None:
        distinct, where = np.unique(blocks, return_inverse=True)
        self.blocks = len(distinct)
        self._where: Integers = where.astype(np.int64)
        self._drawn = draw_blocks(self.blocks, resamples, seed)

    def sums(self, values: Array) -> Array:
        """Sums of values of n rows, shape [n, m], by block: shape [blocks, m]."""
        return np.stack([np.bincount(self._where, column, self.blocks) for column in values.T], axis=1)

    def counts(self, cells: Integers, size: int, weights: Array | None = None) -> Array:
        """Rows, or their weights, by block and by cell: shape [blocks, size]."""
        found = np.bincount(self._where * size + cells, weights, self.blocks * size)
        return found.astype(np.float64).reshape(self.blocks, size)

    def draws(self, sums: Array, metric: Callable[[Array], Array]) -> Array:
        """A metric, or several in the last axis, of each resample: shape [resamples, ...]; else as `interval`."""
        flat = sums.reshape(len(sums), -1)
        chunk = max(RESAMPLED // flat.shape[1], 1)
        parts = (self._drawn[start : start + chunk] @ flat for start in range(0, len(self._drawn), chunk))
        return np.concatenate([metric(part.reshape(-1, *sums.shape[1:])) for part in parts])

    def interval(
        self,
        sums: Array,
        metric: Callable[[Array], Array],
        value: float,
        limits: Limits = ANY,
        *,
        centre: bool = False,
    ) -> Interval | None:
        """The 95 % interval of a metric, see `interval_of_draws`.

        None for fewer than two blocks, or where most resamples have no value, as of one class only.

        Parameters
        ----------
        sums : ndarray of shape [blocks, ...]
            Sums over blocks.
        metric : callable
            From sums, shape [resamples, ...], to the metric, shape [resamples].
        value : float
            The metric of all rows.
        limits : tuple of float
            What no metric of the kind is beyond.
        centre : bool
            Move the interval so that the mean of its resamples is `value`: of a metric that chance makes larger.
        """
        if self.blocks < 2 or not np.isfinite(value):
            return None
        drawn = self.draws(sums, metric)
        known = drawn[np.isfinite(drawn)]
        if 2 * len(known) < len(drawn):
            return None
        whole = float(known.mean()) if centre else float(metric(sums.sum(axis=0, keepdims=True))[0])
        low, high = interval_of_draws(known - (whole - value), value, self.blocks, limits)
        return float(low), float(high)


def clipped(probability: Array) -> Array:
    """Probabilities away from 0 and 1."""
    return np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)


def bins_of(scores: Array, most: int = BINS) -> tuple[Integers, int]:
    """The bin of each of n scores, in ascending order, equal scores in the same one; and the number of bins."""
    distinct, where = np.unique(scores, return_inverse=True)
    if len(distinct) <= most:
        return where.astype(np.int64), max(len(distinct), 1)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, most + 1)[1:-1], method="inverted_cdf"))
    return np.searchsorted(edges, scores, side="left").astype(np.int64), len(edges) + 1


def mean_of(column: int) -> Callable[[Array], Array]:
    """The mean of a column of values, of sums [..., 1 + m] whose first column is of the rows."""
    return lambda sums: sums[..., column] / sums[..., 0]


def roc_auc(counts: Array) -> Array:
    """The area under the ROC curve, of counts [..., 2, bins] of negative and positive rows by score; NaN of one class.

    The share of pairs of a positive and a negative row whose order is right, ties counting half (Hanley and McNeil,
    Radiology 143(1), 1982).
    """
    negative, positive = counts[..., 0, :], counts[..., 1, :]
    below = negative.cumsum(axis=-1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(-1) / (positive.sum(-1) * negative.sum(-1)))


def average_precision(counts: Array) -> Array:
    """The mean precision over recall, of counts as of `roc_auc`; NaN without a positive row.

    A step for each score, nothing interpolated, as scikit-learn's `average_precision_score`.
    """
    descending = counts[..., ::-1]
    above, found = descending.sum(axis=-2).cumsum(axis=-1), descending[..., 1, :].cumsum(axis=-1)
    precision = np.divide(found, above, out=np.zeros_like(above), where=above > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((precision * descending[..., 1, :]).sum(-1) / found[..., -1])


def calibration_error(sums: Array) -> Array:
    """The expected calibration error, of sums [..., bins, 3] of rows, of their probabilities and of labels.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015; bins hold
    equal numbers of rows, so that each counts as much.
    """
    return np.asarray(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1))


def precision_recall(sums: Array) -> tuple[Array, Array, Array]:
    """Precision, recall and F1, of sums [..., 3]: rows predicted positive, positive rows, and those that are both.

    0 where nothing is predicted positive; NaN without a positive row.
    """
    predicted, positive, both = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(predicted > 0, both / predicted, 0.0)
        return precision, both / positive, np.where(positive > 0, 2 * both / (predicted + positive), np.nan)
