"""The candidate's side: rows from the log to the candidate to the shadow's log, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from features.definition import TARGET
from features.values import Row
from tabular_bento.errors import LogError
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.shadow.metrics import ShadowMetrics
from tabular_bento.serving.shadow.progress import Progress, ProgressFile
from tabular_bento.serving.shadow.tail import SegmentTail
from tabular_bento.traffic.log import PREDICTIONS, SHADOW, SHADOW_SCHEMA, rows_of_lines
from tabular_bento.traffic.writer import SegmentWriter, owner_of

POLL_SECONDS = 0.1
TELL_SECONDS = 60.0
"""A failure is told at most this often; all are counted."""


class ShadowScorer:
    """Scores what the worker `worker` logs with the candidate `tag`, in small batches.

    `pause` waits for some seconds and says whether to go on; `tell` is given a sentence about what fails.
    """

    def __init__(
        self,
        predictor: Predictor,
        tag: str,
        worker: int,
        progress: ProgressFile,
        settings: ServingSettings,
        pause: Callable[[float], bool],
        tell: Callable[[str], None],
        process: int,
    ) -> None:
        self._predictor = predictor
        self._tag = tag
        self._settings = settings
        self._pause = pause
        self._tell = tell
        self._process = process
        self._progress = progress
        self._metrics = ShadowMetrics()
        self._last_told = -TELL_SECONDS
        start = progress.read()
        self._metrics.failures.inc(start.begun)  # the last run ended in the middle of these
        self._tail = SegmentTail(settings.traffic_dir / PREDICTIONS, owner_of(worker), start.segment, start.offset)
        self._log = SegmentWriter(
            settings.traffic_dir / SHADOW, SHADOW_SCHEMA, settings.traffic_roll_mb << 20, settings.traffic_roll_seconds
        )
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
        targets = self._predict(rows_of_lines(documents))
        scored = [
            orjson.dumps(
                {"prediction_id": line["prediction_id"], "time": line["time"], "model": self._tag, TARGET.name: target},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for line, target in zip(documents, targets, strict=True)
            if target is not None
        ]
        try:
            if scored:
                self._log.append(b"".join(scored), len(scored))
        except LogError as error:
            self._fail(len(scored), str(error))
        else:
            self._metrics.rows.inc(len(scored))

    def _predict(self, rows: list[Row]) -> list[float | None]:
        """What the candidate predicts, None for each row that it fails on: of a batch that fails, row by row."""
        try:
            targets: list[float | None] = self._predictor.predict(rows).target.tolist()
        except Exception as error:
            if len(rows) == 1:
                self._fail(1, f"{self._tag} fails on a row ({type(error).__name__}: {error})")
                return [None]
            return [target for row in rows for target in self._predict([row])]
        return targets

    def _fail(self, rows: int, sentence: str) -> None:
        self._metrics.failures.inc(rows)
        if time.monotonic() - self._last_told >= TELL_SECONDS:
            self._last_told = time.monotonic()
            self._tell(sentence)

    def _mark(self, begun: int) -> None:
        self._progress.write(Progress(self._tail.segment, self._tail.offset, begun, self._process))


def load_candidate(directory: Path, tag: str) -> Predictor:
    """The candidate's predictor, verified as a server verifies it. Raises PackageError."""
    from tabular_bento.scoring.package import ModelPackage

    return ModelPackage.load(directory, tag).predictor
