"""Servers under load, each on one core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.errors import BenchmarkError
from features.problem import PROBLEM
from tabular_bento.errors import PackageError
from tabular_bento.scoring.releases import champion_tag
from tabular_bento.scoring.store import LocatedModel, find_model
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess

NAME = PROBLEM.name


class PinnedServer(ServerProcess):
    """A server and its workers on one core, at a port of its own."""

    def __init__(
        self,
        core: int | None,
        log: Path,
        environment: Mapping[str, str],
        command: Sequence[str] | None = None,
        directory: Path | None = None,
    ) -> None:
        super().__init__(free_port(), log, directory=directory, environment=environment, command=command)
        self._core = core

    def start(self) -> Self:
        with pinned(self._core):
            return super().start()


def bento_server(core: int | None, folder: Path, grpc_port: int) -> PinnedServer:
    """This service, with the model and the settings of the environment, one worker, and a traffic log in `folder`."""
    return PinnedServer(core, folder / "bento.log", settings_of(folder / "traffic", grpc_port))


def settings_of(traffic: Path, grpc_port: int) -> dict[str, str]:
    """The environment of a server under load: one worker, and its traffic log in `traffic`."""
    return {
        "TABULAR_BENTO_TRAFFIC_DIR": str(traffic.absolute()),
        "TABULAR_BENTO_GRPC_PORT": str(grpc_port),
        "TABULAR_BENTO_WORKERS": "1",
        "BENTOML_HOST": "127.0.0.1",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def revision_server(
    core: int | None, folder: Path, grpc_port: int, source: Path, store: Path, python: Path
) -> PinnedServer:
    """The service of an earlier commit, checked out in `source`, with the latest model of its own `store`.

    Commits before the library read their settings from variables without a prefix.
    """
    own = settings_of(folder / "earlier-traffic", grpc_port)
    own |= {name.removeprefix("TABULAR_BENTO_"): value for name, value in own.items()}
    own |= {
        "BENTOML_HOME": str(store.absolute()),
        "MODEL_TAG": f"{NAME}:latest",
        "TABULAR_BENTO_MODEL": f"{NAME}:latest",
    }
    command = [str(python.absolute()), "-m", "bentoml", "serve", "service:Service"]
    return PinnedServer(core, folder / "earlier.log", own, command, source)


def classic_server(core: int | None, folder: Path, python: Path, model: Path) -> PinnedServer:
    """The classic scaffold: uvicorn with its default settings, one worker."""
    command = [str(python), "-m", "uvicorn", "benchmarks.classic.app:app"]
    return PinnedServer(core, folder / "classic.log", {"CLASSIC_MODEL": str(model.absolute())}, command)


def model_tag() -> str:
    """The model that servers are started with: TABULAR_BENTO_MODEL, by default the champion."""
    return os.environ.get("TABULAR_BENTO_MODEL") or champion_tag(NAME)


def require_model() -> LocatedModel:
    """The model to serve. Raises BenchmarkError where there is none."""
    try:
        return find_model(model_tag())
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
