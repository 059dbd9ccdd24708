"""Who does the work of a pass: this process, or the workers of a Dask cluster. The results are the same to the bit."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from tabular_bento.environment import pip_install_command
from tabular_bento.errors import ClusterError

T = TypeVar("T")
R = TypeVar("R")

BAR = "{desc:<28} {bar} {elapsed}"
CONNECT_SECONDS = 20
THREADS = 4
"""Each needs about 100 MB."""

WHAT_TASKS_NEED = "tabular_bento.monitoring.window.scan"
"""A module that imports whatever the functions of a pass do."""

TRIM = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"
"""What Dask sets for the workers that it starts. With it, glibc gives the memory of every array back to the system and
asks for it again at once, which takes nearly half of a worker's time.
"""

_AHEAD = 3
"""Tasks for each worker that are handed out at a time, so that finished results do not pile up."""


class Workers(Protocol):
    """Anything that can apply a function of a module to tasks, results in order of the tasks."""

    def map(self, function: Callable[[T], R], tasks: Iterable[T], what: str, total: int) -> Generator[R, None, None]:
        """The results. Tasks are taken up as they are needed; `what` is done of `total` is shown on a terminal."""
        ...


class ThisProcess:
    """Works in as many threads as this process may use cores, at most THREADS."""

    def map(self, function: Callable[[T], R], tasks: Iterable[T], what: str, total: int) -> Generator[R, None, None]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = min(cores, THREADS)
        pool = ThreadPoolExecutor(threads)
        try:
            yield from _in_order(lambda task: pool.submit(function, task), tasks, _AHEAD * threads, what, total)
        finally:
            pool.shutdown(cancel_futures=True)


class Cluster:
    """The workers of a Dask cluster, which must run the same code and see the log."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def map(self, function: Callable[[T], R], tasks: Iterable[T], what: str, total: int) -> Generator[R, None, None]:
        from distributed.scheduler import KilledWorker

        submit = partial(self._client.submit, function, pure=False)
        ahead = _AHEAD * max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)
        try:
            yield from _in_order(submit, tasks, ahead, what, total)
        except KilledWorker as error:
            raise ClusterError(
                f"The workers of the Dask cluster die at their work ({error.task}): look at their logs; they need "
                "about 1 GB of memory each."
            ) from error


def _in_order(
    submit: Callable[[T], Any], tasks: Iterable[T], ahead: int, what: str, total: int
) -> Generator[Any, None, None]:
    """The results of futures in order of the tasks, of which at most `ahead` are submitted at a time."""
    waiting: deque[Any] = deque()
    with tqdm(total=total, desc=what, disable=not sys.stderr.isatty(), bar_format=BAR, leave=False) as bar:
        try:
            for task in tasks:
                waiting.append(submit(task))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
                    bar.update()
            while waiting:
                yield waiting.popleft().result()
                bar.update()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def workers(scheduler: str | None = None, count: int | None = None) -> Iterator[Workers]:
    """The workers of the Dask scheduler at `scheduler`, such as tcp://host:8786; or `count` processes of this machine;
    or, where both are None, this process.

    Raises ClusterError where Dask is not installed, and where the scheduler does not respond or has no workers.
    """
    if scheduler is None and count is None:
        yield ThisProcess()
        return
    try:
        import distributed
    except ImportError:
        command = pip_install_command("tabular-bento[dask]")
        raise ClusterError(f"--scheduler and --workers need Dask: {command}.") from None
    with _client(distributed, scheduler, count) as client:
        yield Cluster(client)


def _import(module: str) -> None:
    import_module(module)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Take back what Dask sets in this process's environment for the workers that it starts."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _client(distributed: Any, scheduler: str | None, count: int | None) -> Iterator[Any]:
    if scheduler is None:
        import dask

        local = partial(distributed.LocalCluster, threads_per_worker=1, processes=True, dashboard_address=None)
        any_port = {"dashboard_address": "127.0.0.1:0"}  # else two jobs at a time want one port, and say so
        with (
            _environment_kept(),
            dask.config.set({TRIM: None}),
            local(n_workers=count, silence_logs="CRITICAL", scheduler_kwargs=any_port) as cluster,
            distributed.Client(cluster) as client,
        ):
            for worker in client.scheduler_info(n_workers=-1)["workers"]:  # while this process imports as much
                distributed.fire_and_forget(client.submit(_import, WHAT_TASKS_NEED, workers=[worker], pure=False))
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler responds at {scheduler} ({error}): start `dask scheduler`.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise ClusterError(
                f"The Dask scheduler at {scheduler} has no workers: start `dask worker {scheduler}` in an environment "
                "of the same version, where the traffic log can be read."
            ) from None
        yield client
