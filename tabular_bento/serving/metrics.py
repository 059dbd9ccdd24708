"""What a server counts, by door, for Prometheus; made in the worker, where BentoML has set where it is kept."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabular_bento.serving.figures import make
from tabular_bento.serving.status import STATUS

DOORS = ("http", "rest", "grpc")

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
    _forget_ended_workers(own)
    for folder in own.parent.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.split("-")[-2]
        if pid.isdecimal() and folder.name != _name(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _forget_ended_workers(folder: Path) -> None:
    """Remove what a worker that was killed had in flight or waiting: the one that took its place counts anew."""
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


@dataclass(slots=True)
class CountedRequest:
    """One request: its rows, and how it ended, as a word; its ids and its span, where somebody asks for them."""

    rows: int = 0
    outcome: str = "failed"
    start: float = 0.0
    request_id: str = ""
    first_id: str | None = None
    span: Any = None


class DoorMetrics:
    """Requests, rows and latency by door, and the sizes of batches. `in_flight` is by door, to be sampled."""

    def __init__(self) -> None:
        requests, rows, seconds = make("door_requests"), make("door_rows"), make("door_request_seconds")
        self._requests = {(door, end): requests.labels(door, end) for door in DOORS for end in STATUS}
        self._rows = {door: rows.labels(door) for door in DOORS}
        self._seconds = {door: seconds.labels(door) for door in DOORS}
        self._feedback, self._outcomes = make("feedback_requests"), make("outcomes_received")
        self.batch_rows = make("batch_rows")
        self.in_flight = dict.fromkeys(DOORS, 0)

    def begin(self, door: str) -> CountedRequest:
        """A request through `door` that has just come."""
        self.in_flight[door] += 1
        return CountedRequest(start=time.perf_counter())

    def end(self, door: str, counted: CountedRequest) -> None:
        """Count a request that began so, and how it ended."""
        self.in_flight[door] -= 1
        self._seconds[door].observe(time.perf_counter() - counted.start)
        self._requests[door, counted.outcome].inc()
        if counted.outcome == "answered":
            self._rows[door].inc(counted.rows)

    def end_feedback(self, counted: CountedRequest) -> None:
        """Count a request that brought outcomes, its `rows`."""
        self._feedback.labels(counted.outcome).inc()
        if counted.outcome == "answered":
            self._outcomes.inc(counted.rows)
