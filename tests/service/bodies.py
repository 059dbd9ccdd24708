"""Bodies of requests, and what a refusal looks like."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tabular_bento.protocol.requests import ROWS, ErrorAnswer

JSON = {"Content-Type": "application/json"}


def body_of(*requests: Any) -> str:
    return json.dumps({ROWS: requests})


def assert_refused(answer: httpx.Response, status: int, words: str) -> None:
    """The answer has the one shape that errors have, with `words` in its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert words in ErrorAnswer.model_validate_json(answer.content).error
