from __future__ import annotations

import asyncio

import grpc
import pytest
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from tabular_bento.errors import (
    LogError,
    OverloadError,
    PredictionError,
    RequestError,
    ScoringError,
    TooLargeError,
    UnknownModelError,
)
from tabular_bento.protocol.requests import PredictRequest
from tabular_bento.serving.settings import settings
from tabular_bento.serving.status import FAULTS, STATUS, ending, sentence


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        PredictRequest.model_validate_json(b'{"flights": [{}]}')
    return caught.value


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (invalid(), "invalid"),
        (RequestError("an input is ragged"), "invalid"),
        (TooLargeError("too many rows"), "too_large"),
        (UnknownModelError("not served"), "unknown_model"),
        (OverloadError("later"), "overload"),
        (LogError("the disk is full"), "unlogged"),
        (TimeoutError(), "timeout"),
        (ClientDisconnect(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (PredictionError("not finite"), "failed"),
        (ScoringError("out of order"), "failed"),
        (ZeroDivisionError("division by zero"), "failed"),
    ],
)
def test_an_error_ends_a_request_in_one_way(error: BaseException, end: str) -> None:
    assert ending(error) == end


def test_each_end_is_a_status_of_both_protocols_and_the_server_s_faults_are_told_from_the_caller_s() -> None:
    for end, (status, code) in STATUS.items():
        assert code in grpc.StatusCode.__members__
        assert (status >= 500) == (end in (*FAULTS, "overload"))


def test_a_caller_is_told_what_it_can_mend_and_nothing_of_what_nobody_foresaw() -> None:
    assert sentence(invalid()).startswith("flights.0.carrier: Field required")
    assert sentence(RequestError("an input is ragged")) == "an input is ragged"
    assert sentence(LogError("the disk is full")).endswith("not answered: the disk is full")
    assert sentence(TimeoutError()) == f"Not answered in {settings.timeout_seconds:g} seconds."
    assert "division" not in sentence(ZeroDivisionError("division by zero"))
