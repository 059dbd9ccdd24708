"""The project's proxy before two servers, and callers who go through it and note what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import grpc
import httpx

from features.definition import EXAMPLE
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.protocol.requests import ROWS
from tabular_bento.serving.ports import free_port
from tests.callers import Callers
from tests.deploy.tools import DEPLOY, tool
from tests.doors.clients import outputs_of, raw

CALLERS = 4
"""Callers of each of the two doors."""


class Load(Callers):
    """Callers that ask through the proxy until told to stop, and note what was predicted and what went wrong."""

    def __init__(self, http: str, grpc_address: str) -> None:
        self.ids: list[str] = []
        self.faults: list[str] = []
        calls = [partial(self._over_http, http), partial(self._over_grpc, grpc_address)] * CALLERS
        super().__init__([partial(self._run, call) for call in calls])

    def more(self, answers: int) -> None:
        """Wait for so many more answers."""
        deadline, wanted = time.monotonic() + 60, len(self.ids) + answers
        while len(self.ids) < wanted:
            assert time.monotonic() < deadline, self.faults
            time.sleep(0.05)

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self.faults.append(repr(error))

    def _over_http(self, url: str) -> None:
        body = json.dumps({ROWS: [EXAMPLE] * 2})
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self.stop.is_set():
                time.sleep(0.01)
                answer = client.post("/predict", content=body)
                if answer.status_code == 200:
                    self.ids += [item["prediction_id"] for item in answer.json()]
                else:
                    self.faults.append(f"{answer.status_code} {answer.text}")

    def _over_grpc(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(address, options) as channel:
            calls = services.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            while not self.stop.is_set():
                time.sleep(0.01)
                try:
                    self.ids += outputs_of(calls.ModelInfer(raw([EXAMPLE] * 2), timeout=30))["prediction_id"]
                except grpc.RpcError as error:
                    self.faults.append(f"{error.code()} {error.details()}")


@contextmanager
def haproxy(folder: Path, servers: list[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """The project's proxy before servers of (HTTP port, gRPC port): the addresses of its two doors."""
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
