from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import read_rows
from tests.conftest import ROOT
from tests.flights.rows import EXAMPLE, from_json, rows, to_json
from tests.integration.serving.clients import (
    INFER,
    by_grpc,
    by_grpc_typed,
    by_http,
    by_rest,
    by_rest_binary,
    call,
    json_body,
    metrics_of,
    raw,
    risen,
    stub,
    wait_for,
)
from tests.serving import ServedPort, count_logged, logged, refused

ENDPOINTS = {
    "http": by_http,
    "rest": by_rest,
    "rest, binary": by_rest_binary,
    "grpc": by_grpc,
    "grpc, typed": by_grpc_typed,
}
BUSY_ROWS = 10_000


def bits(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


@pytest.fixture(scope="module")
def real(package_folder: Path) -> list[dict[str, Any]]:
    """Some hundred real flights, as a client writes them."""
    return [to_json(row) for row in read_rows(package_folder, PROBLEM.fields)]


def lines_of(server: ServedPort, ids: Sequence[str], before: int) -> list[dict[str, Any]]:
    """The lines of the log for these predictions, in their order; `before` lines were there before."""
    lines = {line["prediction_id"]: line for line in logged(server.traffic, after=before)}
    return [lines[prediction_id] for prediction_id in ids]


def assert_alike(server: ServedPort, package: ModelPackage, requests: list[dict[str, Any]]) -> None:
    """Each endpoint predicts and logs what the package does without a server."""
    offline = package.predictor.predict(from_json(*requests))
    features = [[None if np.isnan(value) else value for value in row] for row in offline.features.tolist()]
    inputs = [[request.get(field.name) for field in PROBLEM.fields] for request in requests]
    before = count_logged(server.traffic)
    responses = {endpoint: ask(server, requests) for endpoint, ask in ENDPOINTS.items()}
    ids = [prediction_id for response in responses.values() for _, prediction_id in response]
    lines = lines_of(server, ids, before)
    for index, (endpoint, response) in enumerate(responses.items()):
        logged_here = lines[index * len(requests) : (index + 1) * len(requests)]
        assert bits([target for target, _ in response]) == bits(offline.value.tolist()), endpoint
        assert bits([line["outputs"][0] for line in logged_here]) == bits(offline.value.tolist()), endpoint
        assert [line["features"] for line in logged_here] == features, endpoint
        assert [line["inputs"] for line in logged_here] == inputs, endpoint


@pytest.mark.parametrize("count", [1, 100, 1_000])
def test_real_rows_get_the_same_bits_through_each_endpoint_as_offline_and_are_logged_alike(
    server: ServedPort, package: ModelPackage, real: list[dict[str, Any]], count: int
) -> None:
    assert_alike(server, package, (real * (count // len(real) + 1))[:count])


@settings(deadline=None, max_examples=15)
@given(batch=st.lists(rows, min_size=1, max_size=4))
def test_any_rows_get_the_same_bits_through_each_endpoint_as_offline(
    server: ServedPort, package: ModelPackage, batch: list[Row]
) -> None:
    offline = bits(package.predictor.predict(batch).value.tolist())
    requests = [to_json(row) for row in batch]

    for endpoint, ask in ENDPOINTS.items():
        assert bits([target for target, _ in ask(server, requests)]) == offline, endpoint


def test_rows_of_three_endpoints_make_up_one_batch(server: ServedPort) -> None:
    """While large batches are computed, three lone rows arrive, one through each endpoint."""
    large = raw([EXAMPLE] * BUSY_ROWS)
    lone = [by_http, by_rest, by_grpc]
    for _ in range(5):
        before = metrics_of(server)
        with stub(server) as calls, ThreadPoolExecutor(len(lone)) as threads:
            busy = [calls.ModelInfer.future(large) for _ in range(4)]
            busy[0].result()
            responses = list(threads.map(lambda ask: ask(server, [EXAMPLE]), lone))
            for future in busy:
                future.result()
        counted = risen(before, metrics_of(server))
        assert len({prediction for ((prediction, _),) in responses}) == 1
        assert counted["tabular_bento_batch_rows_sum",] == 4 * BUSY_ROWS + len(lone)
        threes = counted.get(("tabular_bento_batch_rows_bucket", "4.0"), 0) - counted.get(
            ("tabular_bento_batch_rows_bucket", "2.0"), 0
        )
        if threes == 1:
            break
    else:
        pytest.fail(f"the lone rows never met in one batch: {counted}")
    assert counted["tabular_bento_batch_rows_count",] == 4 + 1
    assert [counted["tabular_bento_predicted_rows_total", endpoint] for endpoint in ("http", "rest", "grpc")] == [
        1,
        1,
        4 * BUSY_ROWS + 1,
    ]


@pytest.mark.parametrize(
    ("endpoint", "good", "bad"),
    [
        ("http", by_http, lambda server: server.post("/predict", b"{}")),
        ("rest", by_rest, lambda server: server.post(INFER, b"{}")),
        ("grpc", by_grpc, lambda server: grpc_error(server, raw([{"carrier": "UA"}]))),
    ],
)
def test_requests_rows_latency_and_errors_are_counted_by_endpoint(
    server: ServedPort,
    endpoint: str,
    good: Callable[[ServedPort, list[dict[str, Any]]], Any],
    bad: Callable[[ServedPort], Any],
) -> None:
    before = metrics_of(server)
    for count in (1, 3):
        good(server, [EXAMPLE] * count)
    bad(server)
    counted = risen(before, metrics_of(server))

    assert counted["tabular_bento_requests_total", endpoint, "ok"] == 2
    assert counted["tabular_bento_requests_total", endpoint, "invalid"] == 1
    assert counted["tabular_bento_predicted_rows_total", endpoint] == 4
    assert counted["tabular_bento_request_duration_seconds_count", endpoint] == 3
    assert 0 < counted["tabular_bento_request_duration_seconds_sum", endpoint] < 3
    assert (counted["tabular_bento_batch_rows_count",], counted["tabular_bento_batch_rows_sum",]) == (2, 4)
    assert not [key for key in counted if key[0].startswith("tabular_bento_request") and endpoint not in key]


def test_a_start_that_is_refused_leaves_the_metrics_of_the_running_server_alone(
    server: ServedPort, trained: dict[str, Any]
) -> None:
    by_http(server, [EXAMPLE])
    before = metrics_of(server)
    assert (
        refused(ROOT, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_PORT=str(server.grpc_port)).returncode != 0
    )
    by_http(server, [EXAMPLE])

    assert risen(before, metrics_of(server))["tabular_bento_requests_total", "http", "ok"] == 1
    assert before.keys() <= metrics_of(server).keys()
    assert b"bentoml_service_request_total{" in call(server, "/metrics")[2]


def test_other_statuses_have_names_of_their_own(server: ServedPort) -> None:
    before = metrics_of(server)
    too_many = [EXAMPLE] * (BUSY_ROWS + 1)
    server.post("/predict", json.dumps({"flights": too_many}).encode())
    server.post(INFER, json.dumps(json_body(too_many)).encode())
    grpc_error(server, raw(too_many))
    server.post("/v2/models/ships/infer", b"{}")
    other = raw([EXAMPLE])
    other.model_name = "ships"
    grpc_error(server, other)
    counted = risen(before, metrics_of(server))

    assert {key[1:]: value for key, value in counted.items() if key[0] == "tabular_bento_requests_total"} == {
        ("http", "too_large"): 1, ("rest", "too_large"): 1, ("grpc", "too_large"): 1,
        ("rest", "unknown_model"): 1, ("grpc", "unknown_model"): 1,
    }  # fmt: skip
    assert ("tabular_bento_batch_rows_count",) not in counted


def test_a_client_that_hangs_up_in_the_middle_of_its_body_is_counted_and_leaves_no_traceback(
    server: ServedPort,
) -> None:
    before, log = metrics_of(server), server.process.log.stat().st_size
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    for path in ("/predict", INFER):
        with socket.create_connection(("127.0.0.1", server.process.port)) as client:
            client.sendall(head.replace(INFER, path).encode() + b"{")
            endpoint = "rest" if path == INFER else "http"
            wait_for(lambda endpoint=endpoint: metrics_of(server)["tabular_bento_requests_in_progress", endpoint] == 1)
    wait_for(lambda: sum(key[-1] == "cancelled" for key in risen(before, metrics_of(server))) == 2)
    counted = risen(before, metrics_of(server))

    assert counted["tabular_bento_requests_total", "http", "cancelled"] == 1
    assert counted["tabular_bento_requests_total", "rest", "cancelled"] == 1
    assert b"Traceback" not in server.process.log.read_bytes()[log:]


def grpc_error(server: ServedPort, request: Any) -> None:
    with stub(server) as calls, pytest.raises(grpc.RpcError):
        calls.ModelInfer(request, timeout=30)
