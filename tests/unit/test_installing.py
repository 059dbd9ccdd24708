"""The command that installs what is missing is one that works where the message is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tabular_bento.data import SQLSource
from tabular_bento.errors import SourceError
from tabular_bento.installing import install_command
from tabular_bento.scaffold.writing import TEMPLATE
from tabular_bento.scoring import runners
from tests.unit.models import PARCELS


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that `tabular-bento new` made, in whose environment this process runs."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    return tmp_path


def test_outside_of_a_project_it_is_pip() -> None:
    assert install_command("tabular-bento[keras]") == "pip install 'tabular-bento[keras]'"
    assert install_command("gcsfs") == "pip install gcsfs"


def test_in_a_project_it_is_that_of_its_environment_as_the_readme_has_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    command = install_command("tabular-bento[keras]")
    assert command == ".venv/bin/python -m pip install 'tabular-bento[keras]'"
    assert f"`{command}`" in (TEMPLATE / "README.md.jinja").read_text()
    monkeypatch.chdir(project.parent)
    assert install_command("gcsfs") == f"{project.name}/.venv/bin/python -m pip install gcsfs"
    monkeypatch.chdir("/")
    assert install_command("gcsfs").endswith("/.venv/bin/python -m pip install gcsfs")


def test_messages_name_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert runners.install_command("lightgbm") == ".venv/bin/python -m pip install 'tabular-bento[lightgbm]'"
    for driver in ("adbc_driver_sqlite", "adbc_driver_sqlite.dbapi"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SourceError, match=r"`\.venv/bin/python -m pip install 'tabular-bento\[sql\]'`"):
        SQLSource(PARCELS, "SELECT 1", "sqlite:///x.db").load()
