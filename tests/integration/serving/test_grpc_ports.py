from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tests.conftest import ROOT
from tests.flights.rows import EXAMPLE
from tests.integration.serving.clients import by_grpc, by_http
from tests.serving import ServedPort, logged, refused, serve

FOR_EVERYONE = {"BENTOML_HOST": "0.0.0.0"}


def addresses(server: ServedPort) -> set[tuple[str, int]]:
    """The addresses and ports that the server and its workers listen at."""
    process = psutil.Process(server.process.process.pid)
    return {
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for one in (process, *process.children(recursive=True))
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def listening(server: ServedPort) -> set[int]:
    """The ports that the server and its workers listen on for everyone."""
    return {port for address, port in addresses(server) if address in ("0.0.0.0", "::")}


def test_a_second_server_on_the_same_grpc_port_is_refused_with_a_message(
    trained: dict[str, Any], server: ServedPort
) -> None:
    result = refused(ROOT, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_PORT=str(server.grpc_port))

    assert result.returncode != 0
    said = result.stdout + result.stderr
    setting = "set TABULAR_BENTO_GRPC_PORT or TABULAR_BENTO_GRPC_HOST to another"
    assert f"The gRPC port {server.grpc_port} is in use: stop what listens there, or {setting}." in said
    assert "Traceback" not in said
    assert by_grpc(server, [EXAMPLE])[0][0] == by_http(server, [EXAMPLE])[0][0]


@pytest.mark.slow
def test_two_workers_share_the_port_and_both_get_calls(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_WORKERS="2", **FOR_EVERYONE) as served:
        assert listening(served) == {served.process.port, served.grpc_port}
        responses: list[float] = []
        deadline = time.monotonic() + 30
        while len(written := log_files(served)) < 2 and time.monotonic() < deadline:  # the second may start later
            responses += [by_grpc(served, [EXAMPLE])[0][0] for _ in range(16)]
        rows = len(logged(served.traffic))

    assert len(written) == 2
    assert len(set(responses)) == 1
    assert rows == len(responses)


def log_files(server: ServedPort) -> list[Path]:
    """The files that workers have logged predictions to; each worker has its own."""
    return [path for path in (server.traffic / "predictions").glob("*.jsonl") if path.stat().st_size > 0]


@pytest.mark.slow
def test_grpc_port_0_turns_it_off(trained: dict[str, Any], server: ServedPort, tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_PORT="0", **FOR_EVERYONE) as served:
        assert listening(served) == {served.process.port}
        assert by_http(served, [EXAMPLE])[0][0] == by_http(server, [EXAMPLE])[0][0]


def keeps_to_the_loopback(server: ServedPort) -> bool:
    """Whether both ports are open to this machine, and none to others."""
    wanted = {("127.0.0.1", server.process.port), ("127.0.0.1", server.grpc_port)}
    return wanted <= addresses(server) and {address for address, _ in addresses(server)} <= {"127.0.0.1", "::1"}


def test_a_server_keeps_to_the_loopback_over_each_protocol(server: ServedPort) -> None:
    assert keeps_to_the_loopback(server)


@pytest.mark.slow
def test_a_server_asked_to_keep_to_the_loopback_does_so_over_each_protocol(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], BENTOML_HOST="127.0.0.1") as served:
        assert keeps_to_the_loopback(served)
        assert by_grpc(served, [EXAMPLE])[0][0] == by_http(served, [EXAMPLE])[0][0]


@pytest.mark.slow
def test_grpc_listens_over_both_versions_of_ip(trained: dict[str, Any], tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("This machine has no IPv6.")
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_HOST="::") as served:
        for host in ("[::1]", "127.0.0.1"):
            with grpc.insecure_channel(f"{host}:{served.grpc_port}") as opened:
                calls = services.GRPCInferenceServiceStub(opened)  # type: ignore[no-untyped-call]
                assert calls.ServerLive(messages.ServerLiveRequest(), timeout=10).live


def test_an_address_that_the_machine_does_not_have_is_reported(trained: dict[str, Any]) -> None:
    result = refused(
        ROOT, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_HOST="192.0.2.1", TABULAR_BENTO_GRPC_PORT="3999"
    )
    assert result.returncode != 0
    said = result.stdout + result.stderr
    fault = "cannot be opened at 192.0.2.1: Cannot assign requested address, or set TABULAR_BENTO_GRPC_PORT"
    assert f"The gRPC port 3999 {fault}" in said
    assert "Traceback" not in said
