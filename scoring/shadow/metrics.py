"""What a shadow counts. Both its sides make these: the figures of all processes are summed."""

from __future__ import annotations

from scoring.figures import make


class ShadowMetrics:
    """Rows that were scored, dropped, or that the candidate failed on."""

    def __init__(self) -> None:
        self.rows = make("shadow_rows")
        self.dropped = make("shadow_dropped")
        self.failures = make("shadow_failures")
