"""Variables of the environment that look like settings and are none; the command that installs what is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tabular_bento.cli.common import guarded
from tabular_bento.data import SQLSource
from tabular_bento.environment import OF_JOBS, PREFIX, READ_BY_COMMANDS, pip_install_command, unknown_variables
from tabular_bento.errors import CompareError, SourceError
from tabular_bento.monitoring.comparison.settings import read_settings
from tabular_bento.scaffold.writing import TEMPLATE
from tabular_bento.scoring import runners
from tabular_bento.serving.settings import ServingSettings, unknown_settings
from tests.models import ROOT, run_command
from tests.unit.models import PARCELS


@pytest.fixture(autouse=True)
def _only_what_a_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for message in unknown_settings():
        monkeypatch.delenv(message.split()[0])


def test_a_misspelt_setting_of_a_server_is_reported_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_WORKERS", "2")
    monkeypatch.setenv("TABULAR_BENTO_TRAFIC_DIR", "/traffic")
    monkeypatch.setenv("TABULAR_BENTO_COLOUR", "blue")
    monkeypatch.setenv("TABULAR_BENTO_MEMORY_LIMT", "4 GB")
    assert sorted(unknown_settings()) == [
        "TABULAR_BENTO_COLOUR in the environment is no setting: TABULAR_BENTO_ is for the settings of tabular-bento "
        "alone.",
        "TABULAR_BENTO_MEMORY_LIMT in the environment is no setting; did you mean TABULAR_BENTO_MEMORY_LIMIT?",
        "TABULAR_BENTO_TRAFIC_DIR in the environment is no setting; did you mean TABULAR_BENTO_TRAFFIC_DIR?",
    ]


def test_what_kubernetes_sets_for_a_service_of_the_librarys_name_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for service in ("TABULAR_BENTO", "TABULAR_BENTO_DRIFT", "TABULAR_BENTO_COMPARE"):
        for name, value in {
            "SERVICE_HOST": "10.0.0.1",
            "SERVICE_PORT": "3000",
            "SERVICE_PORT_HTTP": "3000",
            "PORT": "tcp://10.0.0.1:3000",
            "PORT_3000_TCP": "tcp://10.0.0.1:3000",
            "PORT_3000_TCP_PROTO": "tcp",
            "PORT_3000_TCP_PORT": "3000",
            "PORT_3000_TCP_ADDR": "10.0.0.1",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    assert unknown_settings() == []
    for prefix in OF_JOBS:
        assert list(unknown_variables(("min_rows",), prefix)) == []
    monkeypatch.setenv("TABULAR_BENTO_GPRC_PORT", "3002")
    assert [message.split()[-1] for message in unknown_settings()] == ["TABULAR_BENTO_GRPC_PORT?"]


def test_a_misspelt_setting_of_a_comparison_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MARGN", "0.5")
    assert unknown_settings() == [], "the comparison says so"
    with pytest.raises(CompareError, match=r"COMPARE_MARGN .* is no setting; did you mean .*COMPARE_MARGIN\?"):
        read_settings()


def test_a_misspelt_setting_of_the_drift_job_is_refused_as_a_wrong_argument() -> None:
    window = ("--from", "2013-09-02", "--to", "2013-09-03", "--out", "var/nothing")
    result = run_command("drift", *window, TABULAR_BENTO_DRIFT_MIN_ROW="5", TABULAR_BENTO_DRIFT_HISTORY="h.jsonl")
    assert result.returncode == 2
    assert result.stderr == (
        "tabular-bento drift: TABULAR_BENTO_DRIFT_MIN_ROW in the environment is no setting; did you mean "
        "TABULAR_BENTO_DRIFT_MIN_ROWS?\n"
    )


def test_a_command_warns_of_what_it_does_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TABULAR_BENTO_LOG_FORMAT", "json")  # a server's
    monkeypatch.setenv("TABULAR_BENTO_DATABSE", "sqlite:///x.db")
    assert guarded("tabular-bento some", lambda: 7)() == 7
    assert capsys.readouterr().err == (
        "warning: TABULAR_BENTO_DATABSE in the environment is no setting; did you mean TABULAR_BENTO_DATABASE?\n"
    )


def test_every_variable_that_the_library_names_is_known() -> None:
    known = {name.upper() for name in ServingSettings.model_fields} | set(READ_BY_COMMANDS)
    named = set()
    for path in (ROOT / "tabular_bento").rglob("*.py"):
        named |= set(re.findall(rf"{PREFIX}([A-Z][A-Z_]*[A-Z])\b", path.read_text()))
    of_jobs = tuple(prefix.removeprefix(PREFIX) for prefix in OF_JOBS)
    assert {name for name in named if not f"{name}_".startswith(of_jobs)} <= known


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that `tabular-bento new` made, in whose environment this process runs."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    return tmp_path


def test_outside_of_a_project_it_is_pip() -> None:
    assert pip_install_command("tabular-bento[keras]") == "pip install 'tabular-bento[keras]'"
    assert pip_install_command("gcsfs") == "pip install gcsfs"


def test_in_a_project_it_is_that_of_its_environment_as_the_readme_has_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    command = pip_install_command("tabular-bento[keras]")
    assert command == ".venv/bin/python -m pip install 'tabular-bento[keras]'"
    assert f"`{command}`" in (TEMPLATE / "README.md.jinja").read_text()
    monkeypatch.chdir(project.parent)
    assert pip_install_command("gcsfs") == f"{project.name}/.venv/bin/python -m pip install gcsfs"
    monkeypatch.chdir("/")
    assert pip_install_command("gcsfs").endswith("/.venv/bin/python -m pip install gcsfs")


def test_messages_name_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert runners.install_command("lightgbm") == ".venv/bin/python -m pip install 'tabular-bento[lightgbm]'"
    for driver in ("adbc_driver_sqlite", "adbc_driver_sqlite.dbapi"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SourceError, match=r"`\.venv/bin/python -m pip install 'tabular-bento\[sql\]'`"):
        SQLSource(PARCELS, "SELECT 1", "sqlite:///x.db").load()
