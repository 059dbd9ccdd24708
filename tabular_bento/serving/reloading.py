"""Have a running server of this machine take the released model: it is found by the port that it listens at."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import PurePath
from typing import NamedTuple

import psutil

from tabular_bento.errors import ServerError
from tabular_bento.serving.metrics import PREFIX

_COUNT = re.compile(rf'^{PREFIX}model_reloads_total\{{.*?status="(\w+)".*?\}} (\S+)$', re.MULTILINE)


class Reloaded(NamedTuple):
    """The result: the server's process, the model that it serves, and how many workers did what."""

    pid: int
    model: str
    statuses: dict[str, int]


def find_server(port: int) -> psutil.Process:
    """The process of `bentoml serve` that listens at a port of this machine.

    Raises
    ------
    ServerError
        Where nothing listens there, or something else does, or another user's process.
    """
    listening = [
        connection
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
    ]
    if not listening:
        raise ServerError(f"Nothing listens at port {port} of this machine: name the server's port by --port.")
    for pid in {connection.pid for connection in listening if connection.pid}:
        process = psutil.Process(pid)
        servers = [one for one in (process, *process.parents()) if _is_server(one)]
        if servers:
            return servers[-1]  # workers are its children
    raise ServerError(
        f"What listens at port {port} is no `bentoml serve` that may be signalled: name another port by --port; in a "
        "container, send SIGHUP to its process 1."
    )


def reload_server(port: int, timeout: float = 60.0) -> Reloaded:
    """Send SIGHUP to the server at a port, and wait until a worker has looked its model up again.

    Parameters
    ----------
    port : int
        Its HTTP port.
    timeout : float
        Seconds to wait.

    Raises
    ------
    ServerError
        Where there is no server, it does not respond, or no worker has looked its model up in time.
    """
    server = find_server(port)
    before = _statuses(port)
    server.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        now = _statuses(port)
        changed = {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
        if changed:
            return Reloaded(server.pid, str(json.loads(_get(port, "model"))["tag"]), changed)
        time.sleep(0.05)
    raise ServerError(f"The server at port {port} was signalled, and no worker looked its model up in {timeout:g} s.")


def _is_server(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "serve" in words and any(PurePath(word).name == "bentoml" for word in words[:4])


def _statuses(port: int) -> dict[str, int]:
    """How often workers looked their model up, by result."""
    return {name: int(float(count)) for name, count in _COUNT.findall(_get(port, "metrics").decode())}


def _get(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as response:
            body: bytes = response.read()
            return body
    except (urllib.error.URLError, OSError) as error:
        raise ServerError(f"The server at port {port} does not respond to GET /{path}: {error}.") from error
