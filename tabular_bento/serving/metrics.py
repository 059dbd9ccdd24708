"""Every metric on /metrics, declared once, and what is counted of each request."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tabular_bento.serving.status import CODES

Kind = Literal["counter", "gauge", "histogram"]

PREFIX = "tabular_bento_"
"""Begins the name of every metric. Services are distinguished by `namespace` and `service`, labels of the target that
the scrape configuration sets: deploy/observability/monitors.yaml."""

ENDPOINTS = ("http", "rest", "grpc")
"""Values of the label `protocol`: JSON over HTTP, the Open Inference Protocol over REST, and over gRPC."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, named without its prefix and, a counter, without `_total`.

    `workers` says how the gauges of several workers become one; buckets that only a running server knows are given to
    `make`.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    workers: str = "livesum"
    buckets: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        """The name that Prometheus reads."""
        return f"{PREFIX}{self.name}_total" if self.kind == "counter" else f"{PREFIX}{self.name}"

    def make(self, registry: Any, buckets: Sequence[float] = ()) -> Any:
        """The metric of the Prometheus client; once a registry."""
        from prometheus_client import Counter, Gauge, Histogram

        name = self.exported
        if self.kind == "counter":
            return Counter(name, self.help, self.labels, registry=registry)
        if self.kind == "histogram":
            return Histogram(name, self.help, self.labels, buckets=buckets or self.buckets, registry=registry)
        mode: Any = self.workers
        return Gauge(name, self.help, self.labels, multiprocess_mode=mode, registry=registry)


METRICS: tuple[Metric, ...] = (
    Metric("requests", "counter", "Requests for predictions, by status", ("protocol", "status")),
    Metric("predicted_rows", "counter", "Rows predicted", ("protocol",)),
    Metric(
        "request_duration_seconds",
        "histogram",
        "From reading a request to its response",
        ("protocol",),
        buckets=SECONDS,
    ),
    Metric("requests_in_progress", "gauge", "Requests in progress", ("protocol",)),
    Metric("grpc_calls_limit", "gauge", "Calls over gRPC at once, TABULAR_BENTO_GRPC_MAX_CONCURRENT a worker"),
    Metric("batch_rows", "histogram", "Rows computed together", buckets=ROWS),
    Metric("queue_rows", "gauge", "Rows that wait for a batch"),
    Metric("queue_rows_limit", "gauge", "Rows that may wait, TABULAR_BENTO_MAX_QUEUE_ROWS a worker"),
    Metric("feedback_requests", "counter", "Requests that bring labels, by status", ("status",)),
    Metric("feedback_labels", "counter", "Labels accepted and logged"),
    Metric("log_lines", "counter", "Lines written to the traffic log", ("stream",)),
    Metric("log_bytes", "counter", "Bytes written to the traffic log", ("stream",)),
    Metric("log_writes", "counter", "Writes to the traffic log", ("stream",)),
    Metric("log_write_seconds", "counter", "Time that those writes took", ("stream",)),
    Metric("log_failed_writes", "counter", "Writes to the traffic log that failed", ("stream",)),
    Metric("log_lost_lines", "counter", "Lines of failed writes: computed, and not returned", ("stream",)),
    Metric("log_last_write_timestamp_seconds", "gauge", "When the last line was written", ("stream",), "max"),
    Metric("log_disk_free_bytes", "gauge", "Free space where the traffic log is", workers="livemax"),
    Metric("log_disk_size_bytes", "gauge", "Size of the file system that the traffic log is on", workers="livemax"),
    Metric(
        "prediction",
        "histogram",
        "Predictions, in the target's unit, in bins of the model's reference; of classes the probability of the "
        "positive or, of more than two, of the predicted one",
    ),
    Metric("predicted_class_rows", "counter", "Rows by the class that was predicted", ("class",)),
    Metric("feature_rows", "counter", "Rows whose features were checked for missing values"),
    Metric("feature_missing_rows", "counter", "Rows in which the feature was missing", ("feature",)),
    Metric(
        "feature_missing_reference_ratio",
        "gauge",
        "Share of such rows in the model's reference",
        ("feature",),
        "livemax",
    ),
    Metric(
        "model_info",
        "gauge",
        "1 for the model that is served, 0 for one that was",
        ("model", "version", "fingerprint", "declaration_fingerprint", "code_fingerprint", "runner"),
        "livemax",
    ),
    Metric("model_reloads", "counter", "Times SIGHUP had the model looked up again, by result", ("status",)),
    Metric(
        "shadow_up",
        "gauge",
        "1 when the shadow of every worker scores, or its candidate is the model in service; absent without "
        "TABULAR_BENTO_SHADOW_MODEL",
        (),
        "livemin",
    ),
    Metric("shadow_rows", "counter", "Live rows that the candidate in the shadow scored"),
    Metric("shadow_dropped_rows", "counter", "Live rows that it skipped, being too far behind"),
    Metric("shadow_failed_rows", "counter", "Live rows that it failed on, or that could not be logged"),
    Metric("build_info", "gauge", "1; what serves it", ("bento", "bentoml", "python"), "livemax"),
    Metric("ready", "gauge", "1 when every worker takes requests, 0 while one drains", workers="livemin"),
    Metric("workers", "gauge", "Server processes"),
    Metric("worker_cpu_seconds", "counter", "Processor time of the workers"),
    Metric("worker_resident_memory_bytes", "gauge", "Memory of the workers"),
)

_BY_NAME = {metric.name: metric for metric in METRICS}


class Metrics:
    """The metrics of one application, made when they are first asked for.

    Parameters
    ----------
    registry : CollectorRegistry, optional
        Where they are kept; by default that of the process, which BentoML reads for /metrics.
    """

    def __init__(self, registry: Any = None) -> None:
        if registry is None:
            from prometheus_client import REGISTRY

            registry = REGISTRY
        self.registry = registry
        self._made: dict[str, Any] = {}

    def make(self, name: str, buckets: Sequence[float] = ()) -> Any:
        """The metric that `METRICS` has under that name; KeyError where there is none."""
        if name not in self._made:
            self._made[name] = _BY_NAME[name].make(self.registry, buckets)
        return self._made[name]


@dataclass(slots=True)
class CountedRequest:
    """One request: its rows and status; its ids and span where it is logged or traced."""

    rows: int = 0
    status: str = "failed"
    start: float = 0.0
    request_id: str = ""
    first_id: str | None = None
    span: Any = None


class RequestMetrics:
    """Requests, rows and latency by endpoint, and the sizes of batches.

    Parameters
    ----------
    metrics : Metrics
        Where they are made.

    Attributes
    ----------
    in_progress : dict
        Requests by endpoint, to be sampled.
    """

    def __init__(self, metrics: Metrics) -> None:
        requests, rows, seconds = map(metrics.make, ("requests", "predicted_rows", "request_duration_seconds"))
        self._requests = {(name, status): requests.labels(name, status) for name in ENDPOINTS for status in CODES}
        self._rows = {name: rows.labels(name) for name in ENDPOINTS}
        self._seconds = {name: seconds.labels(name) for name in ENDPOINTS}
        self._feedback, self._labels = metrics.make("feedback_requests"), metrics.make("feedback_labels")
        self.batch_rows = metrics.make("batch_rows")
        self.in_progress = dict.fromkeys(ENDPOINTS, 0)

    def begin(self, endpoint: str) -> CountedRequest:
        """A request to `endpoint` that has just come."""
        self.in_progress[endpoint] += 1
        return CountedRequest(start=time.perf_counter())

    def end(self, endpoint: str, counted: CountedRequest) -> None:
        """Count a request that began so, with its status."""
        self.in_progress[endpoint] -= 1
        self._seconds[endpoint].observe(time.perf_counter() - counted.start)
        self._requests[endpoint, counted.status].inc()
        if counted.status == "ok":
            self._rows[endpoint].inc(counted.rows)

    def end_feedback(self, counted: CountedRequest) -> None:
        """Count a request that brought labels, its `rows`."""
        self._feedback.labels(counted.status).inc()
        if counted.status == "ok":
            self._labels.inc(counted.rows)


def separate_folder() -> None:
    """Keep the metrics of this server's workers in a folder of their own, before the first is made.

    BentoML has one folder for all servers of a user, and empties it at each start, even of one that then refuses to
    serve: a running server would lose its metrics. Folders of servers that have ended are removed.
    """
    if _FOLDER not in os.environ:
        return
    shared = Path(os.environ[_FOLDER])
    own = shared.with_name(f"{shared.name}_by_server") / _name(os.getppid())
    own.mkdir(parents=True, exist_ok=True)
    os.environ[_FOLDER] = str(own)
    _forget_ended_workers(own)
    for folder in own.parent.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.split("-")[-2]
        if pid.isdecimal() and folder.name != _name(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _forget_ended_workers(folder: Path) -> None:
    """Remove what a worker that was killed had in progress or waiting: the one that took its place counts anew."""
    for path in folder.glob("gauge_live*_*.db"):
        if not Path(f"/proc/{path.stem.rpartition('_')[2]}").exists():
            path.unlink(missing_ok=True)


def _name(server: int) -> str:
    """Of the process `server`, and of no later one with its number."""
    try:
        started = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = "ended"
    return f"{socket.gethostname()}-{server}-{started}"
