"""Tools that are no Python packages: there, or a reason to skip, which CI does not accept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
OBSERVABILITY = DEPLOY / "observability"


def tool(name: str) -> str:
    """The path of a program of Debian's; `.ci/run` installs it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return path or skipped(f"{name} is not installed: .ci/run does it by apt-get")


def needs_root(why: str) -> None:
    """Skip where the test is not run by root."""
    if os.geteuid() != 0:
        skipped(f"only root can {why}")


def skipped(reason: str) -> str:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def files_of(folder: Path, pattern: str) -> list[Path]:
    """The files below `folder`, at least one."""
    found = sorted(folder.rglob(pattern))
    assert found, f"no {pattern} in {folder}"
    return found
