"""What a candidate costs beside its errors: the time of an answer, measured in turns, and the size of its package."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.monitoring.compare.result import Cost
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.compare.sides import Side

_ROUNDS = {1: 60, 1_000: 9}
"""Turns of each, by rows of a request: the median of so many."""

_NAMES = {1: "one_row_microseconds", 1_000: "thousand_rows_microseconds"}


def costs(baseline: Side, candidate: Side, rows: Mapping[str, NDArray[Any]], settings: CompareSettings) -> list[Cost]:
    """Times of one and of a thousand of `rows`, arrays [n] by field, and sizes where both have one.

    Both are asked in turns, so that a busy machine slows both; of a server, the way there and back is part of it. The
    times of a server beside those of a package have no limit.
    """
    limit = settings.max_latency_ratio if baseline.party.kind == candidate.party.kind else None
    found = []
    for count, rounds in _ROUNDS.items():
        places = np.arange(count) % len(next(iter(rows.values())))
        asked = {name: values[places] for name, values in rows.items()}
        ours, theirs = _in_turns(partial(baseline.predict, asked), partial(candidate.predict, asked), rounds)
        found.append(_cost(_NAMES[count], ours, theirs, limit))
    if baseline.party.size_bytes and candidate.party.size_bytes:
        sizes = float(baseline.party.size_bytes), float(candidate.party.size_bytes)
        found.append(_cost("package_bytes", *sizes, settings.max_size_ratio))
    return found


def _in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median time of each in microseconds; the first turn warms up and does not count."""
    times = np.array([[_clocked(first), _clocked(second)] for _ in range(rounds + 1)])[1:]
    ours, theirs = np.median(times, axis=0)
    return float(ours), float(theirs)


def _clocked(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def _cost(name: Any, baseline: float, candidate: float, limit: float | None) -> Cost:
    return Cost(name=name, baseline=baseline, candidate=candidate, ratio=candidate / baseline, limit=limit)
