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
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.serving.status import CODES, FAULTS, message_of, status_of
from tests.unit.problems import PRICES


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        RequestSchema(PRICES.declaration).parse_rows(b'{"rows": [{}]}')
    return caught.value


@pytest.mark.parametrize(
    ("error", "status"),
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
def test_an_error_ends_a_request_in_one_way(error: BaseException, status: str) -> None:
    assert status_of(error) == status


def test_each_status_has_a_code_of_both_protocols_and_the_server_s_faults_are_distinguished_from_the_caller_s() -> None:
    for status, (http_code, grpc_code) in CODES.items():
        assert grpc_code in grpc.StatusCode.__members__
        assert (http_code >= 500) == (status in (*FAULTS, "overload"))
        assert (grpc_code == "RESOURCE_EXHAUSTED") == (status == "overload"), "which callers send again"


def test_a_caller_reads_what_it_can_mend_and_nothing_of_unforeseen_errors() -> None:
    assert message_of(invalid(), 30).startswith("rows.0.area: Field required")
    assert message_of(RequestError("an input is ragged"), 30) == "an input is ragged"
    assert message_of(LogError("the disk is full"), 30).endswith("nothing is returned: the disk is full")
    assert message_of(TimeoutError(), 2.5) == "No response within 2.5 seconds."
    assert "division" not in message_of(ZeroDivisionError("division by zero"), 30)
