"""docs/alarms.md says of findings and settings what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from tabular_bento.monitoring.drift.checks import ADVICE
from tabular_bento.monitoring.drift.result import SMALL_KINDS
from tabular_bento.monitoring.drift.settings import ColumnSettings, DriftSettings
from tabular_bento.monitoring.drift.verdict import DRIFT_KINDS, INVALID_KINDS, WARNING_KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "alarms.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables under a heading."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip().strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line] for line in lines]


def test_every_setting_with_its_default_and_a_reason() -> None:
    found = {row[0].strip("`"): row for row in rows("Settings") if len(row) == 4}
    expected = {name: field for name, field in DriftSettings.model_fields.items() if name != "columns"}
    assert set(found) == set(expected)
    for name, field in expected.items():
        _, default, description, reason = found[name]
        assert default == ("none" if field.default is None else str(field.default)), name
        assert description == field.description, name
        assert reason.endswith("."), name


def test_every_setting_of_a_column() -> None:
    named = {name for row in rows("Settings") if len(row) == 3 for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(ColumnSettings.model_fields)


def test_every_finding_with_its_severity_and_what_to_do() -> None:
    found = {name: row for row in rows("Findings") for name in re.findall(r"`(\w+)`", row[0])}
    for kind in {*DRIFT_KINDS, *WARNING_KINDS, *INVALID_KINDS, *SMALL_KINDS, *ADVICE}:
        assert len(found[kind]) == 4, kind
    for kind in (*DRIFT_KINDS, *INVALID_KINDS, *SMALL_KINDS):
        assert "alarm" in found[kind][1], kind
    for kind in WARNING_KINDS:
        assert "warning" in found[kind][1], kind
    for kind in set(found) - {*DRIFT_KINDS, *WARNING_KINDS, *INVALID_KINDS, *SMALL_KINDS}:
        assert found[kind][1] in ("notice", "note"), kind
