from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from features.definition import EXAMPLE
from tests.conftest import ROOT
from tests.doors.clients import by_grpc, by_http
from tests.serving import ServedPort, logged, refused, serve


def listening(server: ServedPort) -> set[int]:
    """The ports that the server and its workers listen on for everyone."""
    process = psutil.Process(server.process.process.pid)
    return {
        connection.laddr.port
        for one in (process, *process.children(recursive=True))
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip in ("0.0.0.0", "::")
    }


def test_a_second_server_on_the_same_grpc_port_is_refused_with_a_sentence(
    trained: dict[str, Any], server: ServedPort
) -> None:
    result = refused(ROOT, MODEL_TAG=trained["tag"], GRPC_PORT=str(server.grpc_port))

    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert f"The gRPC port {server.grpc_port} is in use: free it, or set GRPC_PORT to another." in said
    assert "Traceback" not in said
    assert by_grpc(server, [EXAMPLE])[0][0] == by_http(server, [EXAMPLE])[0][0]


def test_two_workers_share_the_port_and_both_get_calls(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, MODEL_TAG=trained["tag"], WORKERS="2") as served:
        assert listening(served) == {served.process.port, served.grpc_port}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: by_grpc(served, [EXAMPLE]), range(64)))
        segments = list((served.traffic / "predictions").glob("*.jsonl"))
        rows = len(logged(served.traffic))

    assert len({prediction for ((prediction, _),) in answers}) == 1
    assert rows == 64
    assert sum(path.stat().st_size > 0 for path in segments) == 2


def test_grpc_port_0_leaves_the_door_shut(trained: dict[str, Any], server: ServedPort, tmp_path: Path) -> None:
    with serve(tmp_path, MODEL_TAG=trained["tag"], GRPC_PORT="0") as served:
        assert listening(served) == {served.process.port}
        assert by_http(served, [EXAMPLE])[0][0] == by_http(server, [EXAMPLE])[0][0]

    assert listening(server) == {server.process.port, server.grpc_port}
