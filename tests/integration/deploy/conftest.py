from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import environment


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of kubectl, podman-compose and a Python with the schemas that manifests are checked by."""
    return environment("deploy", "deploy", "kserve").parent
