"""Two containers are replaced one after the other behind a real proxy, under load, and no request is lost."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.commands import podman
from tabular_bento.testing.container import RunningImage
from tests.integration.container.conftest import Shipped
from tests.integration.deploy.proxy import Load, haproxy
from tests.serving import logged

pytestmark = [pytest.mark.container, pytest.mark.slow]


def test_containers_replaced_one_by_one_behind_a_proxy_lose_no_request(
    shipped: Shipped, volume: str, tmp_path: Path
) -> None:
    image, settings = shipped.record.image_id, {"TABULAR_BENTO_DRAIN_SECONDS": "2.5"}
    with ExitStack() as stack:
        running = [stack.enter_context(RunningImage(image, volume=volume, environment=settings)) for _ in range(2)]
        ports = [(container.port, container.grpc_port) for container in running]
        with haproxy(tmp_path, ports) as (http, grpc_address), Load(http, grpc_address) as load:
            for number, old in enumerate(running):
                load.more(200)
                assert old.stop() == 0
                load.more(200)
                new = RunningImage(image, volume=volume, environment=settings, ports=ports[number])
                running[number] = stack.enter_context(new)
            load.more(400)
            time.sleep(1.5)  # the proxy has noticed the last one by now
            load.more(200)
        for container in running:
            assert container.stop() == 0
        folder = Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", volume, what="Finding the volume"))
        lines = {line["prediction_id"] for line in logged(folder)}
        log_files = len(list((folder / "predictions").glob("*.jsonl")))

    assert not load.faults
    assert len(set(load.ids)) == len(load.ids)
    assert set(load.ids) <= lines
    assert log_files >= 4, "each of the four has served"
    assert subprocess.run(["podman", "container", "exists", running[0].name], check=False).returncode == 1
