"""Servers for the tests of this folder: one of PostgreSQL, one of S3's protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import PostgreSQL, running
from tests.seaweedfs import SeaweedFS
from tests.seaweedfs import running as object_store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[SeaweedFS]:
    """A running server of S3's protocol."""
    with object_store() as server:
        yield server
