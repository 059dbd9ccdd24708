"""What tests ask of a result."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

from markupsafe import escape

from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.result import Column, DriftResult, Finding
from tabular_bento.monitoring.drift.settings import DriftSettings
from tests.integration.monitoring.logs import year

SETTINGS = DriftSettings()


def verdict(directory: Path, model: str | None = None, settings: DriftSettings = SETTINGS) -> DriftResult:
    """What the job says of the year's flights in the log; the result is strict JSON, and its page can be read."""
    result = judge(year(directory), model, settings).result
    strict(result.to_json())
    text = page(result, None, [Entry.of(result)])
    assert f">{result.verdict.replace('_', ' ').capitalize()}<" in text
    for finding in result.findings:
        assert str(escape(finding.text)) in text
    return result


def strict(text: str) -> Any:
    """A document of strict JSON."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def kinds(result: DriftResult, column: str | None = None) -> set[str]:
    """The kinds of the findings about a column; None are those about none."""
    return {finding.kind for finding in result.findings if finding.column == column}


def finding(result: DriftResult, kind: str) -> Finding:
    """The one finding of a kind."""
    (found,) = (finding for finding in result.findings if finding.kind == kind)
    return found


def column(result: DriftResult, name: str) -> Column:
    """The column of a name."""
    return next(one for one in result.columns if one.name == name)


def embedded(page: str) -> str:
    """What is embedded in a page, compressed."""
    found = re.findall(r'<script type="text/plain" id="[^"]*">([^<]*)</script>', page)
    return "\n".join(gzip.decompress(base64.b64decode(one)).decode() for one in found)
