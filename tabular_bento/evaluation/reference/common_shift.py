"""A shift that all segments have in common, such as labels of a clock that is wrong.

The mean error differs from week to week, since what moves errors moves those of some segments more than of others. A
constant shift moves all segments alike. It is estimated by generalised least squares (Aitken, 1935): of all weighted
means of the segments' mean errors, with weights that sum to one, it is the one that differed least between windows of
the training part. What such windows strayed by, while others made the weights, is the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.calibration import rounded, windows_of
from tabular_bento.features.clock import DAY

Array = NDArray[np.float64]

SPANS = (1, 2, 4, 7, 14)
"""Days of windows, as far as there are `LEAST_WINDOWS` of them that do not overlap."""

LEAST_WINDOWS = 12

LEFT_OUT = 26
"""One in so many windows of training, judged by the others, is beyond the limit."""

LEAST_SHARE = 0.03
"""Of the rows, below which a segment is left out."""

MOST_SEGMENTS = 20

SHRUNK = (0.1, 0.3, 1.0)
"""How far covariances are shrunk to 0: wholly, segments count by the inverse of their variance. The best is taken."""


@dataclass(frozen=True)
class CommonShift:
    """How the shift of a window is computed, and how far windows of the training months strayed.

    Parameters
    ----------
    by : str
        The field of the segments.
    weights, means : dict
        By value: its weight, and its mean error in training.
    row_sd : float
        Standard deviation of the errors of rows.
    days, usual, rows : list of float
        By span in days: what windows of training stayed below, and of how many equal rows they were.
    """

    by: str
    weights: dict[str, float]
    means: dict[str, float]
    row_sd: float
    days: list[float]
    usual: list[float]
    rows: list[float]

    @classmethod
    def from_profile(cls, error: Mapping[str, Any]) -> Self | None:
        """That of the entry `error` of a profile; None where it has none."""
        return cls(**error["shift"]) if error.get("shift") else None

    def measure(self, error: Array, segments: NDArray[Any]) -> tuple[float, float] | None:
        """The shift of n rows and how many of equal segments would tell as much of it; None where a segment lacks rows.

        `error` is of shape [n], NaN where there is no label, and `segments` are texts of shape [n].
        """
        shift = variance = 0.0
        for value, weight in self.weights.items():
            mine = error[segments == value]
            mine = mine[~np.isnan(mine)]
            if len(mine) < 2:
                return None
            shift += weight * (float(mine.mean()) - self.means[value])
            variance += weight**2 / len(mine)
        return shift, 1 / variance

    def limit(self, rows: float, days: float, errors: float) -> float:
        """What a window of training of so many days stayed below; for fewer rows than it had, more by chance.

        `rows` are those that `measure` gives, `errors` how many standard errors may be added.
        """
        where = np.log(max(days, 1.0)), np.log(self.days)
        usual, had = float(np.interp(*where, self.usual)), float(np.interp(*where, self.rows))
        return float(np.hypot(usual, errors * self.row_sd * np.sqrt(max(1 / rows - 1 / had, 0.0))))


def common_shift(
    error: Array, segments: Mapping[str, NDArray[Any]], event: NDArray[np.int64] | None, optimism: float
) -> dict[str, Any]:
    """The entry `shift` of a profile's `error`, by the field whose segments make it most certain.

    Parameters
    ----------
    error : ndarray of shape [n]
        Prediction less label of the training rows; NaN is left out.
    segments : mapping
        Texts of shape [n] by field.
    event : ndarray of shape [n], optional
        The rows' times in seconds since 1970.
    optimism : float
        How much larger errors are on rows that the model had not seen, at least 1: the limits are larger by as much.

    Returns
    -------
    dict
        Empty where there are no segments, or too few days to have a limit.
    """
    known = ~np.isnan(error)
    if event is None or not known.any():
        return {}
    days = np.unique(event[known] // DAY, return_inverse=True)[1]
    found = [
        fitted
        for name, values in segments.items()
        if (sums := _daily(error[known], values[known], days)) is not None
        for fitted in _fits(name, *sums, float(error[known].std()), max(optimism, 1.0))
    ]
    return min(found, key=lambda fitted: fitted["usual"][-1]) if found else {}


def _daily(error: Array, values: NDArray[Any], days: NDArray[np.int64]) -> tuple[list[str], Array, Array] | None:
    """The segments, and their rows and sums of errors by day, shape [days, segments] each; None of too few or many."""
    texts = np.array(["" if value is None else str(value) for value in values.tolist()])
    names, where, counts = np.unique(texts, return_inverse=True, return_counts=True)
    chosen = np.flatnonzero((counts >= LEAST_SHARE * len(texts)) & (names != ""))
    if not 2 <= len(chosen) <= MOST_SEGMENTS:
        return None
    shape = (int(days.max()) + 1, len(names))
    flat = days * len(names) + where
    rows = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)[:, chosen]
    sums = np.bincount(flat, weights=error, minlength=shape[0] * shape[1]).reshape(shape)[:, chosen]
    return names[chosen].tolist(), rows.astype(np.float64), sums.astype(np.float64)


def _fits(
    by: str, names: list[str], rows: Array, sums: Array, row_sd: float, optimism: float
) -> Iterator[dict[str, Any]]:
    spans = [span for span in SPANS if len(rows) // span >= LEAST_WINDOWS]
    if not spans:
        return
    means = sums.sum(axis=0) / rows.sum(axis=0)
    windows = {span: windows_of(sums, span) / np.maximum(windows_of(rows, span), 1) - means for span in spans}
    base = max(span for span in spans if span <= 7)
    for shrunk in SHRUNK:
        weights = _weights(np.cov(windows[base].T), shrunk)
        total = windows_of(rows, 1).sum(axis=0)
        inflation = float((weights**2 / total).sum() * total.sum())
        usual = [_left_out(windows[span], span, windows[base], base, shrunk) for span in spans]
        yield {
            "by": by,
            "weights": dict(zip(names, map(rounded, weights.tolist()), strict=True)),
            "means": dict(zip(names, map(rounded, means.tolist()), strict=True)),
            "row_sd": rounded(row_sd),
            "days": [float(span) for span in spans],
            "usual": [rounded(optimism * one) for one in usual],
            "rows": [rounded(float(rows.sum()) / len(rows) * span / inflation) for span in spans],
        }


def _weights(covariance: Array, shrunk: float) -> Array:
    """Of segments, from their covariances, shape [..., segments, segments]; they sum to one."""
    size = covariance.shape[-1]
    diagonal = np.einsum("...ii->...i", covariance)[..., None, :] * np.eye(size)
    least = 1e-9 * (np.einsum("...ii->...", covariance)[..., None, None] + 1e-9) * np.eye(size)
    weights = np.linalg.solve((1 - shrunk) * covariance + shrunk * diagonal + least, np.ones((size, 1)))[..., 0]
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _left_out(windows: Array, span: int, others: Array, base: int, shrunk: float) -> float:
    """What the shift of all windows but one in `LEFT_OUT` stays below, weighted by those that do not overlap it.

    `windows` of `span` days and `others` of `base` days, one beginning on each day, are of shape [windows, segments].
    """
    starts = np.arange(len(windows))
    first, end = np.clip(starts - base + 1, 0, len(others)), np.clip(starts + span, 0, len(others))

    def kept(values: Array) -> Array:
        running = np.concatenate([np.zeros((1, *values.shape[1:])), values.cumsum(axis=0)])
        return np.asarray(running[-1] - running[end] + running[first])

    n = (len(others) - (end - first))[:, None, None]
    products = kept(others[:, :, None] * others[:, None, :])
    sums = kept(others)
    covariance = (products - sums[:, :, None] * sums[:, None, :] / n) / (n - 1)
    shifts = (windows * _weights(covariance, shrunk)).sum(axis=1)
    return float(np.quantile(np.abs(shifts), 1 - 1 / LEFT_OUT))
