"""A real Prometheus with the project's rules, whose minutes are seconds."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabular_bento.serving.ports import free_port
from tests.integration.deploy.tools import OBSERVABILITY, tool

WINDOW = "6s"
PATIENCE = 60.0

_CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: tabular-bento
    file_sd_configs: [{{files: [{serving}], refresh_interval: 1s}}]
  - job_name: tabular-bento-drift
    file_sd_configs: [{{files: [{drift}], refresh_interval: 1s}}]
"""


SERVICE = {"namespace": "air", "service": "flights"}
"""The labels of the service that a test watches."""

NEIGHBOUR = {"namespace": "staging", "service": "flights"}
"""Those of another one, in whose place in the same Prometheus nothing happens."""


def in_seconds(rules: str) -> str:
    """The rules with a short window for each rate, and no waiting before an alert fires."""
    rules = re.sub(r"\[\d+[smh]\]", f"[{WINDOW}]", rules)
    rules = re.sub(r"offset \d+[smh]", f"offset {WINDOW}", rules)
    return re.sub(r"^( +for:) .*$", r"\1 0s", rules, flags=re.MULTILINE)


@dataclass
class Prometheus:
    """A running Prometheus, and the address of a neighbour's target by job, where there is one."""

    url: str
    folder: Path
    neighbour: Mapping[str, str] = field(default_factory=dict)

    def scrape(self, job: str, *addresses: str) -> None:
        """Scrape these addresses as `job`, the neighbour's, and no others."""
        groups = [{"targets": list(addresses), "labels": SERVICE}]
        if job in self.neighbour:
            groups.append({"targets": [self.neighbour[job]], "labels": NEIGHBOUR})
        path = self.folder / f"{job}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(groups))
        temporary.replace(path)

    def ask(self, path: str, **arguments: str) -> Any:
        """The data of a response of Prometheus' API."""
        query = f"?{urllib.parse.urlencode(arguments)}" if arguments else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=10) as response:
            return json.loads(response.read())["data"]

    def firing(self, alert: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The alerts of that name that fire with these labels among theirs."""
        return [
            one
            for one in self.ask("alerts")["alerts"]
            if one["labels"]["alertname"] == alert
            and one["state"] == "firing"
            and labels.items() <= one["labels"].items()
        ]

    def wait(self, alert: str, labels: Mapping[str, str], fires: bool = True) -> dict[str, Any]:
        """Wait until an alert fires, which is given, or no longer does."""
        deadline = time.monotonic() + PATIENCE
        while bool(found := self.firing(alert, labels)) is not fires:
            assert time.monotonic() < deadline, (alert, fires, self.ask("alerts"), self.ask("query", query="up"))
            time.sleep(0.25)
        return found[0] if found else {}


@contextmanager
def prometheus(
    folder: Path, rules: str | None = None, neighbour: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """A Prometheus of its own with the project's rules in seconds, scraping nothing yet but a neighbour."""
    binary, port = tool("prometheus"), free_port()
    running = Prometheus(f"http://127.0.0.1:{port}", folder, neighbour or {})
    (folder / "rules.yaml").write_text(rules or in_seconds((OBSERVABILITY / "rules.yaml").read_text()))
    files = {name: str(folder / f"{name}.json") for name in ("serving", "drift")}
    (folder / "prometheus.yml").write_text(_CONFIGURATION.format(rules=folder / "rules.yaml", **files))
    for job in files:
        running.scrape(job)
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(running, process)
        yield running
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _wait_until_ready(running: Prometheus, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, (running.folder / "prometheus.log").read_text()
        with suppress(OSError):
            urllib.request.urlopen(f"{running.url}/-/ready", timeout=2).close()
            return
        assert time.monotonic() < deadline, (running.folder / "prometheus.log").read_text()
        time.sleep(0.1)
