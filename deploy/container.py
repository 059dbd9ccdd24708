"""A hardened container: it can write to /tmp and to the volume of its traffic log, and nowhere else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from deploy.commands import podman, run
from deploy.errors import DeployError
from tabular_bento.serving.image import TRAFFIC_DIR
from tabular_bento.serving.ports import free_port

HARDENING = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pids-limit=256",
)
"""Of `podman run`, and of `docker run` but for the second, which keeps podman from adding writable folders."""

HEALTH = "python -c \"import os, urllib.request as r; r.urlopen('http://localhost:'+os.environ.get('PORT','3000')+'/readyz')\""
"""A health check with what is in the image."""

GRACEFUL_SECONDS = 60
STOP_SECONDS = 90
STARTUP_SECONDS = 120.0
_HTTP, _GRPC = 3000, 3001


class Container:
    """The service in `image`, with its traffic log in the volume `volume`; use it as a context manager.

    `network` is `host`, where it listens on free ports of the host, or `bridge`, where its ports are published on
    the loopback; `ports`, of HTTP and gRPC, take the place of free ones. Limits of processors and memory in MiB are
    the engine's; `environment` holds settings of the server.
    Raises DeployError where it ends before it is ready, with the last line of its output.
    """

    def __init__(
        self,
        image: str,
        volume: str,
        network: str = "host",
        cpus: float = 1,
        memory_mib: int = 512,
        environment: Mapping[str, str] | None = None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        self.name = f"smoke-{uuid.uuid4().hex[:12]}"
        self.port, self.grpc_port = ports or (free_port(), free_port())
        self.url, self.address = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"
        given = dict(environment or {})
        self._command = ["run", "--detach", "--name", self.name, *HARDENING, f"--volume={volume}:{TRAFFIC_DIR}"]
        self._command += [f"--network={network}", f"--cpus={cpus}", f"--memory={memory_mib}m"]
        self._command += [f"--health-cmd={HEALTH}", "--health-interval=disable"]
        if network == "host":
            given |= {
                "BENTOML_HOST": "127.0.0.1",
                "PORT": str(self.port),
                "TABULAR_BENTO_GRPC_PORT": str(self.grpc_port),
            }
        else:
            self._command += [
                f"--publish=127.0.0.1:{self.port}:{_HTTP}",
                f"--publish=127.0.0.1:{self.grpc_port}:{_GRPC}",
            ]
        self._command += [f"--env={name}={value}" for name, value in given.items()]
        self._command += [image, "serve", "--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)]

    def start(self) -> Self:
        """Start and wait for readiness."""
        try:
            podman(*self._command, what="Starting the container")
            self._wait_until_ready()
        except BaseException:
            self.remove()
            raise
        return self

    def stop(self) -> int:
        """Ask it to finish the requests in progress, wait, and return its exit code."""
        podman("stop", "--time", str(STOP_SECONDS), self.name, what="Stopping the container")
        code: int = self.state()["ExitCode"]
        return code

    def state(self) -> dict[str, Any]:
        """The state that the engine reports."""
        document = podman("inspect", "--format", "{{json .State}}", self.name, what="Looking at the container")
        state: dict[str, Any] = json.loads(document)
        return state

    def run(self, *command: str) -> str:
        """Standard output of a command inside of it."""
        return podman("exec", self.name, *command, what=f"`{command[0]}` in the container")

    def logs(self) -> str:
        """Its output."""
        return run(["sh", "-c", 'exec podman logs "$0" 2>&1', self.name], "Reading the container's log")

    def remove(self) -> None:
        """End it at once, if it runs, and remove it."""
        podman("rm", "--force", "--time=0", "--ignore", self.name, what="Removing the container")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            state = self.state()
            if not state["Running"]:
                raise DeployError(f"The container ended with {state['ExitCode']}: {self._last_line()}")
        raise DeployError(f"The container was not ready after {STARTUP_SECONDS:.0f} s: {self._last_line()}")

    def _last_line(self) -> str:
        lines = self.logs().strip().splitlines()
        return lines[-1] if lines else "it printed nothing"
