"""What a shadow counts. Both its sides make these: the figures of all processes are summed."""

from __future__ import annotations

from tabular_bento.serving.figures import make


class ShadowMetrics:
    """Rows that were scored, dropped, or failed on."""

    def __init__(self) -> None:
        self.rows, self.dropped, self.failures = map(make, ("shadow_rows", "shadow_dropped", "shadow_failures"))
