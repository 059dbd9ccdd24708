"""Real servers for the tests."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests import commands


@dataclass(frozen=True)
class ServedPort:
    """A running server, and where it writes its traffic log."""

    process: ServerProcess
    traffic: Path
    grpc_port: int

    def post(self, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded JSON body of a POST."""
        request = urllib.request.Request(self.process.url + path, body, {"Content-Type": "application/json"})
        return _open(request)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and decoded JSON body of a GET."""
        return _open(urllib.request.Request(self.process.url + path))

    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predictions of rows that are right."""
        status, body = self.post("/predict", json.dumps({"flights": rows}).encode())
        assert status == 200, body
        assert isinstance(body, list)
        return body


@contextmanager
def serve(
    folder: Path, target: str = "service:Service", cwd: Path | None = None, **settings: str
) -> Iterator[ServedPort]:
    """A server of its own, with its log in `folder`; `settings` are environment variables."""
    traffic = folder / "traffic"
    environment = {"TABULAR_BENTO_TRAFFIC_DIR": str(traffic), "TABULAR_BENTO_GRPC_PORT": str(free_port()), **settings}
    with ServerProcess(free_port(), folder / "server.log", target, cwd, environment) as process:
        yield ServedPort(process, traffic, int(environment["TABULAR_BENTO_GRPC_PORT"]))


def refused(cwd: Path, target: str = "service:Service", **settings: str) -> subprocess.CompletedProcess[str]:
    """`bentoml serve` that is expected to end by itself; `settings` are environment variables."""
    environment = {**os.environ, "TABULAR_BENTO_GRPC_PORT": str(free_port()), **settings}
    return commands.run("bentoml", ("serve", target, "--port", str(free_port())), cwd, environment)


def logged(traffic: Path, stream: str = "predictions", after: int = 0) -> list[dict[str, Any]]:
    """The whole lines of all log files of a stream, but the first ones."""
    lines = [line for path in sorted((traffic / stream).glob("*.jsonl")) for line in path.read_bytes().splitlines(True)]
    return [orjson.loads(line) for line in lines[after:] if line.endswith(b"\n")]


def count_logged(traffic: Path, stream: str = "predictions") -> int:
    """How many whole lines there are; the log of the shared server is long."""
    return sum(path.read_bytes().count(b"\n") for path in (traffic / stream).glob("*.jsonl"))


def _open(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
