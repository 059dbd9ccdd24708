"""Candidates whose truth is known: worse by exactly a margin, as good as the model, or worse for one segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data.dataset import Dataset
from tabular_bento.errors import CompareError
from tabular_bento.evaluation.evaluators import Evaluator, evaluator_of, metric_title
from tabular_bento.evaluation.noninferiority import Array, day_sums, differences, levels
from tabular_bento.monitoring.comparison.models import PackageModel
from tabular_bento.monitoring.comparison.predictions import SegmentRows, Worst, gather, segments_of
from tabular_bento.monitoring.comparison.rows import Found, unseen_rows
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.problem import Problem

Way = Callable[[float], Array]

_STORMS = 12
"""Days on which the baseline errs most; a candidate that fails on these alone is the hardest to find."""


@dataclass(frozen=True)
class Grounds:
    """Errors of n rows of the test part, their days, and their segments: all of shape [n], in order of days.

    `baseline` and `candidate` are prediction less label, `naive` the error of the naive baseline: the offset, or where
    there is none the mean of the labels. `evaluator` is that of the task, a regression.
    """

    evaluator: Evaluator
    baseline: Array
    candidate: Array
    naive: Array
    days: NDArray[np.int64]
    segments: list[SegmentRows]

    @classmethod
    def of(cls, baseline: str, candidate: str, problem: Problem, dataset: Dataset) -> Grounds:
        """The grounds of two packages.

        Parameters
        ----------
        baseline, candidate : str
            Their tags or folders.
        problem : Problem
            The project's problem.
        dataset : Dataset
            The project's rows.

        Raises
        ------
        CompareError, PackageError
            Where they cannot be computed.
        """
        models = PackageModel.load(baseline, problem), PackageModel.load(candidate, problem)
        declaration = problem.declaration
        batches = list(unseen_rows(*models, dataset, CompareSettings(), Found("test")))
        if not batches:
            raise CompareError(f"There is no test row that neither {baseline} nor {candidate} was trained on.")
        paired = gather(batches, *models, declaration, Worst(0, declaration))
        labels, days, output = paired.labels, paired.days, declaration.outputs[0].name
        known = np.flatnonzero(~np.isnan(labels))
        order = known[np.argsort(days[known], kind="stable")]
        if declaration.offset is None:
            naive = np.full(len(labels), labels[known].mean())
        else:
            naive = np.concatenate([np.asarray(batch.columns[declaration.offset], np.float64) for batch in batches])
        return cls(
            evaluator_of(declaration.task),
            (paired.baseline[output] - labels)[order],
            (paired.candidate[output] - labels)[order],
            (naive - labels)[order],
            days[order],
            segments_of({name: values[order] for name, values in paired.segments.items()}),
        )


def losses_of(errors: Array) -> Array:
    """The two losses of n errors, shape [n, 2]: squared and absolute."""
    return np.stack([errors**2, np.abs(errors)], axis=1)


def harms(grounds: Grounds, margin: float, rng: np.random.Generator, worse: Grounds | None) -> dict[str, Array]:
    """Errors of candidates whose RMSE, or whose MAE, is worse by the margin exactly, by what was done to them."""
    candidate, baseline = grounds.candidate, grounds.baseline
    noise = rng.normal(size=len(candidate))
    distinct, sums = day_sums(losses_of(baseline), losses_of(candidate), grounds.days)
    storms = np.isin(grounds.days, distinct[np.argsort(-levels(sums, grounds.evaluator.level)[:, 0, 0])[:_STORMS]])
    fifth = np.isin(grounds.days, rng.choice(distinct, len(distinct) // 5, replace=False))
    ways: dict[str, Way] = {
        "all errors larger": lambda s: candidate * (1 + s),
        "noise on every prediction": lambda s: candidate + s * noise,
        "every prediction too high": lambda s: candidate + s,
        "mixed with the naive baseline": lambda s: (1 - s) * candidate + s * grounds.naive,
        "larger on one day in five": lambda s: np.where(fifth, candidate * (1 + s), candidate),
        f"larger on the {_STORMS} worst days": lambda s: np.where(storms, candidate * (1 + s), candidate),
    }
    if worse is not None:
        ways["mixed with a worse model"] = lambda s: baseline + s * (worse.candidate - baseline)
    return {
        f"{name}, {metric_title(metric)}": _worse_by(way, grounds, margin, place)
        for name, way in ways.items()
        for place, metric in enumerate(grounds.evaluator.losses)
    }


def equalled(grounds: Grounds) -> Array:
    """The candidate's errors, scaled so that its RMSE is the baseline's: another model that is exactly as good."""
    return grounds.candidate * float(np.sqrt((grounds.baseline**2).mean() / (grounds.candidate**2).mean()))


def biased(errors: Array, mask: NDArray[np.bool_], loss: float) -> Array:
    """The errors [n] with those of a segment shifted so that its RMSE rises by `loss`."""
    own = errors[mask]
    mean, square = float(own.mean()), float((own**2).mean())
    shift = -mean + np.sqrt(mean**2 + (np.sqrt(square) + loss) ** 2 - square)
    return errors + np.where(mask, shift, 0.0)


def _worse_by(way: Way, grounds: Grounds, margin: float, metric: int) -> Array:
    """What the way makes of the errors at the strength that loses the margin, by bisection."""
    level, ours = grounds.evaluator.level, losses_of(grounds.baseline)
    target = margin * float(levels(day_sums(ours, ours, grounds.days)[1].sum(axis=0), level)[0, metric])

    def loss(strength: float) -> float:
        sums = day_sums(ours, losses_of(way(strength)), grounds.days)[1]
        return float(differences(sums.sum(axis=0), level)[metric])

    low, high = 0.0, 0.01
    while loss(high) < target:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) < target else (low, middle)
    return way(high)
