"""A server of S3's protocol for tests, SeaweedFS, with buckets of its own and two users."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabular_bento.serving.ports import free_port
from tests.environments import environment

HOST = "127.0.0.1"
STARTUP_SECONDS = 60.0
_PORTS = ("s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc", "master.port", "master.port.grpc", "volume.port")
_PORTS += ("volume.port.grpc",)


@dataclass
class SeaweedFS:
    """A server.

    Parameters
    ----------
    folder : Path
        Its files.
    """

    folder: Path
    key: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret: str = field(default_factory=lambda: f"s/{secrets.token_hex(12)}+", repr=False)
    stranger: tuple[str, str] = field(default_factory=lambda: (secrets.token_hex(8), secrets.token_hex(12)), repr=False)
    """Key and secret of a user who may read another bucket alone."""
    _ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in _PORTS})
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds it by."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_ENDPOINT_URL": self.url}

    def files(self) -> Any:
        """Its buckets as a file system."""
        from s3fs import S3FileSystem

        return S3FileSystem(key=self.key, secret=self.secret, endpoint_url=self.url, skip_instance_cache=True)

    def put(self, path: str, content: bytes) -> str:
        """Write a file at BUCKET/PATH, and give its URI."""
        system = self.files()
        bucket = path.partition("/")[0]
        if not system.exists(bucket):
            system.mkdir(bucket)
        system.pipe_file(path, content)
        return f"s3://{path}"

    def start(self) -> None:
        """Start it, and wait until it responds."""
        program = environment("seaweedfs").parent / "weed"
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        users = [
            _user("writer", (self.key, self.secret), ["Admin", "Read", "Write", "List", "Tagging"]),
            _user("stranger", self.stranger, ["Read:other", "List:other"]),
        ]
        (self.folder / "s3.json").write_text(json.dumps({"identities": users}))
        options = {
            **self._ports, "dir": data, "ip": HOST, "ip.bind": HOST, "s3": "true", "s3.config": self.folder / "s3.json",
            "s3.iam": "false", "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64, "volume.max": 32, "metricsPort": 0,
        }  # fmt: skip
        command = [program, "server", *(f"-{name}={value}" for name, value in options.items())]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + STARTUP_SECONDS
        while not self._responds():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for port in self._ports.values():
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # made there, whatever TMPDIR says
                socket.unlink(missing_ok=True)

    def _responds(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running() -> Iterator[SeaweedFS]:
    """A new server, which ends with the context."""
    folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    server = SeaweedFS(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _user(name: str, credentials: tuple[str, str], actions: list[str]) -> dict[str, Any]:
    key, secret = credentials
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
