"""Explanations of predictions that were made: computed in a thread of their own, and only where they are asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from tabular_bento.environment import PREFIX
from tabular_bento.errors import LogError, OverloadError, RequestError, TooLargeError
from tabular_bento.features.columns import Row
from tabular_bento.protocol.explanations import EXPLAIN, ExplainedBatch
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.explanations import ExplanationLog

logger = logging.getLogger("bentoml.endpoints")

WAITING = 4
"""Rows may wait of so many requests of the largest size."""


class Explainer:
    """Explains predictions, one request at a time, by the package that made them.

    Contributions cost a hundred times what a prediction does, so that they are computed beside the event loop.

    Parameters
    ----------
    current : callable
        Gives the package that serves now.
    max_rows : int
        The most rows of a request.
    log_share : float
        The share of the explained rows that are logged.

    Attributes
    ----------
    waiting_rows : int
        Rows whose explanations are not done.
    log : ExplanationLog, optional
        Where those are logged.
    """

    log: ExplanationLog | None = None

    def __init__(self, current: Callable[[], ModelPackage], max_rows: int, log_share: float = 0.0) -> None:
        self.max_rows = max_rows
        self._log_share = log_share
        self._draw = np.random.default_rng()
        self.waiting_rows = 0
        self._current = current

    def check(self, count: int) -> None:
        """Refuse what will not be explained.

        Raises
        ------
        RequestError
            Where the runner has no explanations.
        TooLargeError
            For more rows than a request for explanations may have.
        OverloadError
            Where too many rows are waiting.
        """
        _check_runner(self._current())
        if count > self.max_rows:
            raise TooLargeError(
                f"{count} rows in one request with `{EXPLAIN}`, of at most {self.max_rows}, which "
                f"{PREFIX}EXPLAIN_MAX_ROWS sets: send it in parts."
            )
        if self.waiting_rows and self.waiting_rows + count > WAITING * self.max_rows:
            raise OverloadError(f"{self.waiting_rows} rows are waiting for explanations: try again in a second.")

    def begin(
        self, rows: Sequence[Row], predictions: asyncio.Future[PredictionBatch], seconds: float
    ) -> asyncio.Task[PredictionBatch]:
        """The predictions of `rows` with explanations, to come; cancelled, neither is computed.

        They raise what the predictions raise, PredictionError, and TimeoutError where they take more than `seconds`.
        """
        count = len(rows)
        self.waiting_rows += count
        task = asyncio.get_running_loop().create_task(self._explained(self._current(), rows, predictions, seconds))
        task.add_done_callback(lambda _: self._ended(count, predictions))
        return task

    def stop(self) -> None:
        """End the thread, and the log; what waits for them is not computed."""
        if "_thread" in self.__dict__:
            self._thread.shutdown(wait=self.log is not None, cancel_futures=True)
        if self.log is not None:
            self.log.close()

    async def _explained(
        self,
        before: ModelPackage,
        rows: Sequence[Row],
        predictions: asyncio.Future[PredictionBatch],
        seconds: float,
    ) -> PredictionBatch:
        async with asyncio.timeout(seconds):
            batch = await predictions
            package = self._package_of(batch.model, before) if len(batch) else before
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._explain, package, rows, batch)

    def _explain(self, package: ModelPackage, rows: Sequence[Row], batch: PredictionBatch) -> PredictionBatch:
        explained = ExplainedBatch.of(batch, package.predictor.explain(rows))
        if self.log is not None:
            try:
                self.log.record(explained, self._draw.random(len(rows)) < self._log_share)
            except LogError as error:  # the predictions are in their own log, and the explanations are correct
                logger.error("explanations were not logged: %s", error)
        return explained

    def _package_of(self, tag: str, before: ModelPackage) -> ModelPackage:
        """The package of a tag, which was current when the request came or became it since."""
        for package in (before, self._current()):
            if package.tag == tag:
                _check_runner(package)
                return package
        raise OverloadError("Models were exchanged while the request waited: try again in a second.")

    def _ended(self, count: int, predictions: asyncio.Future[PredictionBatch]) -> None:
        self.waiting_rows -= count
        predictions.cancel()

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "explanations")


def _check_runner(package: ModelPackage) -> None:
    if not package.predictor.explains:
        raise RequestError(
            f"The runner {package.runner.kind!r} of {package.tag} has no explanations: leave `{EXPLAIN}` out."
        )
