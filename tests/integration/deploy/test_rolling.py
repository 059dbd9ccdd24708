"""Two servers are replaced one after the other behind a real proxy, under load, and no request is lost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests.integration.deploy.proxy import Load, haproxy
from tests.serving import logged


@pytest.mark.slow
def test_servers_replaced_one_by_one_behind_a_proxy_lose_no_request(trained: dict[str, Any], tmp_path: Path) -> None:
    ports = [(free_port(), free_port()) for _ in range(2)]

    def started(number: int, turn: int) -> ServerProcess:
        http, grpc_port = ports[number]
        folder = tmp_path / f"{number}-{turn}"
        folder.mkdir()
        environment = {
            "TABULAR_BENTO_MODEL": trained["tag"],
            "TABULAR_BENTO_TRAFFIC_DIR": str(folder / "traffic"),
            "TABULAR_BENTO_GRPC_PORT": str(grpc_port),
            "TABULAR_BENTO_DRAIN_SECONDS": "2.5",
        }
        return ServerProcess(http, folder / "server.log", environment=environment).start()

    with ExitStack() as stack:
        running = [started(number, 0) for number in range(2)]
        for number in range(2):
            stack.callback(lambda number=number: running[number].kill())
        with haproxy(tmp_path, ports) as (http, grpc_address), Load(http, grpc_address) as load:
            for number in range(2):
                load.more(200)
                assert running[number].stop() == 0
                load.more(200)
                running[number] = started(number, 1)
            load.more(400)
            time.sleep(1.5)  # the proxy has noticed the last one by now
            load.more(200)

    assert not load.faults
    lines = {line["prediction_id"] for folder in tmp_path.glob("*-*") for line in logged(folder / "traffic")}
    assert len(set(load.ids)) == len(load.ids)
    assert set(load.ids) <= lines
    for folder in tmp_path.glob("*-*"):
        assert logged(folder / "traffic"), f"{folder.name} was asked for nothing"
        assert "Traceback" not in (folder / "server.log").read_text()
