"""A real node exporter that reads the drift job's file and nothing else."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabular_bento.serving.ports import free_port
from tests.integration.deploy.tools import tool


@contextmanager
def node_exporter(folder: Path) -> Iterator[int]:
    """The port of a node exporter of the `.prom` files in `folder`."""
    port = free_port()
    command = [
        tool("prometheus-node-exporter"),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).close()
                break
            assert process.poll() is None, "the node exporter ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)
