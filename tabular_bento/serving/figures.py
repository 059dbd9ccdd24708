"""Every figure on /metrics, declared once: what it is called, what it counts, and how workers add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric. `workers` says how the gauges of several workers become one; buckets given late are set by `make`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    workers: str = "livesum"
    buckets: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        """The name that Prometheus reads."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def make(self, buckets: Sequence[float] = ()) -> Any:
        """The metric of the Prometheus client; once a process."""
        from prometheus_client import Counter, Gauge, Histogram

        if self.kind == "counter":
            return Counter(self.name, self.help, self.labels)
        if self.kind == "histogram":
            return Histogram(self.name, self.help, self.labels, buckets=buckets or self.buckets)
        return Gauge(self.name, self.help, self.labels, multiprocess_mode=self.workers)  # type: ignore[arg-type]


FIGURES: tuple[Figure, ...] = (
    Figure("door_requests", "counter", "Requests for predictions, by how they ended", ("door", "outcome")),
    Figure("door_rows", "counter", "Rows predicted", ("door",)),
    Figure("door_request_seconds", "histogram", "From reading a request to its answer", ("door",), buckets=SECONDS),
    Figure("door_in_flight", "gauge", "Requests that are being answered", ("door",)),
    Figure("grpc_limit_calls", "gauge", "Calls that the gRPC door takes at once, GRPC_MAX_CONCURRENT a worker"),
    Figure("batch_rows", "histogram", "Rows computed together", buckets=ROWS),
    Figure("queue_rows", "gauge", "Rows that wait for a batch"),
    Figure("queue_limit_rows", "gauge", "Rows that may wait, MAX_QUEUE_ROWS a worker"),
    Figure("feedback_requests", "counter", "Requests that bring outcomes, by how they ended", ("outcome",)),
    Figure("outcomes_received", "counter", "Outcomes accepted and logged"),
    Figure("log_lines", "counter", "Lines written to the traffic log", ("stream",)),
    Figure("log_bytes", "counter", "Bytes written to the traffic log", ("stream",)),
    Figure("log_appends", "counter", "Writes to the traffic log", ("stream",)),
    Figure("log_append_seconds", "counter", "Time that those writes took", ("stream",)),
    Figure("log_failed_appends", "counter", "Writes to the traffic log that failed", ("stream",)),
    Figure("log_lost_lines", "counter", "Lines of those: computed, and refused for want of a log", ("stream",)),
    Figure("log_last_line_seconds", "gauge", "When the last line was written, Unix time", ("stream",), "max"),
    Figure("log_disk_free_bytes", "gauge", "Free space where the traffic log is", workers="livemax"),
    Figure("log_disk_size_bytes", "gauge", "Size of the file system that the traffic log is on", workers="livemax"),
    Figure("prediction", "histogram", "Predictions, in the target's unit; bins of the model's reference"),
    Figure("feature_rows", "counter", "Rows whose features were looked at"),
    Figure("feature_missing", "counter", "Rows in which the feature was missing", ("feature",)),
    Figure(
        "feature_missing_reference",
        "gauge",
        "Share of such rows in the model's reference",
        ("feature",),
        "livemax",
    ),
    Figure(
        "model_info",
        "gauge",
        "1 for the model that is served, 0 for one that was",
        ("tag", "fingerprint", "declaration_fingerprint", "code_fingerprint", "runner"),
        "livemax",
    ),
    Figure("model_reloads", "counter", "Times SIGHUP had the model looked up again, by what came of it", ("outcome",)),
    Figure(
        "shadow_up", "gauge", "1 when the shadow of every worker scores; absent without SHADOW_MODEL", (), "livemin"
    ),
    Figure("shadow_rows", "counter", "Live rows that the candidate in the shadow scored"),
    Figure("shadow_dropped", "counter", "Live rows that it skipped, being too far behind"),
    Figure("shadow_failures", "counter", "Live rows that it failed on, or that could not be logged"),
    Figure("build_info", "gauge", "1; what serves it", ("bento", "bentoml", "python"), "livemax"),
    Figure("server_ready", "gauge", "1 when every worker takes requests, 0 while one drains", workers="livemin"),
    Figure("workers", "gauge", "Server processes"),
    Figure("worker_cpu_seconds", "counter", "Processor time of the workers"),
    Figure("worker_resident_bytes", "gauge", "Memory of the workers"),
)

_BY_NAME = {figure.name: figure for figure in FIGURES}


def make(name: str, buckets: Sequence[float] = ()) -> Any:
    """The metric of that name; KeyError where it is not declared above."""
    return _BY_NAME[name].make(buckets)
