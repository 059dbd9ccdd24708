"""The alert as one JSON POST, for whatever wakes people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from tabular_bento.errors import OutputError
from tabular_bento.monitoring.drift.result import DriftResult

MOST_FINDINGS = 20
_PAUSE_SECONDS = 0.5
_AGAIN = frozenset({408, 425, 429})
"""Statuses after which another try may succeed, beside all from 500 on."""


def message(result: DriftResult, links: dict[str, str]) -> dict[str, Any]:
    """What is posted. `text` is one line that chats show as it is; the rest is for programs."""
    findings = [finding for finding in result.findings if finding.severity != "note"]
    first = f": {findings[0].text}" if findings else ""
    return {
        "text": f"{result.verdict} of {result.model or 'no model'}{first} {links.get('report', '')}".strip(),
        "verdict": result.verdict,
        "alert": result.alert.model_dump(),
        "exit_code": result.exit_code,
        "model": result.model,
        "window": result.window.model_dump(mode="json"),
        "made_at": result.made_at.isoformat(),
        "rows": result.rows.scored,
        "reasons": result.decision.reasons,
        "findings": [finding.model_dump() for finding in findings[:MOST_FINDINGS]],
        "links": links,
    }


def post(url: str, content: dict[str, Any], attempts: int, timeout: float) -> None:
    """Post `content`, up to `attempts` times of up to `timeout` seconds each, with a pause that doubles in between.

    Raises OutputError where no attempt succeeded.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            response = httpx.post(url, json=content, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"{type(error).__name__}: {error}"
            again = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
        else:
            if response.is_success:
                return
            reason = f"it returned {response.status_code}"
            again = response.status_code >= 500 or response.status_code in _AGAIN
        if not again:
            break
    raise OutputError(f"The webhook was not delivered after {attempt + 1} attempt(s): {reason}")


def links(result_file: Path, report_file: Path, base: str | None) -> dict[str, str]:
    """Where the files are: under the address `base`, or on the disk of this machine."""
    files = {"report": report_file, "result": result_file}
    if base:
        return {name: f"{base.rstrip('/')}/{file.name}" for name, file in files.items()}
    return {name: file.resolve().as_uri() for name, file in files.items()}
