"""What the benchmark raises. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The comparison cannot be made."""
