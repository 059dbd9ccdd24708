"""The compose file, its Prometheus and its Grafana, by their own tools; and the scripts of the jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tabular_bento.monitoring.drift.settings import OutputSettings
from tabular_bento.serving.settings import ServingSettings
from tests.conftest import ROOT
from tests.integration.deploy.tools import DEPLOY, OBSERVABILITY, tool

COMPOSE = DEPLOY / "compose"
JOBS = DEPLOY / "jobs"
PREFIX = "TABULAR_BENTO_"


@pytest.fixture(scope="module")
def services(tools: Path) -> dict[str, Any]:
    """The services, as podman-compose reads them."""
    command = [tools / "podman-compose", "-f", COMPOSE / "compose.yaml", "config"]
    environment = {**os.environ, "GRAFANA_PASSWORD": "secret", "FLIGHTS_IMAGE": "flights:1", "JOBS_IMAGE": "jobs:1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = yaml.safe_load(result.stdout)["services"]
    return found


def test_every_service_is_confined_and_pinned(services: dict[str, Any]) -> None:
    assert set(services) == {"flights", "seal", "drift", "drift-exporter", "prometheus", "grafana"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]


def test_the_service_has_both_ports_limits_and_settings_that_exist(services: dict[str, Any]) -> None:
    flights = services["flights"]
    assert flights["ports"] == ["127.0.0.1:3000:3000", "127.0.0.1:3001:3001"]
    assert flights["deploy"]["resources"]["limits"] == {"cpus": "1", "memory": "1G"}
    assert settings_of(flights) <= set(ServingSettings.model_fields)
    drift = {name.removeprefix("drift_") for name in settings_of(services["drift"])} - {"traffic_dir"}
    assert drift <= set(OutputSettings.model_fields)


def settings_of(service: dict[str, Any]) -> set[str]:
    """The settings that a service is given, by name; all have the prefix of the library."""
    names = set(service["environment"])
    assert all(name.startswith(PREFIX) for name in names)
    return {name.removeprefix(PREFIX).lower() for name in names}


def test_files_that_are_mounted_are_there() -> None:
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    volumes = [volume for service in document["services"].values() for volume in service.get("volumes", [])]
    mounted = [volume.split(":")[0] for volume in volumes if volume.startswith(".")]
    assert len(mounted) == 4
    for path in mounted:
        assert (COMPOSE / path).exists(), path
    assert {volume.split(":")[0] for volume in volumes} - set(mounted) == set(document["volumes"])


def test_prometheus_takes_its_configuration_and_calls_the_servers_what_the_alerts_do(tmp_path: Path) -> None:
    configuration = (COMPOSE / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(configuration)
    (tmp_path / "rules.yaml").write_text((OBSERVABILITY / "rules.yaml").read_text())
    subprocess.run([tool("promtool"), "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)
    jobs = {job["job_name"]: job["static_configs"] for job in yaml.safe_load(configuration)["scrape_configs"]}
    assert set(jobs) == {"tabular-bento", "tabular-bento-drift"}
    assert {tuple(one["labels"].items()) for groups in jobs.values() for one in groups} == {
        (("namespace", "compose"), ("service", "flights"))
    }


def test_grafana_finds_its_data_source_and_its_board() -> None:
    provisioning = COMPOSE / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "dashboards.yaml").read_text())["providers"]
    assert f"dashboard.json:{provider['options']['path']}/" in (COMPOSE / "compose.yaml").read_text()


def run_drift(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{JOBS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TABULAR_BENTO_TRAFFIC_DIR": str(folder / "traffic"),
        **settings,
    }
    command = [JOBS / "drift.sh", "7 days ago", folder / "drift"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_drift_script_says_well_done_for_any_verdict_and_removes_what_is_old(tmp_path: Path) -> None:
    textfile, old = tmp_path / "drift" / "metrics" / "drift.prom", tmp_path / "drift" / "2013-01-01"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    result = run_drift(tmp_path, TABULAR_BENTO_DRIFT_TEXTFILE=str(textfile))

    assert result.returncode == 0, result.stderr
    assert not old.exists()
    assert 'verdict="not_enough_data",version=""} 1.0' in textfile.read_text()
    assert list((tmp_path / "drift").glob("20*/result.json"))


def test_the_drift_script_fails_where_there_is_no_verdict(tmp_path: Path) -> None:
    result = run_drift(tmp_path, TABULAR_BENTO_DRIFT_SAMPLE="many")
    assert result.returncode == 3
    assert "TABULAR_BENTO_DRIFT_SAMPLE: Input should be a valid integer" in result.stderr

    assert run_drift(tmp_path).returncode == 0
    assert run_drift(tmp_path, TABULAR_BENTO_DRIFT_SAMPLE="many").returncode == 3, (
        "yesterday's verdict is none of today's"
    )


def test_the_image_of_the_jobs_has_what_they_need() -> None:
    text = (JOBS / "Containerfile").read_text()
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    for path in copied:
        assert (ROOT / path).exists(), path
    assert {"tabular_bento", "features", "monitoring", "pyproject.toml"} <= set(copied)
    made = text.index("install -d -o 1034 -g 1034 /drift /traffic")
    assert made < text.index("USER 1034:1034"), "a new volume takes its owner from the folder that it is mounted on"
    for script in (*JOBS.glob("*.sh"), JOBS / "tabular-bento"):
        assert os.access(script, os.X_OK), script
