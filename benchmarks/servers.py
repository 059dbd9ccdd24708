"""The two servers, each a process on a core of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.errors import BenchmarkError
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess


class PinnedServer(ServerProcess):
    """A server and its workers on one core, at a port of its own."""

    def __init__(
        self, core: int | None, log: Path, environment: Mapping[str, str], command: Sequence[str] | None = None
    ) -> None:
        super().__init__(free_port(), log, environment=environment, command=command)
        self._core = core

    def start(self) -> Self:
        with pinned(self._core):
            return super().start()


def bento_server(core: int | None, folder: Path, grpc_port: int) -> PinnedServer:
    """This service, with the model and the settings of the environment, one worker, and a traffic log in `folder`."""
    own = {
        "TRAFFIC_DIR": str((folder / "traffic").absolute()),
        "GRPC_PORT": str(grpc_port),
        "WORKERS": "1",
        "BENTOML_DO_NOT_TRACK": "True",
    }
    return PinnedServer(core, folder / "bento.log", own)


def classic_server(core: int | None, folder: Path, python: Path, model: Path) -> PinnedServer:
    """The classic scaffold: uvicorn with its default settings, one worker."""
    command = [str(python), "-m", "uvicorn", "benchmarks.classic.app:app"]
    return PinnedServer(core, folder / "classic.log", {"CLASSIC_MODEL": str(model.absolute())}, command)


def require_model() -> None:
    """Raises BenchmarkError where there is no model to serve."""
    from tabular_bento.errors import PackageError
    from tabular_bento.serving.bento import find_model, tag_of
    from tabular_bento.serving.settings import settings

    try:
        find_model(tag_of(settings.model_tag))
    except PackageError as error:
        raise BenchmarkError(str(error)) from None


def choose_cores() -> tuple[int | None, int | None]:
    """A core for the server under load and another for the load; None for both where there is but one, or no choice."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Processes started within run on `core`; None leaves them free."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
