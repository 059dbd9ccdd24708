"""The project's proxy before two servers, and callers that send requests through it and count errors."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx

from tabular_bento.client import Client
from tabular_bento.errors import TabularBentoError
from tabular_bento.serving.ports import free_port
from tests.callers import Callers
from tests.integration.deploy.tools import DEPLOY, EXAMPLE, tool

CALLERS = 4
"""Callers over each of the two protocols."""


class Load(Callers):
    """Callers that ask through the proxy until they are stopped, and record the predictions and the errors."""

    def __init__(self, http: str, grpc_address: str) -> None:
        self.ids: list[str] = []
        self.faults: list[str] = []
        calls = [partial(self._call, http, grpc_address, protocol) for protocol in ("json", "grpc")] * CALLERS
        super().__init__([partial(self._run, call) for call in calls])

    def more(self, count: int) -> None:
        """Wait for so many more predictions."""
        deadline, wanted = time.monotonic() + 60, len(self.ids) + count
        while len(self.ids) < wanted:
            assert time.monotonic() < deadline, self.faults
            time.sleep(0.05)

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self.faults.append(repr(error))

    def _call(self, url: str, address: str, protocol: str) -> None:
        with Client(url, grpc=address, timeout=30, retries=0) as client:
            while not self.stop.is_set():
                time.sleep(0.01)
                try:
                    predictions = client.predict([EXAMPLE] * 2, protocol=protocol)
                except TabularBentoError as error:
                    self.faults.append(f"{protocol}: {error}")
                else:
                    self.ids += [item["prediction_id"] for item in predictions]


@contextmanager
def haproxy(folder: Path, servers: list[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """The project's proxy before servers of (HTTP port, gRPC port): its HTTP URL and gRPC address."""
    http, grpc_port = free_port(), free_port()
    environment = {"HTTP_BIND": f"127.0.0.1:{http}", "GRPC_BIND": f"127.0.0.1:{grpc_port}"}
    for name, (of_http, of_grpc) in zip("AB", servers, strict=True):
        environment |= {f"{name}_HOST": "127.0.0.1", f"{name}_HTTP": str(of_http), f"{name}_GRPC": str(of_grpc)}
    command = [tool("haproxy"), "-db", "-f", DEPLOY / "haproxy" / "haproxy.cfg"]
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{http}/readyz", timeout=2).status_code == 200:
                    break
            assert process.poll() is None, (folder / "haproxy.log").read_text()
            assert time.monotonic() < deadline, (folder / "haproxy.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc_port}"
    finally:
        process.terminate()
        process.wait(20)
