"""Files that are there whole, and settings from options, variables and a project's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tabular_bento.errors import ConfigError
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.monitoring.files import read_settings, settings_of, write_whole


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    for content in ("first", "second"):
        write_whole(path, content)
        assert path.read_text() == content
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_options_come_before_variables_and_these_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"min_rows": 1, "sample": 100, "min_labels": 3, "alert_after": 2}
    monkeypatch.setenv("TABULAR_BENTO_DRIFT_MIN_ROWS", "11")
    monkeypatch.setenv("TABULAR_BENTO_DRIFT_SAMPLE", "111")
    found = settings_of(DriftSettings, {"sample": 1_000, "seed": None}, written)
    assert (found.sample, found.min_rows, found.min_labels) == (1_000, 11, 3)
    assert (found.seed, found.resamples) == (DriftSettings().seed, DriftSettings().resamples)
    assert settings_of(OutputSettings, {}, written).alert_after == 2


@pytest.mark.parametrize(
    ("kind", "given", "written", "expected"),
    [
        (DriftSettings, {"min_rows": 0}, {}, "--min-rows: "),
        (DriftSettings, {}, {"min_rows": "many"}, "monitoring/config.toml: min_rows: "),
        (
            DriftSettings,
            {},
            {"columns": {"temp": {"missing": 0.2}}},
            "monitoring/config.toml: columns.temp.missing: there is no such setting; there are: ignore, psi_limit, ",
        ),
        (OutputSettings, {"alert_of": 0}, {}, "--of: "),
        (OutputSettings, {"alert_after": 3, "alert_of": 2}, {}, "alert_after is 3, more than the 2 windows"),
    ],
)
def test_a_wrong_setting_is_named_by_where_it_came_from(
    kind: Any, given: dict[str, Any], written: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        settings_of(kind, given, written, "monitoring/config.toml: ")
    assert str(raised.value).startswith(expected)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_DRIFT_SAMPLE", "many")
    with pytest.raises(ConfigError, match=r"^TABULAR_BENTO_DRIFT_SAMPLE: "):
        settings_of(DriftSettings, {})


def test_a_table_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[drift]\nmin_rows = 7\n")
    assert read_settings(path, "drift") == {"min_rows": 7}
    assert read_settings(path, "compare") == read_settings(None, "drift") == {}
    path.write_text("drift = 1\n")
    with pytest.raises(ConfigError, match=r"as \[drift\]"):
        read_settings(path, "drift")
    path.write_text("[drift")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(path, "drift")


def test_the_project_has_settings_that_exist() -> None:
    written = read_settings(Path(__file__).parents[3] / "monitoring" / "config.toml", "drift")
    assert written
    assert set(written) <= {*DriftSettings.model_fields, *OutputSettings.model_fields}
