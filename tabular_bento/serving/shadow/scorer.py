"""What runs in the shadow's process: rows from the log to the candidate to the shadow's log, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tabular_bento.errors import LogError
from tabular_bento.features.columns import Row
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.shadow.tail import LogTail, Progress, ProgressFile
from tabular_bento.traffic.log import Outputs, ShadowLog, rows_of_lines
from tabular_bento.traffic.schema import PREDICTIONS
from tabular_bento.traffic.writer import owner_of

POLL_SECONDS = 0.1
REPORT_SECONDS = 60.0
"""A failure is reported at most this often; all are counted."""


class ShadowMetrics:
    """Rows that were scored, dropped, or failed on. Worker and shadow make these: metrics are summed."""

    def __init__(self, metrics: Metrics) -> None:
        self.rows, self.dropped, self.failures = map(
            metrics.make, ("shadow_rows", "shadow_dropped_rows", "shadow_failed_rows")
        )


class ShadowScorer:
    """Scores what a worker logs with a candidate, in small batches.

    Parameters
    ----------
    predictor : Predictor
        The candidate's.
    problem : Problem
        What is predicted.
    tag : str
        The candidate's.
    worker : int
        The process whose log is read.
    progress : ProgressFile
        Where the last run ended, and this one is.
    traffic : Path
        The folder of the traffic log.
    settings : ServingSettings
        Limits.
    pause : callable
        Waits for some seconds and says whether to go on.
    report : callable
        Given a message about what fails.
    process : int
        The number of this process.
    """

    def __init__(
        self,
        predictor: Predictor,
        problem: Problem,
        tag: str,
        worker: int,
        progress: ProgressFile,
        traffic: Path,
        settings: ServingSettings,
        pause: Callable[[float], bool],
        report: Callable[[str], None],
        process: int,
    ) -> None:
        self._predictor = predictor
        self._declaration = problem.declaration
        self._tag = tag
        self._settings = settings
        self._pause = pause
        self._report = report
        self._process = process
        self._progress = progress
        self._metrics = ShadowMetrics(Metrics())
        self._last_report = -REPORT_SECONDS
        start = progress.read()
        self._metrics.failures.inc(start.begun)  # the last run ended in the middle of these
        self._tail = LogTail(traffic / PREDICTIONS, owner_of(worker), start.file, start.offset)
        self._log = ShadowLog(traffic, self._declaration, settings.traffic_roll_mb << 20, settings.traffic_roll_seconds)
        self._mark(0)

    def run(self) -> None:
        """Score until `pause` says that it is time to end."""
        settings = self._settings
        going = True
        while going:
            began = time.process_time()
            if self._tail.behind() > settings.shadow_max_behind_rows:
                self._metrics.dropped.inc(self._tail.skip(settings.shadow_max_behind_rows // 2))
            lines = self._tail.read(settings.shadow_batch_rows)
            self._mark(len(lines))
            if lines:
                self._score(lines)
                self._mark(0)
            spent = time.process_time() - began
            going = self._pause(spent * (1 / settings.shadow_cpu_share - 1) if lines else POLL_SECONDS)
        self._log.close()
        self._tail.close()

    def _score(self, lines: Sequence[bytes]) -> None:
        documents = orjson.loads(b"[%b]" % b",".join(lines))
        scored = self._predict(documents, rows_of_lines(documents, self._declaration))
        count = sum(len(part) for part, _ in scored)
        if not count:
            return
        outputs = {name: np.concatenate([part[name] for _, part in scored]) for name in scored[0][1]}
        try:
            self._log.record([line for part, _ in scored for line in part], self._tag, outputs)
        except LogError as error:
            self._fail(count, str(error))
        else:
            self._metrics.rows.inc(count)

    def _predict(
        self, lines: Sequence[Mapping[str, Any]], rows: Sequence[Row]
    ) -> list[tuple[Sequence[Mapping[str, Any]], Outputs]]:
        """What the candidate predicts, without each row that it fails on: of a batch that fails, row by row."""
        try:
            return [(lines, self._predictor.predict(rows).outputs)]
        except Exception as error:
            if len(rows) == 1:
                self._fail(1, f"{self._tag} fails on a row ({type(error).__name__}: {error})")
                return []
        return [part for place in range(len(rows)) for part in self._predict([lines[place]], [rows[place]])]

    def _fail(self, rows: int, message: str) -> None:
        self._metrics.failures.inc(rows)
        if time.monotonic() - self._last_report >= REPORT_SECONDS:
            self._last_report = time.monotonic()
            self._report(message)

    def _mark(self, begun: int) -> None:
        self._progress.write(Progress(self._tail.file, self._tail.offset, begun, self._process))


def load_candidate(directory: Path, tag: str, problem: Problem) -> Predictor:
    """The candidate's predictor, verified as a server verifies it. Raises PackageError."""
    return ModelPackage.load(directory, tag, problem).predictor
