"""What is sampled once a second instead of counted on the way: queue, log, predictions, features, model, worker.

A request pays for none of it: predictions that are in the log are kept, and counted a column at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.runners import installed_version
from tabular_bento.serving.batching import AdaptiveBatcher
from tabular_bento.serving.metrics import ENDPOINTS, Metrics
from tabular_bento.serving.service import PredictionService
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.log import Outputs
from tabular_bento.traffic.schema import feature_column, output_column

logger = logging.getLogger("bentoml.endpoints")

EVERY_SECONDS = 1.0
PENDING_ROWS = 20_000
"""Predictions of this many rows are counted without waiting for the second to end, which bounds the memory."""

PROBABILITIES = tuple(step / 20 for step in range(1, 21))
"""Upper bounds for the histogram of probabilities."""

_LOG_COUNTS = {
    "log_lines": "lines",
    "log_bytes": "bytes",
    "log_writes": "appends",
    "log_write_seconds": "seconds",
    "log_failed_writes": "failures",
    "log_lost_lines": "lost",
}
_FINGERPRINTS = ("fingerprint", "declaration_fingerprint", "code_fingerprint")


class Sampler:
    """Samples a running application.

    Parameters
    ----------
    service : PredictionService
        The service, whose log and model are looked at.
    declaration : Declaration
        What is predicted.
    settings : ServingSettings
        Limits that are shown beside what they limit.
    metrics : Metrics
        Where the metrics are made.
    batcher : AdaptiveBatcher
        The queue.
    in_progress : mapping
        Requests by endpoint.
    ready : callable
        Whether the application takes requests.
    bento : str, optional
        Tag of the bento that is served.
    """

    def __init__(
        self,
        service: PredictionService,
        declaration: Declaration,
        settings: ServingSettings,
        metrics: Metrics,
        batcher: AdaptiveBatcher,
        in_progress: Mapping[str, int],
        ready: Callable[[], bool],
        bento: str | None = None,
    ) -> None:
        self._service = service
        self._settings = settings
        self._batcher = batcher
        self._in_progress = in_progress
        self._ready = ready
        self._features = declaration.feature_names
        self._task = declaration.task
        self._package: ModelPackage | None = None
        self._pending: list[tuple[NDArray[np.float32], Outputs]] = []
        self._pending_rows = 0
        self._lock = threading.Lock()
        self._process = psutil.Process()
        self._seen: dict[tuple[str, ...], float] = {}
        self._running: asyncio.Task[None] | None = None
        self._metrics = {name: metrics.make(name) for name in _SAMPLED}
        if self._task.classes:
            self._metrics["predicted_class_rows"] = metrics.make("predicted_class_rows")
            for name in self._task.class_names:
                self._metrics["predicted_class_rows"].labels(name)
        bins = PROBABILITIES if self._task.classes else prediction_bins(service.model.current.profile, declaration)
        self._metrics["prediction"] = metrics.make("prediction", bins)
        self._metrics["workers"].set(1)
        self._metrics["queue_rows_limit"].set(settings.max_queue_rows)
        self._metrics["grpc_calls_limit"].set(settings.grpc_max_concurrent if settings.grpc_port else 0)
        bentoml, python = installed_version("bentoml") or "", platform.python_version()
        self._metrics["build_info"].labels(bento or "checkout", bentoml, python).set(1)
        service.log.on_recorded = self.add
        self.sample()

    def start(self) -> None:
        """Sample every second from now on."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Sample a last time."""
        if self._running is not None:
            self._running.cancel()
            self.sample()

    def add(self, features: NDArray[np.float32], outputs: Outputs) -> None:
        """Keep predictions until they are counted. Thread-safe."""
        with self._lock:
            self._pending.append((features, outputs))
            self._pending_rows += len(features)
        if self._pending_rows > PENDING_ROWS:
            self._count_predictions()

    def sample(self) -> None:
        """Bring all metrics up to date."""
        self._count_predictions()
        self._look_at_log()
        self._look_at_model()
        self._metrics["ready"].set(self._ready())
        self._metrics["queue_rows"].set(self._batcher.waiting_rows)
        for name in ENDPOINTS:
            self._metrics["requests_in_progress"].labels(name).set(self._in_progress[name])
        self._metrics["worker_resident_memory_bytes"].set(self._process.memory_info().rss)
        self._raise_to(("worker_cpu_seconds",), time.process_time())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                self.sample()
            except Exception:
                logger.exception("the metrics of this second are missing")

    def _count_predictions(self) -> None:
        with self._lock:
            pending, self._pending, self._pending_rows = self._pending, [], 0
        if not pending:
            return
        features = np.concatenate([features for features, _ in pending])
        missing = np.isnan(features).sum(axis=0)
        for index in np.flatnonzero(missing).tolist():
            self._metrics["feature_missing_rows"].labels(self._features[index]).inc(int(missing[index]))
        self._metrics["feature_rows"].inc(len(features))
        observe_all(self._metrics["prediction"], np.concatenate([self._task.summary(given) for _, given in pending]))
        if self._task.classes:
            labels = np.concatenate([given[self._task.target.name] for _, given in pending])
            for code, count in enumerate(np.bincount(self._task.encode(labels).astype(np.int64)).tolist()):
                self._metrics["predicted_class_rows"].labels(self._task.class_names[code]).inc(count)

    def _look_at_log(self) -> None:
        for stream, writer in self._service.log.streams.items():
            for name, attribute in _LOG_COUNTS.items():
                self._raise_to((name, stream), getattr(writer, attribute))
            if writer.last:
                self._metrics["log_last_write_timestamp_seconds"].labels(stream).set(writer.last)
        disk = os.statvfs(_existing(self._service.log.directory))
        self._metrics["log_disk_free_bytes"].set(disk.f_bavail * disk.f_frsize)
        self._metrics["log_disk_size_bytes"].set(disk.f_blocks * disk.f_frsize)

    def _look_at_model(self) -> None:
        package = self._service.model.current
        if package is self._package:
            return
        if self._package is not None:
            self._metrics["model_info"].labels(*_info(self._package)).set(0)
        self._metrics["model_info"].labels(*_info(package)).set(1)
        for name, share in missing_shares(package.profile, self._features):
            self._metrics["feature_missing_reference_ratio"].labels(name).set(share)
            self._metrics["feature_missing_rows"].labels(name)
        self._package = package

    def _raise_to(self, key: tuple[str, ...], value: float) -> None:
        """Raise a counter to what was counted elsewhere."""
        name, *labels = key
        counter = self._metrics[name].labels(*labels) if labels else self._metrics[name]
        counter.inc(max(0.0, value - self._seen.get(key, 0.0)))
        self._seen[key] = value


_SAMPLED = (
    *_LOG_COUNTS,
    "log_last_write_timestamp_seconds",
    "log_disk_free_bytes",
    "log_disk_size_bytes",
    "requests_in_progress",
    "grpc_calls_limit",
    "queue_rows",
    "queue_rows_limit",
    "feature_rows",
    "feature_missing_rows",
    "feature_missing_reference_ratio",
    "model_info",
    "build_info",
    "ready",
    "workers",
    "worker_cpu_seconds",
    "worker_resident_memory_bytes",
)


def prediction_bins(profile: Mapping[str, Any], declaration: Declaration) -> list[float]:
    """Upper bounds for the predictions' histogram: the reference's bins, to two digits, which retraining keeps."""
    column = profile.get("columns", {}).get(output_column(declaration.outputs[0].name), {})
    edges = column.get("edges") or column.get("values") or [0.0]
    return sorted({float(f"{edge:.2g}") for edge in edges})


def missing_shares(profile: Mapping[str, Any], features: Sequence[str]) -> Iterator[tuple[str, float]]:
    """The features, each with the share of reference rows that lacked it."""
    columns = profile.get("columns", {})
    names = ((name, feature_column(name)) for name in features)
    return ((name, columns[column]["missing"]) for name, column in names if column in columns)


def observe_all(histogram: Any, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Observe n values at once, by private parts of the client, which tests/unit/serving/test_sampling.py watches."""
    bins = np.searchsorted(np.array(histogram._upper_bounds), values, side="left")
    counts = np.bincount(bins, minlength=len(histogram._upper_bounds))
    for index in np.flatnonzero(counts).tolist():
        histogram._buckets[index].inc(int(counts[index]))
    histogram._sum.inc(float(values.sum()))


def _info(package: ModelPackage) -> list[str]:
    described = package.describe()
    name, _, version = package.tag.partition(":")
    return [name, version, *(str(described[name]) for name in (*_FINGERPRINTS, "runner"))]


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest above it that is there."""
    folder = folder.absolute()
    with contextlib.suppress(StopIteration):
        return next(path for path in (folder, *folder.parents) if path.exists())
    return Path("/")
