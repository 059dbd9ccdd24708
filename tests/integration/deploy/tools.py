"""What the tests of deployments share: requests, and tools that are no Python packages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.client import Client
from tests.conftest import ROOT
from tests.serving import ServedPort

DEPLOY = ROOT / "deploy"
OBSERVABILITY = DEPLOY / "observability"
EXAMPLE = dict(PROBLEM.example)


def body_of(rows: Sequence[dict[str, Any]]) -> bytes:
    """The body of POST /predict."""
    return json.dumps({PROBLEM.rows: rows}).encode()


def predict(server: ServedPort, rows: Sequence[dict[str, Any]], protocol: str) -> list[dict[str, Any]]:
    """Predictions of rows over a protocol of the client."""
    with Client(server.process.url, grpc=f"127.0.0.1:{server.grpc_port}", timeout=60, retries=0) as client:
        return list(client.predict(rows, protocol=protocol))


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
