"""Servers whose settings leave little room: what they refuse, and how."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import JSON, assert_refused, body_of
from tests.serving import ServedPort, count_logged, serve


@pytest.fixture(scope="module")
def narrow(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A server with little room for rows and bodies."""
    limits = {"TABULAR_BENTO_MAX_ROWS": "500", "TABULAR_BENTO_MAX_QUEUE_ROWS": "600", "TABULAR_BENTO_MAX_BODY_MB": "1"}
    folder = tmp_path_factory.mktemp("narrow")
    with serve(folder, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0", **limits) as served:
        yield served


def test_settings_from_the_environment_hold(narrow: ServedPort) -> None:
    with httpx.Client(base_url=narrow.process.url, timeout=60, headers=JSON) as client:
        assert client.post("/predict", content=body_of(*[EXAMPLE] * 500)).status_code == 200
        assert_refused(client.post("/predict", content=body_of(*[EXAMPLE] * 501)), 413, "of at most 500")
        assert_refused(client.post("/predict", content=b" " * ((1 << 20) + 1)), 413, "1 MiB")


def test_rows_beyond_the_queue_are_asked_to_come_again(narrow: ServedPort) -> None:
    def call(client: httpx.Client) -> httpx.Response:
        return client.post("/predict", content=body_of(*[EXAMPLE] * 500))

    before = count_logged(narrow.traffic)
    with (
        httpx.Client(base_url=narrow.process.url, timeout=60, headers=JSON) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        responses = list(pool.map(call, [client] * 64))
    lines = count_logged(narrow.traffic) - before

    refused = [response for response in responses if response.status_code != 200]
    assert refused, "the queue was never full"
    for response in refused:
        assert_refused(response, 503, "rows are waiting")
        assert response.headers["retry-after"] == "1"
    assert lines == 500 * (len(responses) - len(refused))


@pytest.fixture(scope="module")
def hasty(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A server that gives a request no time."""
    folder = tmp_path_factory.mktemp("hasty")
    with serve(
        folder,
        TABULAR_BENTO_MODEL=trained["tag"],
        TABULAR_BENTO_TIMEOUT_SECONDS="0.02",
        TABULAR_BENTO_DRAIN_SECONDS="0",
    ) as served:
        yield served


def test_a_request_that_takes_too_long_is_refused_with_504(hasty: ServedPort) -> None:
    with httpx.Client(base_url=hasty.process.url, timeout=60, headers=JSON) as client:
        response = client.post("/predict", content=body_of(*[EXAMPLE] * 10_000))
        assert_refused(response, 504, "No response within 0.02 seconds.")


@pytest.mark.parametrize("path", ["/predict", "/feedback", "/v2/models/flights/infer"])
def test_a_body_that_does_not_come_is_refused_with_504(hasty: ServedPort, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hasty.process.port, timeout=60)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"{")
    response = connection.getresponse()

    assert response.status == 504
    assert json.loads(response.read())["error"] == "No response within 0.02 seconds."
    connection.close()
