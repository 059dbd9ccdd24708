"""The gate of a release: the comparison of a candidate with the champion, and what is recorded of it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import ReleaseError


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


def compare_with_champion(champion: str, candidate: str, folder: Path, copy: Path | None = None) -> Evidence:
    """Compare two packages by their tags on the test months, and leave the report in `folder`, and a copy in `copy`.

    Raises ReleaseError where they cannot be compared, or the report cannot be written.
    """
    from data.errors import DataError
    from monitoring.compare.job import RESULT_FILE, run
    from monitoring.errors import MonitoringError
    from scoring.errors import ScoringError

    try:
        result = run(champion, candidate, "test", "not_worse", folder)
        if copy is not None:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
    except (MonitoringError, DataError, ScoringError, OSError) as error:
        raise ReleaseError(f"{candidate} cannot be compared with {champion}: {error}") from error
    return Evidence(result.verdict, result.exit_code, list(result.reasons), (folder / RESULT_FILE).absolute())
