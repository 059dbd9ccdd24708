"""The gate of a release: the comparison of a candidate with the champion, and what is recorded of it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabular_bento.errors import ReleaseError
from tabular_bento.scoring.releases import Release


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


def check_serves(url: str, champion: Release) -> None:
    """Raise ReleaseError where no server answers at `url`, or one that serves another package than the champion's."""
    from tabular_bento.errors import MonitoringError
    from tabular_bento.monitoring.compare.sides import describe, is_url

    if not is_url(url):
        raise ReleaseError(f"--baseline {url} is no URL: name a server that runs {champion.tag}, or leave it out.")
    try:
        served = describe(url.rstrip("/"))
    except MonitoringError as error:
        raise ReleaseError(str(error)) from error
    if served.get("fingerprint") != champion.fingerprint:
        raise ReleaseError(
            f"{url} serves {served.get('tag')}, which is not the package of the champion {champion.tag}: name a server "
            "that runs that."
        )


def compare_with_champion(champion: str, candidate: str, folder: Path, copy: Path | None = None) -> Evidence:
    """Compare two models on the test months, and leave the report in `folder`, and a copy in `copy`.

    The candidate is named by its tag, the champion by its own or by the URL of a server. Raises ReleaseError where they
    cannot be compared or the report cannot be written.
    """
    from tabular_bento.errors import DataError, MonitoringError, ScoringError
    from tabular_bento.monitoring.compare.job import RESULT_FILE, run

    try:
        result = run(champion, candidate, "test", "not_worse", folder)
        if copy is not None:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
    except (MonitoringError, DataError, ScoringError, OSError) as error:
        raise ReleaseError(f"{candidate} cannot be compared with {champion}: {error}") from error
    return Evidence(result.verdict, result.exit_code, list(result.reasons), (folder / RESULT_FILE).absolute())
