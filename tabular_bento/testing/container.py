"""A container of a service's image, hardened, for as long as a check runs."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tabular_bento.errors import ServerError
from tabular_bento.serving.image import TRAFFIC_DIR
from tabular_bento.serving.ports import free_port

HARDENING = (
    "--read-only",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pids-limit=256",
)
"""Of `podman run` and `docker run`: what is written goes to /tmp, in memory, and to the traffic log."""

HEALTH = "python -c \"import os, urllib.request as r; r.urlopen('http://localhost:'+os.environ.get('PORT','3000')+'/readyz')\""
"""A health check with what is in the image."""

MODELS_DIR = "/home/bentoml/bento/models"
"""Where an image has its model package, below the model's name and version."""

STARTUP_SECONDS = 120.0
GRACEFUL_SECONDS = 60
_STOP_SECONDS = 90
_HTTP, _GRPC = 3000, 3001
_WAIT = 0.1
_QUOTED_LINES = 3

_OF_PODMAN = {
    "run": ("--read-only-tmpfs=false", f"--health-cmd={HEALTH}", "--health-interval=disable"),
    "rm": ("--time=0", "--ignore"),
}
"""Options that docker has not: no folder is writable beside those above, and health is looked at where it is asked for.
"""


class RunningImage:
    """The service in an image; use it as a context manager.

    Parameters
    ----------
    image : str
        The image's name or id.
    engine : str
        `podman` or `docker`.
    volume : str, optional
        Volume of the traffic log, which is kept; by default one of its own, which is removed.
    network : str
        `host`, where it listens on ports of the loopback, or `bridge`, where its ports are published there.
    cpus : float
        Limit of processors.
    memory_mib : int
        Limit of memory.
    environment : mapping, optional
        Settings of the server.
    ports : tuple of int, optional
        Of HTTP and gRPC; by default free ones.

    Raises
    ------
    ServerError
        Where the engine is not installed, or the container ends before it is ready; with the last line of its output.
    """

    def __init__(
        self,
        image: str,
        engine: str = "podman",
        volume: str | None = None,
        network: str = "host",
        cpus: float = 1,
        memory_mib: int = 512,
        environment: Mapping[str, str] | None = None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        self.image, self.engine = image, engine
        self.name = f"smoke-{uuid.uuid4().hex[:12]}"
        self.port, self.grpc_port = ports or (free_port(), free_port())
        self.url, self.address = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"
        self._own_volume = volume is None
        self._volume = volume or self.name
        given = dict(environment or {})
        self._command = ["--detach", "--name", self.name, *HARDENING, f"--volume={self._volume}:{TRAFFIC_DIR}"]
        self._command += [f"--network={network}", f"--cpus={cpus}", f"--memory={memory_mib}m"]
        if network == "host":
            given |= {
                "BENTOML_HOST": "127.0.0.1",
                "PORT": str(self.port),
                "TABULAR_BENTO_GRPC_PORT": str(self.grpc_port),
            }
        else:
            published = ((self.port, _HTTP), (self.grpc_port, _GRPC))
            self._command += [f"--publish=127.0.0.1:{outside}:{inside}" for outside, inside in published]
        self._command += [f"--env={name}={value}" for name, value in given.items()]
        self._command += self._of_podman("run")
        self._command += [image, "serve", "--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)]

    def __enter__(self) -> Self:
        try:
            self._run("run", *self._command)
            self._wait_until_ready()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def copy_package(self, folder: Path) -> Path:
        """Copy the model package out of the image, and give its folder."""
        self._run("cp", f"{self.name}:{MODELS_DIR}", str(folder))
        found = [path.parent for path in folder.rglob("package.json")]
        if len(found) != 1:
            raise ServerError(f"The image {self.image} holds {len(found)} model packages, where one is expected.")
        return found[0]

    def run(self, *command: str) -> str:
        """Standard output of a command inside of it."""
        return self._run("exec", self.name, *command)

    def logs(self) -> str:
        """Its output."""
        command = [self.engine, "logs", self.name]
        found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return found.stdout

    def state(self) -> dict[str, Any]:
        """The state that the engine reports."""
        state: dict[str, Any] = json.loads(self._run("inspect", "--format", "{{json .State}}", self.name))
        return state

    def stop(self) -> int:
        """Ask it to finish the requests in progress, wait, and return its exit code."""
        self._run("stop", "-t", str(_STOP_SECONDS), self.name)
        return int(self.state()["ExitCode"])

    def remove(self) -> None:
        """End it at once, if it runs, and remove it with a log of its own."""
        commands = [["rm", "--force", *self._of_podman("rm"), self.name]]
        if self._own_volume:
            commands.append(["volume", "rm", "--force", self._volume])
        for command in commands:
            try:
                subprocess.run([self.engine, *command], capture_output=True, check=False)
            except FileNotFoundError:
                return

    def _of_podman(self, command: str) -> tuple[str, ...]:
        return _OF_PODMAN[command] if Path(self.engine).name == "podman" else ()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(_WAIT)
            state = self.state()
            if not state["Running"]:
                raise ServerError(f"The container ended with {state['ExitCode']}: {self._last_line()}")
        raise ServerError(f"The container was not ready after {STARTUP_SECONDS:.0f} s: {self._last_line()}")

    def _last_line(self) -> str:
        lines = self.logs().strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def _run(self, *arguments: str) -> str:
        try:
            result = subprocess.run([self.engine, *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ServerError(f"{self.engine} is not installed.") from None
        if result.returncode:
            words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-_QUOTED_LINES:]
            said = "; ".join(words) or "it printed nothing"
            raise ServerError(f"`{self.engine} {arguments[0]}` failed: {said}")
        return result.stdout.strip()
