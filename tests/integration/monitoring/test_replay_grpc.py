"""Replays through the gRPC endpoint of a server that misbehaves on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from features.problem import PROBLEM
from tabular_bento.cli import main
from tabular_bento.data.dataset import Dataset
from tabular_bento.monitoring.replay import ReplayConfig, replay
from tabular_bento.serving.ports import free_port
from tests.integration.misbehaving import Misbehaving, MisbehavingServicer, config


def over_grpc(bad: Misbehaving, bad_grpc: MisbehavingServicer, **values: Any) -> ReplayConfig:
    return config(bad.url, protocol="grpc", grpc=f"127.0.0.1:{bad_grpc.port}", **values)


def test_labels_of_rows_served_over_grpc_are_posted(
    dataset: Dataset, bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    result = replay(PROBLEM, dataset, over_grpc(bad, bad_grpc))
    assert (result.protocol, result.rows_served, result.errors, result.ratio_to_naive_baseline) == ("grpc", 500, 0, 1)
    assert (bad.requests, bad_grpc.calls, result.labels_sent) == (0, 10, len(bad.labels))


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_busy_grpc_server_is_tried_again(
    dataset: Dataset, code: grpc.StatusCode, bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    def busy(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls <= 3:
            context.abort(code, "busy")

    bad_grpc.fault = busy
    result = replay(PROBLEM, dataset, over_grpc(bad, bad_grpc, limit=100, concurrency=1))
    assert (result.rows_served, result.errors, bad_grpc.calls) == (100, 0, 5)


def test_grpc_server_that_stays_busy_is_an_error(
    dataset: Dataset, bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    bad_grpc.fault = lambda context, _: context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
    result = replay(PROBLEM, dataset, over_grpc(bad, bad_grpc, limit=50))
    assert (result.rows_served, result.errors_by_status) == (0, {"RESOURCE_EXHAUSTED": 50})
    assert bad_grpc.calls == 5
    assert result.first_error == "RESOURCE_EXHAUSTED: busy"


def test_refusal_over_grpc_is_counted_by_code(
    dataset: Dataset, bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    def refuse(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls == 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Input 'temp': no")

    bad_grpc.fault = refuse
    result = replay(PROBLEM, dataset, over_grpc(bad, bad_grpc, concurrency=1))
    assert (result.rows_served, result.errors_by_status) == (450, {"INVALID_ARGUMENT": 50})
    assert result.first_error == "INVALID_ARGUMENT: Input 'temp': no"


def _shorten(response: Any) -> None:
    for output, datatype in zip(response.outputs, ("BYTES", "FP64"), strict=True):
        output.shape[0] = 0
        output.datatype = datatype
    response.raw_output_contents[:] = [b"", b""]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda response: setattr(response, "id", "other"), "The response is to request 'other', not to '"),
        (lambda response: response.outputs.pop(), "2 contents of 1 outputs"),
        (lambda response: setattr(response.outputs[1], "name", "delay"), "KeyError: 'arrival_delay'"),
        (lambda response: setattr(response.outputs[1], "datatype", "FP16"), "has datatype 'FP16'"),
        (
            lambda response: response.raw_output_contents.__setitem__(1, bytes(49 * 8)),
            "49 values of arrival_delay for 50 rows",
        ),
        (
            lambda response: response.raw_output_contents.__setitem__(1, b"\xff" * 50 * 8),
            "Prediction 0 lacks arrival_delay",
        ),
        (_shorten, "0 predictions for 50 rows"),
    ],
)
def test_wrong_predictions_over_grpc_are_errors(
    dataset: Dataset, bad: Misbehaving, bad_grpc: MisbehavingServicer, spoil: Callable[[Any], object], why: str
) -> None:
    bad_grpc.fault = lambda _, response: spoil(response) if bad_grpc.calls == 2 else None
    result = replay(PROBLEM, dataset, over_grpc(bad, bad_grpc, concurrency=1))
    assert (result.rows_served, result.errors_by_status) == (450, {"wrong response": 50})
    assert why in str(result.first_error)


def test_nobody_at_the_grpc_port(bad: Misbehaving, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    arguments = ["replay", "--months", "2013-07", "--limit", "10", "--url", bad.url, "--protocol", "grpc"]
    assert main([*arguments, "--grpc", address]) == 3
    error = capsys.readouterr().err
    assert f"No gRPC server listens at {address}" in error


@pytest.mark.parametrize(
    ("url", "given", "address"),
    [
        ("http://example.test:3000", None, "example.test:3001"),
        ("http://[::1]:3000", None, "[::1]:3001"),
        ("http://example.test", "other.test:9", "other.test:9"),
    ],
)
def test_grpc_address(monkeypatch: pytest.MonkeyPatch, url: str, given: str | None, address: str) -> None:
    monkeypatch.delenv("TABULAR_BENTO_GRPC_PORT")
    assert config(url, grpc=given).grpc_address == address
