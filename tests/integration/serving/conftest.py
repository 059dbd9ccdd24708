"""A client of the session's server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.serving.bodies import JSON
from tests.serving import ServedPort


@pytest.fixture(scope="module")
def client(server: ServedPort) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.process.url, timeout=60, headers=JSON) as client:
        yield client
