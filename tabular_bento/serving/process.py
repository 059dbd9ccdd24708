"""A server as a child process: started, waited for until it is ready, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tabular_bento.errors import ScoringError
from tabular_bento.serving.ports import why_not

STARTUP_SECONDS = 120.0
STOP_SECONDS = 60.0
ORPHAN_SECONDS = 2.0


class ServerProcess:
    """`bentoml serve TARGET` on `port`; use it as a context manager.

    `target` is `service:Service` in a checkout at `directory`, or the tag of a bento; a `command` takes the place of
    `bentoml serve TARGET`, and is given `--port` too. What the server prints goes to `log`. Neither `stop` nor `kill`
    leaves a process of it behind. Raises ScoringError where the port is taken or the server ends before it is ready,
    with the last line that it printed.
    """

    def __init__(
        self,
        port: int,
        log: Path,
        target: str = "service:Service",
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self._command = [*(command or (sys.executable, "-m", "bentoml", "serve", target)), "--port", str(port)]
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running `bentoml serve`."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process

    def start(self) -> Self:
        """Start and wait for readiness."""
        if fault := why_not(self.port):
            raise ScoringError(f"Port {self.port} {fault}, or set PORT to another.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> int:
        """Have it finish what it has begun, wait, and give its exit code."""
        with self._workers_ended(ORPHAN_SECONDS):
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """End the server and its workers at once."""
        with self._workers_ended(0):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _workers_ended(self, seconds: float) -> Iterator[None]:
        """End the workers that outlive the server by more than `seconds`.

        BentoML starts them in sessions of their own, where a signal to the server's group does not reach them.
        """
        workers = []
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                workers = psutil.Process(self.process.pid).children(recursive=True)
        try:
            yield
        except BaseException:
            seconds = 0
            raise
        finally:
            _, left = psutil.wait_procs(workers, timeout=seconds)
            for worker in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            psutil.wait_procs(left, timeout=STOP_SECONDS)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ScoringError(f"The server ended with {self.process.returncode}: {self._last_line()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise ScoringError(f"The server was not ready after {STARTUP_SECONDS:.0f} s; see {self.log}.")

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"
