"""How often the labels of mature predictions are inside of their intervals, and whether that is too seldom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tabular_bento.evaluation.metrics import interval_of_blocks
from tabular_bento.monitoring.drift.result import Finding, IntervalCoverage, Labels
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import INSIDE, Array, Integers


def interval_coverage(
    counts: Integers, sums: Array, level: float | None, settings: DriftSettings
) -> IntervalCoverage | None:
    """The coverage of the intervals of a window.

    Parameters
    ----------
    counts : ndarray of shape [b]
        Mature predictions with a label, by block of time.
    sums : ndarray of shape [b, values]
        Sums over them.
    level : float, optional
        How often a label is to be inside; None of a problem without intervals.
    settings : DriftSettings
        Of the bootstrap.
    """
    if level is None or not len(counts) or np.isnan(sums[:, INSIDE]).any():
        return None
    n, inside = int(counts.sum()), sums[:, INSIDE]
    return IntervalCoverage(
        level=level,
        n=n,
        coverage=float(inside.sum() / n),
        coverage_interval=interval_of_blocks(inside, counts, np.asarray, settings.resamples, settings.seed),
    )


def coverage_findings(labels: Labels, settings: DriftSettings) -> Iterator[Finding]:
    """Whether fewer labels are inside of their intervals than these promise, by all of the 95 % interval.

    Days are unlike each other. A window of fewer days than a bootstrap can draw warns, where another one alarms.
    """
    found = labels.interval
    if found is None:
        return
    known = found.coverage_interval
    ranged = f" ({known[0]:.1%} to {known[1]:.1%})" if known else ""
    text = f"{found.coverage:.1%}{ranged} of {found.n:,} labels are inside of the intervals, which are to hold "
    text += f"{found.level:.4g} of them"
    if labels.maturity is None or not labels.maturity.judged:
        text += f"; {settings.min_labels:,} due labels are needed to judge it"
        yield Finding.of("note", "few_labels", text)
    elif known and known[1] < found.level:
        short = labels.blocks == "hour"
        yield Finding.of("warning" if short else "alarm", "interval_coverage", text)
    else:
        yield Finding.of("note", "interval_coverage_allowed", f"{text}, as is allowed")
