"""Adaptive batching: rows that arrive while a batch is computed make up the next one.

An idle server computes almost at once, a busy one merges whatever is waiting; nothing is timed, tuned or learnt.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tabular_bento.errors import OverloadError, PredictionError

Compute = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
"""Takes rows and gives a result for each, in the same order."""

QUIET_TURNS = 40
"""Turns of the event loop that must bring nothing new before a batch is closed: a request that is half read joins it.

That is some 50 microseconds for a lone caller. Requests over gRPC take many turns to arrive, and would
otherwise be computed one by one.
"""


@dataclass(slots=True)
class _Job:
    rows: Sequence[Any]
    result: asyncio.Future[Any]
    span: Any


class AdaptiveBatcher:
    """Merges concurrent requests into batches, one batch at a time.

    A request whose caller has left is dropped before it is computed. When a merged batch fails, each of its requests is
    computed alone, so that only the one at fault fails.

    Parameters
    ----------
    compute : callable
        Takes rows and gives a result for each.
    max_batch_rows : int
        The most rows of a batch; a single larger request is a batch of its own.
    max_queue_rows : int
        The most rows that may wait.
    observe : callable, optional
        Given the number of rows of each batch.

    Attributes
    ----------
    waiting_rows : int
        Rows that wait.
    trace : callable, optional
        Opens what a batch is computed in, given the spans of its requests and the rows of each.
    """

    def __init__(
        self,
        compute: Compute,
        max_batch_rows: int,
        max_queue_rows: int,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.max_batch_rows = max_batch_rows
        self.max_queue_rows = max_queue_rows
        self.waiting_rows = 0
        self.trace: Callable[[Sequence[Any], Sequence[int]], AbstractContextManager[None]] | None = None
        self._compute = compute
        self._observe = observe
        self._queue: deque[_Job] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The results of one request's rows. Raises OverloadError when too many rows are waiting."""
        results: Sequence[Any] = await self.enqueue(rows)
        return results

    def enqueue(self, rows: Sequence[Any], span: Any = None) -> asyncio.Future[Any]:
        """The results of one request's rows, to come; a request is dropped that cancels them, or ends them otherwise.

        Raises OverloadError when too many rows are waiting.
        """
        if self._queue and self.waiting_rows + len(rows) > self.max_queue_rows:
            raise OverloadError(
                f"{self.waiting_rows} rows are waiting, of at most {self.max_queue_rows}: try again in a second."
            )
        job = _Job(rows, asyncio.get_running_loop().create_future(), span)
        self._queue.append(job)
        self.waiting_rows += len(rows)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return job.result

    def shutdown(self) -> None:
        """Cancel what is being computed and what is still waiting."""
        if self._worker is not None:
            self._worker.cancel()
        for job in self._queue:
            job.result.cancel()

    async def _work(self) -> None:
        jobs: list[_Job] = []
        try:
            while self._queue:
                await self._gather()
                jobs = self._take()
                if jobs:
                    await self._run(jobs)
        finally:
            self._worker = None
            for job in jobs:
                job.result.cancel()  # of those that have none

    async def _gather(self) -> None:
        seen, quiet = self.waiting_rows, 0
        while quiet < QUIET_TURNS and self.waiting_rows < self.max_batch_rows:
            os.sched_yield()  # gRPC's own threads bring requests too, and may share the core
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.waiting_rows == seen else 0
            seen = self.waiting_rows

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        rows = 0
        while self._queue and (not jobs or rows + len(self._queue[0].rows) <= self.max_batch_rows):
            job = self._queue.popleft()
            self.waiting_rows -= len(job.rows)
            if not job.result.done():
                jobs.append(job)
                rows += len(job.rows)
        return jobs

    async def _run(self, jobs: list[_Job]) -> None:
        rows = jobs[0].rows if len(jobs) == 1 else [row for job in jobs for row in job.rows]
        self._observe(len(rows))
        try:
            if self.trace is None:
                results = await self._compute(rows)
            else:
                with self.trace([job.span for job in jobs], [len(job.rows) for job in jobs]):
                    results = await self._compute(rows)
            if len(results) != len(rows):
                raise PredictionError(f"{len(results)} results came back for {len(rows)} rows.")
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    await self._run([job])
            elif not jobs[0].result.done():
                jobs[0].result.set_exception(error)
            return
        start = 0
        for job in jobs:
            end = start + len(job.rows)
            if not job.result.done():
                job.result.set_result(results[start:end])
            start = end
