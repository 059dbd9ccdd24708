"""The error of the benchmarks."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The measurement cannot be made; the message says what is wrong and what to do."""
