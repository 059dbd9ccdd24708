"""The gate of a release: the comparison of a candidate with the champion, and what is recorded of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import ReleaseError

REPORT = "compare.json"
PAGE = "compare.html"


@dataclass(frozen=True)
class Evidence:
    """The verdict, "accepted", "refused" or "cannot_tell", why, and the report that shows it."""

    verdict: str
    exit_code: int
    reasons: list[str]
    report: Path

    def record(self) -> dict[str, Any]:
        """What the record of a release holds of it."""
        digest = hashlib.sha256(self.report.read_bytes()).hexdigest()
        return {"kind": "compare", "verdict": self.verdict, "report": str(self.report), "sha256": digest}


def compare_with_champion(champion: str, candidate: str, out: Path) -> Evidence:
    """Compare two packages by their tags on the test months, and leave the report in `out`.

    Raises ReleaseError where they cannot be compared.
    """
    from data.errors import DataError
    from monitoring.compare.job import run
    from monitoring.errors import MonitoringError
    from scoring.errors import ScoringError

    try:
        result = run(champion, candidate, "test", "not_worse", out)
    except (MonitoringError, DataError, ScoringError, OSError) as error:
        raise ReleaseError(f"{candidate} cannot be compared with {champion}: {error}") from error
    return Evidence(result.verdict, result.exit_code, list(result.reasons), (out / REPORT).absolute())
