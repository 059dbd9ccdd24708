"""What brings each alert about: done to a real server, its disk, or the drift job's file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tabular_bento.scoring.manifest import write_manifest
from tests.conftest import ROOT, copy_of_store
from tests.integration.deploy.exporter import node_exporter
from tests.integration.deploy.prometheus import SERVICE, Prometheus
from tests.integration.deploy.tools import DEPLOY, EXAMPLE, body_of, predict, tool
from tests.serving import ServedPort, serve

MANY = 10_000

Trigger = Callable[["Scene"], dict[str, str]]
"""Brings about what an alert watches, until the scene's stack is closed, and gives labels that the alert must have."""

TRIGGERS: dict[str, Trigger] = {}


def triggers(trigger: Trigger) -> Trigger:
    """Register what is named for its alert: `log_losses` for LogLosses."""
    TRIGGERS["".join(word if word == "GRPC" else word.capitalize() for word in trigger.__name__.split("_"))] = trigger
    return trigger


class Scene:
    """A server with its log on a small file system, and the Prometheus that watches it."""

    def __init__(self, watching: Prometheus, server: ServedPort, trained: dict[str, Any], folder: Path) -> None:
        self.watching = watching
        self.server = server
        self.trained = trained
        self.folder = folder
        self.instance = address(server)
        self.stack = ExitStack()

    def __enter__(self) -> Scene:
        self.stack.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.stack.__exit__(*raised)

    @property
    def log(self) -> Path:
        """The folder of the traffic log."""
        return Path(self.server.process._environment["TABULAR_BENTO_TRAFFIC_DIR"])

    def keep_asking(self, callers: int, ask: Callable[[], object]) -> None:
        """Ask again and again from `callers` threads, until its stack is closed."""
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                try:
                    ask()
                except Exception:
                    time.sleep(0.05)  # refused, which is what some of these are about

        threads = [threading.Thread(target=run) for _ in range(callers)]
        for thread in threads:
            thread.start()
        self.stack.callback(lambda: [thread.join() for thread in threads])
        self.stack.callback(ended.set)


@triggers
def service_down(scene: Scene) -> dict[str, str]:
    scene.watching.scrape("serving")
    return {}


@triggers
def error_rate(scene: Scene) -> dict[str, str]:
    log_losses(scene)
    return {"protocol": "http"}


@triggers
def overload(scene: Scene) -> dict[str, str]:
    scene.keep_asking(12, heavy(scene))
    return {"protocol": "http"}


@triggers
def queue_filling(scene: Scene) -> dict[str, str]:
    scene.keep_asking(12, heavy(scene))
    return {"instance": scene.instance}


@triggers
def latency_high(scene: Scene) -> dict[str, str]:
    slow_disk(scene, 600_000)
    return {"protocol": "http"}


@triggers
def GRPC_calls_near_limit(scene: Scene) -> dict[str, str]:  # noqa: N802
    rows = [EXAMPLE] * 2_000
    scene.keep_asking(8, lambda: predict(scene.server, rows, "grpc"))
    return {"instance": scene.instance}


@triggers
def log_losses(scene: Scene) -> dict[str, str]:
    """The disk is full."""
    fill(scene, leave=0)
    scene.keep_asking(1, lambda: (ask(scene), time.sleep(0.1)))
    return {"instance": scene.instance, "stream": "predictions"}


@triggers
def log_slow(scene: Scene) -> dict[str, str]:
    slow_disk(scene, 200_000)
    return {"instance": scene.instance, "stream": "predictions"}


@triggers
def log_disk_filling(scene: Scene) -> dict[str, str]:
    fill(scene, leave=24 << 20)
    return {"instance": scene.instance}


@triggers
def model_mismatch(scene: Scene) -> dict[str, str]:
    """A second server has another model."""
    name, version = scene.trained["tag"].split(":")
    store = copy_of_store(scene.trained["tag"], scene.folder / "store")
    entry = store / "models" / name / version
    entry = entry.rename(entry.with_name("newer"))
    (entry / "model.yaml").write_text((entry / "model.yaml").read_text().replace(version, "newer"))
    write_manifest(entry)
    beside(scene, "second", BENTOML_HOME=str(store), TABULAR_BENTO_MODEL=f"{name}:newer")
    return {}


@triggers
def reload_refused(scene: Scene) -> dict[str, str]:
    """The released package is damaged."""
    name, version = scene.trained["tag"].split(":")
    store = copy_of_store(scene.trained["tag"], scene.folder / "damaged")
    second = beside(scene, "reloading", BENTOML_HOME=str(store), TABULAR_BENTO_MODEL=scene.trained["tag"])
    query = f'tabular_bento_model_reloads_total{{status="refused",instance="{address(second)}"}}'
    wait_until(lambda: scene.watching.ask("query", query=query)["result"])
    profile = store / "models" / name / version / "profile.json"
    profile.write_text(profile.read_text() + " ")
    os.kill(second.process.process.pid, signal.SIGHUP)
    return {}


@triggers
def shadow_down(scene: Scene) -> dict[str, str]:
    """The candidate is in no store."""
    candidate = f"{scene.trained['tag'].split(':')[0]}:nowhere"
    beside(scene, "shadowed", TABULAR_BENTO_MODEL=scene.trained["tag"], TABULAR_BENTO_SHADOW_MODEL=candidate)
    return {}


@triggers
def feature_missing(scene: Scene) -> dict[str, str]:
    scene.keep_asking(1, lambda: (ask(scene, temp=None), time.sleep(0.05)))
    return {"feature": "temp"}


@triggers
def drift_detected(scene: Scene) -> dict[str, str]:
    """The same flight at every hour of ten days is no traffic that the model has seen."""
    times = [f"2013-09-{day:02}T{hour:02}" for day in range(1, 11) for hour in range(5, 22)] * 6
    rows = [{**EXAMPLE, "sched_dep": f"{time}:15:00", "sched_arr": f"{time}:55:00"} for time in times]
    log_rows(scene, rows)
    assert run_drift_job(scene) == 0
    model, version = scene.trained["tag"].split(":")
    return {"model": model, "version": version}


@triggers
def drift_job_failed(scene: Scene) -> dict[str, str]:
    """The model of the log is in no store."""
    log_rows(scene, [EXAMPLE])
    assert run_drift_job(scene, BENTOML_HOME=str(scene.folder / "empty")) == 3
    return {}


@triggers
def drift_job_stale(scene: Scene) -> dict[str, str]:
    export(
        scene,
        "tabular_bento_drift_exit_code 0",
        f"tabular_bento_drift_last_run_timestamp_seconds {time.time() - 40 * 3600}",
    )
    return {}


@triggers
def server_not_ready(scene: Scene) -> dict[str, str]:
    """It received SIGTERM, and is still draining."""
    scene.server.process.process.terminate()
    return {"instance": scene.instance}


@triggers
def server_down(scene: Scene) -> dict[str, str]:
    scene.server.process.kill()
    return {"instance": scene.instance}


def beside(scene: Scene, name: str, **settings: str) -> ServedPort:
    """A second server of the service, until the scene's stack is closed."""
    (scene.folder / name).mkdir()
    second = scene.stack.enter_context(serve(scene.folder / name, TABULAR_BENTO_DRAIN_SECONDS="0", **settings))
    scene.watching.scrape("serving", scene.instance, address(second))
    return second


def address(server: ServedPort) -> str:
    return f"127.0.0.1:{server.process.port}"


def ask(scene: Scene, **fields: Any) -> None:
    scene.server.post("/predict", body_of([{**EXAMPLE, **fields}]))


def heavy(scene: Scene) -> Callable[[], object]:
    body = body_of([EXAMPLE] * MANY)
    return lambda: scene.server.post("/predict", body)


def worker(scene: Scene) -> psutil.Process:
    """The process that predicts."""
    return psutil.Process(scene.server.process.process.pid).children(recursive=True)[-1]


def slow_disk(scene: Scene, microseconds: int) -> None:
    """Make each write to the log take so long, until the scene's stack is closed, and ask for predictions."""
    ask(scene)
    tracer = tool("strace")
    log_files = {file.path for file in worker(scene).open_files() if file.path.endswith(".jsonl")}
    paths = [word for path in log_files for word in ("-P", path)]
    slow = ["-e", "trace=write", "-e", f"inject=write:delay_enter={microseconds}", "-o", str(scene.folder / "strace")]
    tracing = subprocess.Popen([tracer, "-f", "-p", str(worker(scene).pid), *paths, *slow], stderr=subprocess.DEVNULL)
    scene.stack.callback(tracing.wait)
    scene.stack.callback(tracing.terminate)
    scene.keep_asking(1, lambda: ask(scene))


def fill(scene: Scene, leave: int) -> None:
    """Fill the log's disk, but for `leave` bytes, until the scene's stack is closed."""
    path = scene.log / "filler"
    scene.stack.callback(path.unlink)
    disk = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - leave)


def export(scene: Scene, *lines: str) -> None:
    """Have a node exporter read `lines` as what the drift job has written."""
    scene.stack.enter_context(exported(scene.watching, scene.folder, lines))


def log_rows(scene: Scene, rows: list[dict[str, Any]]) -> None:
    """Have rows predicted, and wait: the job's window ends with the last whole second."""
    assert scene.server.post("/predict", body_of(rows))[0] == 200
    time.sleep(1)


def run_drift_job(scene: Scene, **settings: str) -> int:
    """Run the job as the CronJob does, of the last hour, with its metrics where the node exporter reads them."""
    environment = {
        **os.environ,
        "PATH": f"{DEPLOY / 'jobs'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TABULAR_BENTO_TRAFFIC_DIR": str(scene.log),
        "TABULAR_BENTO_DRIFT_TEXTFILE": str(scene.folder / "textfiles" / "drift.prom"),
        **settings,
    }
    command = [DEPLOY / "jobs" / "drift.sh", "1 hour ago", scene.folder / "drift"]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


@contextmanager
def exported(watching: Prometheus, folder: Path, lines: Sequence[str]) -> Iterator[None]:
    textfiles = folder / "textfiles"
    textfiles.mkdir(exist_ok=True)
    (textfiles / "drift.prom").write_text("".join(f"{line}\n" for line in lines))
    with node_exporter(textfiles) as port:
        watching.scrape("drift", f"127.0.0.1:{port}")
        yield


def settle(scene: Scene) -> None:
    """Wait until what happened before is out of every window, and both jobs are scraped."""
    query = f'up{{namespace="{SERVICE["namespace"]}"}} == 1'
    wait_until(lambda: len(scene.watching.ask("query", query=query)["result"]) >= 2)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until it holds, for half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.25)
