from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tabular_bento.errors import ScoringError
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests.conftest import ROOT
from tests.serving import serve


def test_a_port_in_use_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ScoringError, match=f"Port {port} is in use"):
            ServerProcess(port, tmp_path / "log").start()
    assert not (tmp_path / "log").exists()


def test_a_grpc_port_in_use_is_reported_by_the_server(trained: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            pytest.raises(ScoringError, match=f"gRPC port {port} is in use"),
            serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_GRPC_PORT=str(port)),
        ):
            raise AssertionError("it started")


def test_a_server_that_cannot_start_is_reported_with_its_last_line(tmp_path: Path) -> None:
    process = ServerProcess(
        free_port(),
        tmp_path / "log",
        directory=ROOT,
        environment={"TABULAR_BENTO_MODEL": "flights:nothing", "TABULAR_BENTO_GRPC_PORT": str(free_port())},
    )
    with pytest.raises(ScoringError, match=r"ended with [1-9]\d*: .*There is no model flights:nothing"):
        process.start()
    assert process.process.poll() is not None


def test_a_setting_out_of_range_is_reported_by_its_name(tmp_path: Path) -> None:
    process = ServerProcess(free_port(), tmp_path / "log", directory=ROOT, environment={"TABULAR_BENTO_MAX_ROWS": "0"})
    with pytest.raises(ScoringError):
        process.start()
    assert (tmp_path / "log").read_text().startswith("TABULAR_BENTO_MAX_ROWS=0 in the environment: ")


def test_nothing_is_left_running_after_a_stop(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(
        tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_DRAIN_SECONDS="0"
    ) as served:
        server = psutil.Process(served.process.process.pid)
        family = [server, *server.children(recursive=True)]
        assert len(family) >= 2
    assert served.process.process.returncode == 0
    assert not any(process.is_running() for process in family)
    served.process.stop()
    served.process.kill()


def test_nothing_is_left_running_after_a_kill(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_WORKERS="2") as served:
        server = psutil.Process(served.process.process.pid)
        family = [server, *server.children(recursive=True)]
        assert len(family) >= 3
        served.process.kill()
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
    assert served.process.process.returncode == -signal.SIGKILL
