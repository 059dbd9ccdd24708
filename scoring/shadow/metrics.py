"""What a shadow counts. Both its sides make these: the figures of all processes are summed."""

from __future__ import annotations


class ShadowMetrics:
    """Rows that were scored, dropped, or that the candidate failed on."""

    def __init__(self) -> None:
        from prometheus_client import Counter

        self.rows = Counter("shadow_rows", "Live rows that the candidate scored")
        self.dropped = Counter("shadow_dropped", "Live rows skipped because the candidate was too far behind, or ended")
        self.failures = Counter("shadow_failures", "Live rows that the candidate, or the log, failed on")
