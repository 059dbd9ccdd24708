"""What a server counts, by door, for Prometheus; made in the worker, where BentoML has set where it is kept."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DOORS = ("http", "rest", "grpc")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def keep_apart() -> None:
    """Keep the figures of this server's workers in a folder of their own, before the first is made.

    BentoML has one folder for all servers of a user, and empties it at each start, even of one that then refuses to
    serve: a running server would lose its figures. Folders of servers that have ended are removed.
    """
    if _FOLDER not in os.environ:
        return
    shared = Path(os.environ[_FOLDER])
    own = shared.with_name(f"{shared.name}_by_server") / _name(os.getppid())
    own.mkdir(parents=True, exist_ok=True)
    os.environ[_FOLDER] = str(own)
    for folder in own.parent.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.split("-")[-2]
        if pid.isdecimal() and folder.name != _name(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _name(server: int) -> str:
    """Of the process `server`, and of no later one with its number."""
    try:
        started = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = "ended"
    return f"{socket.gethostname()}-{server}-{started}"


@dataclass(slots=True)
class CountedRequest:
    """One request for predictions: its rows, and how it ended, as a word."""

    rows: int = 0
    outcome: str = "failed"


class DoorMetrics:
    """Requests, rows and latency by door, and the sizes of batches."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram

        self._requests = Counter("door_requests", "Requests for predictions", ["door", "outcome"])
        self._rows = Counter("door_rows", "Rows predicted", ["door"])
        self._seconds = Histogram(
            "door_request_seconds", "From reading a request to its answer", ["door"], buckets=_SECONDS
        )
        self.batch_rows = Histogram("batch_rows", "Rows computed together", buckets=_ROWS)
        for door in DOORS:
            self._rows.labels(door)
            self._seconds.labels(door)

    @contextmanager
    def request(self, door: str) -> Iterator[CountedRequest]:
        """Count what happens inside as one request through `door`."""
        counted = CountedRequest()
        start = time.perf_counter()
        try:
            yield counted
        finally:
            self._seconds.labels(door).observe(time.perf_counter() - start)
            self._requests.labels(door, counted.outcome).inc()
            if counted.outcome == "answered":
                self._rows.labels(door).inc(counted.rows)
