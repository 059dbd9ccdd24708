"""Each alert is fired in a real Prometheus by causing what it watches, and is quiet before."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tabular_bento.monitoring.drift.textfile import PREFIX as DRIFT_PREFIX
from tabular_bento.serving.status import FAULTS
from tests.conftest import ROOT
from tests.integration.deploy.exporter import node_exporter
from tests.integration.deploy.prometheus import NEIGHBOUR, SERVICE, in_seconds, prometheus
from tests.integration.deploy.tools import EXAMPLE, OBSERVABILITY, needs_root, predict, tool
from tests.integration.deploy.triggers import TRIGGERS, Scene, address, ask, export, settle
from tests.serving import ServedPort, serve

RULES = yaml.safe_load((OBSERVABILITY / "rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
RUNBOOK = (ROOT / "docs" / "operate.md").read_text()


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on a file system of 512 MiB of its own."""
    needs_root("mount the small file system of these tests")
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a neighbour's exporter, whose job has just ended without drift."""
    folder = tmp_path_factory.mktemp("healthy")
    lines = (
        f'{DRIFT_PREFIX}exit_code{{model="m",version="1"}} 0',
        f"{DRIFT_PREFIX}last_run_timestamp_seconds {time.time()}",
    )
    (folder / "drift.prom").write_text("".join(f"{line}\n" for line in lines))
    with node_exporter(folder) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def scene(
    trained: dict[str, Any],
    small_disk: Path,
    server: ServedPort,
    healthy: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """The server of a service that is not well, and a neighbour that is."""
    folder = tmp_path_factory.mktemp("alerts")
    limits = {
        "TABULAR_BENTO_MAX_QUEUE_ROWS": "20000",
        "TABULAR_BENTO_GRPC_MAX_CONCURRENT": "4",
        "TABULAR_BENTO_TRAFFIC_DIR": str(small_disk),
        "TABULAR_BENTO_DRAIN_SECONDS": "3600",
        "TABULAR_BENTO_MODEL": trained["tag"],
    }
    neighbour = {"serving": address(server), "drift": healthy}
    with (
        prometheus(folder, neighbour=neighbour) as watching,
        serve(folder, **limits) as own,
    ):
        try:
            yield Scene(watching, own, trained, folder)
        finally:
            own.process.kill()


def test_there_is_a_trigger_for_each_alert() -> None:
    assert set(TRIGGERS) == set(ALERTS)


def test_errors_are_what_is_the_fault_of_the_server_in_traces_and_logs_too() -> None:
    (counted,) = re.findall(r'status=~"([a-z|]+)"', ALERTS["ErrorRate"]["expr"])
    assert tuple(counted.split("|")) == FAULTS


@pytest.mark.slow
@pytest.mark.parametrize("alert", TRIGGERS)
def test_an_alert_fires_when_what_it_watches_happens_and_not_before(alert: str, scene: Scene) -> None:
    for log_file in scene.log.glob("*/*.jsonl"):
        log_file.unlink()  # the heavier loads before would else have filled the disk
    ask(scene)  # the server lets go of what was removed
    with scene:
        scene.stack.callback(scene.watching.scrape, "serving", scene.instance)
        scene.watching.scrape("serving", scene.instance)
        if alert != "DriftJobStale":  # whose other trigger is that no job has run
            export(
                scene,
                "tabular_bento_drift_exit_code 0",
                f"tabular_bento_drift_last_run_timestamp_seconds {time.time()}",
            )
            settle(scene)
            scene.watching.wait(alert, {}, fires=False)
        labels = TRIGGERS[alert](scene)
        fired = scene.watching.wait(alert, labels)
    assert fired["labels"]["severity"] in ("page", "ticket")
    assert fired["labels"].items() >= SERVICE.items()
    assert "{{" not in fired["annotations"]["summary"]
    assert "air/flights" in fired["annotations"]["summary"]
    if alert != "LogDiskFilling":  # which may be true of the disk of the tests
        assert not scene.watching.firing(alert, NEIGHBOUR)


@pytest.mark.slow
def test_a_fresh_install_brings_no_alert_near(server: ServedPort, tmp_path: Path) -> None:
    rules = (OBSERVABILITY / "rules.yaml").read_text()
    with prometheus(tmp_path, rules) as watching, Scene(watching, server, {}, tmp_path) as scene:
        watching.scrape("serving", scene.instance)
        export(scene)
        settle(scene)
        time.sleep(4)
        near = {one["labels"]["alertname"] for one in watching.ask("alerts")["alerts"]}
    assert near <= {"LogDiskFilling"}, "which may be true of the disk of the tests"


@pytest.mark.slow
def test_no_alert_is_on_where_servers_are_well(server: ServedPort, tmp_path: Path) -> None:
    with prometheus(tmp_path) as watching, Scene(watching, server, {}, tmp_path) as scene:
        watching.scrape("serving", scene.instance)
        export(
            scene, "tabular_bento_drift_exit_code 0", f"tabular_bento_drift_last_run_timestamp_seconds {time.time()}"
        )
        scene.keep_asking(1, lambda: (ask(scene), predict(server, [EXAMPLE], "grpc"), time.sleep(0.2)))
        settle(scene)
        time.sleep(8)
        firing = {one["labels"]["alertname"] for one in watching.ask("alerts")["alerts"]}
        assert all(rule["health"] == "ok" for group in watching.ask("rules")["groups"] for rule in group["rules"])
    assert firing <= {"LogDiskFilling"}, "which may be true of the disk of the tests"


def test_every_alert_has_a_section_of_the_run_book() -> None:
    headings = set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE))
    assert headings == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/operate.md#{name.lower()}"


def test_the_rules_pass_promtool_as_they_are_and_in_seconds(tmp_path: Path) -> None:
    promtool, short = tool("promtool"), tmp_path / "rules.yaml"
    short.write_text(in_seconds((OBSERVABILITY / "rules.yaml").read_text()))
    for rules in (OBSERVABILITY / "rules.yaml", short):
        subprocess.run([promtool, "check", "rules", rules], check=True, capture_output=True)


def test_the_rules_fire_after_the_time_that_they_name() -> None:
    command = [tool("promtool"), "test", "rules", "rules.test.yaml"]
    result = subprocess.run(command, cwd=OBSERVABILITY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    tested = yaml.safe_load((OBSERVABILITY / "rules.test.yaml").read_text())
    named = {check["alertname"] for test in tested["tests"] for check in test["alert_rule_test"]}
    assert named == set(ALERTS)


def test_kubernetes_gets_the_same_rules() -> None:
    wrapped = yaml.safe_load((OBSERVABILITY / "prometheus-rule.yaml").read_text())
    assert wrapped["spec"] == RULES, "run `make rules`"
