from __future__ import annotations

import asyncio
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from deploy.commands import podman
from deploy.container import Container
from deploy.errors import DeployError
from deploy.smoke import check_doors
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import ROWS_FILE, VECTORS_FILE
from tests.container.conftest import Shipped
from tests.doors.test_drain import over_grpc, over_http, over_rest, rows_of_call
from tests.rows import from_json
from tests.serving import ServedPort, logged

pytestmark = pytest.mark.container

CALLS = 200


def test_every_parity_vector_comes_out_to_the_bit_through_the_three_doors(shipped: Shipped, running: Container) -> None:
    counts = asyncio.run(check_doors(shipped.package, running.url, running.address))
    assert counts == {"http": 120, "rest": 120, "grpc": 120}


def test_behind_a_bridge_it_answers_at_its_published_ports(shipped: Shipped, volume: str) -> None:
    with Container(shipped.record.image_id, volume, network="bridge") as container:
        counts = asyncio.run(check_doors(shipped.package, container.url, container.address))
    assert counts == {"http": 120, "rest": 120, "grpc": 120}


def test_the_smoke_test_notices_a_vector_that_differs_by_the_least(
    shipped: Shipped, running: Container, tmp_path: Path
) -> None:
    (tmp_path / ROWS_FILE).write_bytes((shipped.package / ROWS_FILE).read_bytes())
    with np.load(shipped.package / VECTORS_FILE) as arrays:
        features, target = arrays["features"], arrays["target"].copy()
    target[7] = np.nextafter(target[7], np.inf)
    np.savez(tmp_path / VECTORS_FILE, features=features, target=target)
    with pytest.raises(DeployError, match="http door: vector 7 is predicted"):
        asyncio.run(check_doors(tmp_path, running.url, running.address))


def test_it_has_no_capability_and_can_get_none(running: Container) -> None:
    status = dict(line.split(":", 1) for line in running.run("cat", "/proc/1/status").splitlines())
    capabilities = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(capabilities.values()) == {0}
    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("folder", ["/", "/app/.venv", "/home/bentoml", "/home/bentoml/bento/src", "/var/tmp", "/run"])
def test_its_files_cannot_be_written(running: Container, folder: str) -> None:
    with pytest.raises(DeployError, match=r"Read-only file system|Permission denied"):
        running.run("touch", f"{folder}/written")


def test_what_is_written_to_tmp_cannot_be_run(running: Container) -> None:
    running.run("cp", "/bin/true", "/tmp/program")
    with pytest.raises(DeployError, match="ermission denied"):
        running.run("/tmp/program")


def test_the_health_check_passes_while_it_is_ready(running: Container) -> None:
    podman("healthcheck", "run", running.name, what="The health check")


def test_one_processor_has_one_worker_and_one_thread_to_compute_on(running: Container) -> None:
    assert workers(running) == 1
    assert running.run("printenv", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS").split() == ["1", "1"]
    limits = json.loads(podman("inspect", "--format", "{{json .HostConfig}}", running.name, what="Limits"))
    assert (limits["NanoCpus"], limits["Memory"]) == (1_000_000_000, 512 << 20)


def test_stopped_with_requests_in_flight_it_answers_them_all_and_the_log_outlives_it(
    shipped: Shipped, volume: str
) -> None:
    package = ModelPackage.load(shipped.package, shipped.record.model)
    requests = [rows_of_call(number) for number in range(CALLS)]
    expected = [package.predictor.predict(from_json(*rows)).target.tolist() for rows in requests]
    doors = (over_http, over_rest, over_grpc)
    ready_to_send = [doors[number % len(doors)](rows) for number, rows in enumerate(requests)]
    podman("volume", "create", volume, what="The volume")
    mounted = Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", volume, what="The volume"))
    settings = {"MAX_QUEUE_ROWS": "1000000", "DRAIN_SECONDS": "2"}
    with (
        Container(shipped.record.image_id, volume, cpus=2, memory_mib=1024, environment=settings) as container,
        ThreadPoolExecutor(CALLS + 1) as threads,
    ):
        assert workers(container) == 2
        while container.logs().count("Service flights initialized") < 2:
            time.sleep(0.05)
        served = ServedPort(container, mounted, container.grpc_port)
        in_flight = [threads.submit(send, served) for send in ready_to_send]
        while not any(one.done() for one in in_flight):
            time.sleep(0.005)
        stopping = threads.submit(container.stop)
        while "draining" not in container.logs():
            time.sleep(0.02)
        waiting = sum(not one.done() for one in in_flight)
        answers = [one.result()() for one in in_flight]
        exit_code = stopping.result()
        oom_killed = container.state()["OOMKilled"]

    assert waiting, "every request was answered before the container was told to stop"
    assert answers == expected
    assert (exit_code, oom_killed) == (0, False)
    predictions = logged(mounted)
    assert len(predictions) == CALLS * len(requests[0])
    assert {line["model"] for line in predictions} == {shipped.record.model}


def test_a_container_that_cannot_serve_says_why_in_one_sentence(shipped: Shipped, volume: str) -> None:
    settings = {"GRPC_TLS_CERT": "/nowhere.pem"}
    with (
        pytest.raises(DeployError, match=r"ended with 1: .*GRPC_TLS_CERT and GRPC_TLS_KEY go together"),
        Container(shipped.record.image_id, volume, environment=settings),
    ):
        raise AssertionError("it served")


def test_no_container_is_left_behind(engine: None) -> None:  # noqa: ARG001
    names = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    assert len([name for name in names.stdout.split() if name.startswith("smoke-")]) <= 1, "the one that tests share"


def workers(container: Container) -> int:
    commands = podman("top", container.name, "args", what="Its processes").splitlines()
    return sum("_bentoml_impl.worker.service" in command for command in commands)
