"""Bodies of requests, and what a refusal looks like."""

from __future__ import annotations

import json
from typing import Any

import httpx

from features.problem import PROBLEM
from tabular_bento.protocol.requests import ErrorResponse

JSON = {"Content-Type": "application/json"}


def body_of(*requests: Any) -> str:
    """The body of POST /predict."""
    return json.dumps({PROBLEM.rows: requests})


def assert_refused(response: httpx.Response, status: int, words: str) -> None:
    """The response has the one shape that errors have, with `words` in its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert words in ErrorResponse.model_validate_json(response.content).error
