"""A container of a service's image, hardened, for as long as a check runs."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from tabular_bento.errors import ServerError
from tabular_bento.serving.ports import free_port

HARDENING = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--pids-limit=256")
"""Of `podman run` and `docker run`; what is written goes to /tmp, in memory, and to the traffic log."""

STARTUP_SECONDS = 120.0
_GRACEFUL_SECONDS = 60
_MODELS = "/home/bentoml/bento/models"
_TRAFFIC = "/traffic"
_WAIT = 0.2


class RunningImage:
    """The service in an image, on free ports of the loopback; use it as a context manager.

    Parameters
    ----------
    image : str
        The image's name.
    engine : str
        `podman` or `docker`.

    Raises
    ------
    ServerError
        Where the engine is not installed, or the container ends before it is ready.
    """

    def __init__(self, image: str, engine: str = "podman") -> None:
        self.image, self.engine = image, engine
        self.name = self._volume = f"smoke-{uuid.uuid4().hex[:12]}"
        self.port, self.grpc_port = free_port(), free_port()
        self.url, self.address = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"

    def __enter__(self) -> Self:
        environment = {
            "BENTOML_HOST": "127.0.0.1",
            "PORT": str(self.port),
            "TABULAR_BENTO_GRPC_PORT": str(self.grpc_port),
        }
        command = ["run", "--detach", "--name", self.name, *HARDENING, "--tmpfs=/tmp", "--network=host"]
        command += [f"--volume={self._volume}:{_TRAFFIC}", "--cpus=1", "--memory=1g"]
        command += [f"--env={name}={value}" for name, value in environment.items()]
        try:
            self._run(*command, self.image, "serve", "--timeout-graceful-shutdown", str(_GRACEFUL_SECONDS))
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
        self._run("cp", f"{self.name}:{_MODELS}", str(folder))
        found = [path.parent for path in folder.rglob("package.json")]
        if len(found) != 1:
            raise ServerError(f"The image {self.image} holds {len(found)} model packages, where one is expected.")
        return found[0]

    def stop(self) -> int:
        """Ask it to finish the requests in progress, wait, and return its exit code."""
        self._run("stop", "--time", str(_GRACEFUL_SECONDS + 30), self.name)
        return int(self._state("ExitCode"))

    def remove(self) -> None:
        """End it, if it runs, and remove it with its log."""
        for command in (("rm", "--force", self.name), ("volume", "rm", "--force", self._volume)):
            subprocess.run([self.engine, *command], capture_output=True, check=False)

    def _state(self, key: str) -> str:
        return self._run("inspect", "--format", f"{{{{.State.{key}}}}}", self.name)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(_WAIT)
            if self._state("Running") != "true":
                raise ServerError(f"The container ended with {self._state('ExitCode')}: {self._last_line()}")
        raise ServerError(f"The container was not ready after {STARTUP_SECONDS:.0f} s: {self._last_line()}")

    def _last_line(self) -> str:
        command = [self.engine, "logs", self.name]
        found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        lines = found.stdout.strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def _run(self, *arguments: str) -> str:
        try:
            result = subprocess.run([self.engine, *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ServerError(f"{self.engine} is not installed.") from None
        if result.returncode:
            words = (result.stderr.strip() or result.stdout.strip()).splitlines()
            raise ServerError(f"`{self.engine} {arguments[0]}` failed: {words[-1] if words else 'it printed nothing'}")
        return result.stdout.strip()
