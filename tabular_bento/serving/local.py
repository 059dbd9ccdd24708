"""A server in this process, for notebooks, scripts and tests: the HTTP endpoints of a model, on a port of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tabular_bento.errors import ServerError
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import find_model
from tabular_bento.serving.asgi import application
from tabular_bento.serving.ports import free_port, why_not
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.schema import default_directory

_STARTUP_SECONDS = 30.0
_WAIT = 0.01


@contextmanager
def serve(
    problem: Problem, model: str, port: int | None = None, traffic_dir: Path | str | None = None
) -> Iterator[str]:
    """Serve a model of the store while a ``with`` block runs.

    It has the endpoints of `bentoml serve` but for gRPC, and logs what it predicts.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    model : str
        The model's tag, NAME:VERSION; the version may be `latest`.
    port : int, optional
        By default a free one.
    traffic_dir : path, optional
        The folder of the traffic log, by default where a server of the problem writes it.

    Yields
    ------
    str
        The server's URL.

    Raises
    ------
    PackageError
        Where the store has no such model, or it must not be served.
    ServerError
        Where the port is taken.
    """
    import uvicorn

    located = find_model(model)
    package = ModelPackage.load(located.directory, located.tag, problem)
    chosen = free_port() if port is None else port
    if fault := why_not(chosen):
        raise ServerError(f"Port {chosen} {fault}, or name another.")
    settings = ServingSettings()
    folder = Path(traffic_dir) if traffic_dir is not None else default_directory(problem.name)
    log = TrafficLog(folder, problem.declaration, settings.traffic_roll_mb << 20, settings.traffic_roll_seconds)
    app = application(problem, package, log, settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=chosen, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, name="tabular-bento", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread, chosen)
        yield f"http://127.0.0.1:{chosen}"
    finally:
        server.should_exit = True
        thread.join()
        log.close()


def _wait_until_started(server: object, thread: threading.Thread, port: int) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ServerError(f"The server on port {port} did not start; what it printed says why.")
        time.sleep(_WAIT)
