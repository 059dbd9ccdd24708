from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.commands import podman
from features.problem import PROBLEM
from tabular_bento.client import Client
from tabular_bento.errors import ServerError
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.scoring.package import PACKAGE_FILE, ModelPackage
from tabular_bento.scoring.parity import ROWS_FILE, VECTORS_FILE
from tabular_bento.testing.container import RunningImage
from tabular_bento.testing.served import PROTOCOLS, check_served
from tests.integration.container.conftest import Shipped
from tests.serving import logged

pytestmark = [pytest.mark.container, pytest.mark.slow]

CALLS, ROWS_PER_CALL = 120, 500


def test_every_parity_vector_comes_out_to_the_bit_over_each_protocol(shipped: Shipped, running: RunningImage) -> None:
    counts = check_served(shipped.package, running.url, running.address)
    assert counts == dict.fromkeys(PROTOCOLS, 120)


def test_behind_a_bridge_it_responds_at_its_published_ports(shipped: Shipped, volume: str) -> None:
    with RunningImage(shipped.record.image_id, volume=volume, network="bridge") as container:
        counts = check_served(shipped.package, container.url, container.address)
    assert counts == dict.fromkeys(PROTOCOLS, 120)


def test_the_smoke_test_notices_a_vector_that_differs_by_the_least(
    shipped: Shipped, running: RunningImage, tmp_path: Path
) -> None:
    for name in (ROWS_FILE, PACKAGE_FILE):
        (tmp_path / name).write_bytes((shipped.package / name).read_bytes())
    with np.load(shipped.package / VECTORS_FILE) as arrays:
        vectors = {name: arrays[name].copy() for name in arrays.files}
    output = vectors[f"output.{PROBLEM.target.name}"]
    output[7] = np.nextafter(output[7], np.inf)
    np.savez(tmp_path / VECTORS_FILE, **vectors)
    with pytest.raises(AssertionError, match="over json: vector 7 has arrival_delay"):
        check_served(tmp_path, running.url, running.address)


def test_it_has_no_capability_and_can_get_none(running: RunningImage) -> None:
    status = dict(line.split(":", 1) for line in running.run("cat", "/proc/1/status").splitlines())
    capabilities = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(capabilities.values()) == {0}
    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("folder", ["/", "/app/.venv", "/home/bentoml", "/home/bentoml/bento/src", "/var/tmp", "/run"])
def test_its_files_cannot_be_written(running: RunningImage, folder: str) -> None:
    with pytest.raises(ServerError, match=r"Read-only file system|Permission denied"):
        running.run("touch", f"{folder}/written")


def test_what_is_written_to_tmp_cannot_be_run(running: RunningImage) -> None:
    running.run("cp", "/bin/true", "/tmp/program")
    with pytest.raises(ServerError, match="ermission denied"):
        running.run("/tmp/program")


def test_the_health_check_passes_while_it_is_ready(running: RunningImage) -> None:
    podman("healthcheck", "run", running.name, what="The health check")


def test_one_processor_has_one_worker_and_one_thread_to_compute_on(running: RunningImage) -> None:
    assert workers(running) == 1
    assert running.run("printenv", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS").split() == ["1", "1"]
    limits = json.loads(podman("inspect", "--format", "{{json .HostConfig}}", running.name, what="Limits"))
    assert (limits["NanoCpus"], limits["Memory"]) == (1_000_000_000, 512 << 20)


def test_stopped_with_requests_in_progress_it_finishes_them_all_and_the_log_outlives_it(
    shipped: Shipped, volume: str
) -> None:
    package = ModelPackage.load(shipped.package, shipped.record.model, PROBLEM)
    schema = RequestSchema(PROBLEM.declaration)
    requests = [rows_of_call(number) for number in range(CALLS)]
    expected = [package.predict([schema.row_of(row) for row in rows]).value.tolist() for rows in requests]
    podman("volume", "create", volume, what="The volume")
    mounted = Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", volume, what="The volume"))
    settings = {"TABULAR_BENTO_MAX_QUEUE_ROWS": "1000000", "TABULAR_BENTO_DRAIN_SECONDS": "2"}
    with (
        RunningImage(
            shipped.record.image_id, volume=volume, cpus=2, memory_mib=1024, environment=settings
        ) as container,
        ThreadPoolExecutor(CALLS + 1) as threads,
        ExitStack() as clients,
    ):
        assert workers(container) == 2
        while container.logs().count("Service flights initialized") < 2:
            time.sleep(0.05)
        client = clients.enter_context(
            Client(container.url, grpc=container.address, timeout=60, retries=0, connections=CALLS)
        )
        client.model()  # the fields are read before the container is asked to stop
        in_progress = [
            threads.submit(client.predict, rows, protocol=PROTOCOLS[number % len(PROTOCOLS)])
            for number, rows in enumerate(requests)
        ]
        while not any(one.done() for one in in_progress):
            time.sleep(0.005)
        stopping = threads.submit(container.stop)
        while "draining" not in container.logs():
            time.sleep(0.02)
        waiting = sum(not one.done() for one in in_progress)
        predictions = [list(one.result().column(PROBLEM.target.name)) for one in in_progress]
        exit_code = stopping.result()
        oom_killed = container.state()["OOMKilled"]

    assert waiting, "every request was finished before the container was asked to stop"
    assert predictions == expected
    assert (exit_code, oom_killed) == (0, False)
    lines = logged(mounted)
    assert len(lines) == CALLS * len(requests[0])
    assert {line["model"] for line in lines} == {shipped.record.model}


def test_a_container_that_cannot_serve_says_why_in_one_line(shipped: Shipped, volume: str) -> None:
    settings = {"TABULAR_BENTO_GRPC_TLS_CERT": "/nowhere.pem"}
    with (
        pytest.raises(ServerError, match=r"ended with 1: .*GRPC_TLS_CERT and .*GRPC_TLS_KEY go together"),
        RunningImage(shipped.record.image_id, volume=volume, environment=settings),
    ):
        raise AssertionError("it served")


def test_no_container_is_left_behind(engine: None) -> None:  # noqa: ARG001
    names = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    assert len([name for name in names.stdout.split() if name.startswith("smoke-")]) <= 1, "the one that tests share"


def rows_of_call(number: int) -> list[dict[str, Any]]:
    """Rows that differ from those of every other call."""
    return [{**PROBLEM.example, "dep_delay": number + part / ROWS_PER_CALL} for part in range(ROWS_PER_CALL)]


def workers(container: RunningImage) -> int:
    commands = podman("top", container.name, "args", what="Its processes").splitlines()
    return sum("_bentoml_impl.worker.service" in command for command in commands)
