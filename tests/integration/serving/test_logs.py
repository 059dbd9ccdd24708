"""What a server says on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import body_of
from tests.integration.serving.clients import call, raw, stub
from tests.serving import ServedPort, serve

ONE = body_of(*[EXAMPLE] * 2).encode()


def lines(server: ServedPort) -> list[dict[str, Any]]:
    """The output of a server whose lines are JSON, each of them."""
    return [json.loads(line) for line in server.process.log.read_text().splitlines()]


def of_requests(server: ServedPort) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line["logger"] == "bentoml.requests"]


def test_each_request_is_a_line_of_json_with_the_ids_that_its_response_has(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    settings = {
        "TABULAR_BENTO_LOG_FORMAT": "json",
        "TABULAR_BENTO_LOG_REQUESTS": "all",
        "TABULAR_BENTO_DRAIN_SECONDS": "0",
        "TABULAR_BENTO_WORKER": "2",
    }
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], **settings) as served:
        content = call(served, "/predict", ONE, {"X-Request-ID": "r-1"})[2]
        call(served, "/predict", b"{}")
        with stub(served) as calls:
            calls.ModelInfer(raw([EXAMPLE], id="mine"), timeout=30)
        call(served, "/feedback", b'{"labels": []}')
    returned, invalid, over_grpc, feedback = of_requests(served)

    assert {name: returned[name] for name in ("endpoint", "code", "status", "rows", "request_id", "level")} == {
        "endpoint": "http",
        "code": 200,
        "status": "ok",
        "rows": 2,
        "request_id": "r-1",
        "level": "INFO",
    }
    assert returned["first_prediction_id"] == json.loads(content)[0]["prediction_id"]
    assert 0 < returned["ms"] < 60_000
    assert (invalid["code"], invalid["status"], len(invalid["request_id"])) == (400, "invalid", 16)
    assert (feedback["code"], feedback["endpoint"], feedback["rows"]) == (200, "feedback", 0)
    assert (over_grpc["code"], over_grpc["endpoint"], over_grpc["request_id"]) == ("OK", "grpc", "mine")
    assert any("Service flights initialized" in line["message"] for line in lines(served))
    (misspelt,) = [line for line in lines(served) if "TABULAR_BENTO_WORKER " in line["message"]]
    assert misspelt["level"] == "WARNING"
    assert misspelt["message"].endswith("did you mean TABULAR_BENTO_WORKERS?")


@pytest.mark.parametrize("form", ["json", pytest.param("text", marks=pytest.mark.slow)])
def test_by_default_only_what_the_server_failed_has_a_line(form: str, trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(
        tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_LOG_FORMAT=form, TABULAR_BENTO_DRAIN_SECONDS="0"
    ) as served:
        call(served, "/predict", ONE)
        call(served, "/predict", b"{}")
    said = served.process.log.read_text()
    assert "initialized" in said
    assert "request_id" not in said


def test_a_request_that_cannot_be_logged_has_a_line_by_default(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        served.traffic.write_bytes(b"a file where the folder should be")
        call(served, "/predict", ONE, {"X-Request-ID": "r-2"})
    (line,) = [line for line in served.process.log.read_text().splitlines() if "request_id=" in line]
    for words in ("[WARNING]", "endpoint=http", "code=503", "status=unlogged", "rows=2", "request_id=r-2"):
        assert words in line
