"""Bodies of requests, what a refusal looks like, and rows of the log by the names of fields and outputs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from features.problem import PROBLEM
from tabular_bento.protocol.requests import ErrorResponse
from tabular_bento.traffic.schema import INPUTS, OUTPUTS, PREDICTIONS
from tests.serving import logged

JSON = {"Content-Type": "application/json"}


def body_of(*requests: Any) -> str:
    """The body of POST /predict."""
    return json.dumps({PROBLEM.rows: requests})


def assert_refused(response: httpx.Response, status: int, words: str) -> None:
    """The response has the one shape that errors have, with `words` in its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert words in ErrorResponse.model_validate_json(response.content).error


def assert_ended(result: subprocess.CompletedProcess[str], words: str) -> None:
    """`bentoml serve` has ended with one line that has `words`."""
    assert result.returncode != 0
    assert result.stderr.startswith("Error: [serve] ")
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert words in result.stderr


def logged_rows(traffic: Path, stream: str = PREDICTIONS) -> list[dict[str, Any]]:
    """The whole lines of a stream, with the inputs and outputs that they have under their own names."""
    names = {INPUTS: PROBLEM.field_names, OUTPUTS: [output.name for output in PROBLEM.outputs]}
    rows = logged(traffic, stream)
    for row in rows:
        for part in names.keys() & row.keys():
            row.update(zip(names[part], row[part], strict=True))
    return rows
