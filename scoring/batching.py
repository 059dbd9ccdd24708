"""Adaptive batching: rows that arrive while a batch is computed make up the next one.

An idle server computes at once, a busy one merges whatever is waiting; nothing is timed, tuned or learnt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.errors import OverloadError

Compute = Callable[[Sequence[Sequence[Any]]], Awaitable[Sequence[Any]]]
"""Takes the rows of several requests, a list each, and gives each request's results in the same order."""


@dataclass(slots=True)
class _Job:
    rows: Sequence[Any]
    answer: asyncio.Future[Any]


class AdaptiveBatcher:
    """Merges concurrent requests into batches, one batch at a time.

    `max_batch_rows` bounds a batch (a single larger request is a batch of its own) and `max_queue_rows` the rows that
    may wait. A request whose caller has left is dropped before it is computed. When a merged batch fails, each of its
    requests is computed alone, so that only the one at fault fails. `observe` is told the rows of each batch.
    """

    def __init__(
        self, max_batch_rows: int, max_queue_rows: int, observe: Callable[[float], None] = lambda _: None
    ) -> None:
        self.max_batch_rows = max_batch_rows
        self.max_queue_rows = max_queue_rows
        self.waiting_rows = 0
        self._observe = observe
        self._queue: deque[_Job] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._compute: Compute | None = None

    def __call__(self, compute: Compute) -> Callable[[Sequence[Any]], Awaitable[Any]]:
        """Bind the batch function, in the way BentoML does before each request."""
        self._compute = compute
        return self.submit

    async def submit(self, rows: Sequence[Any]) -> Any:
        """The results of one request's rows. Raises OverloadError when too many rows are waiting."""
        if self._queue and self.waiting_rows + len(rows) > self.max_queue_rows:
            raise OverloadError(
                f"{self.waiting_rows} rows are waiting, of at most {self.max_queue_rows}: try again in a second."
            )
        job = _Job(rows, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self.waiting_rows += len(rows)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return await job.answer

    def shutdown(self) -> None:
        """Cancel what is being computed and what is still waiting."""
        if self._worker is not None:
            self._worker.cancel()
        for job in self._queue:
            job.answer.cancel()

    async def _work(self) -> None:
        jobs: list[_Job] = []
        try:
            while self._queue:
                jobs = self._take()
                if jobs:
                    await self._run(jobs)
        finally:
            self._worker = None
            for job in jobs:
                job.answer.cancel()  # of those that no answer came for

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        rows = 0
        while self._queue and (not jobs or rows + len(self._queue[0].rows) <= self.max_batch_rows):
            job = self._queue.popleft()
            self.waiting_rows -= len(job.rows)
            if not job.answer.done():
                jobs.append(job)
                rows += len(job.rows)
        return jobs

    async def _run(self, jobs: list[_Job]) -> None:
        assert self._compute is not None
        self._observe(sum(len(job.rows) for job in jobs))
        try:
            results = await self._compute([job.rows for job in jobs])
            if len(results) != len(jobs):
                raise RuntimeError(f"{len(results)} results came back for {len(jobs)} requests")
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    await self._run([job])
            elif not jobs[0].answer.done():
                jobs[0].answer.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            if not job.answer.done():
                job.answer.set_result(result)
