"""A server of PostgreSQL for tests, from the programs of Debian's package, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tabular_bento.serving.ports import free_port

HOST = "127.0.0.1"
USER, DATABASE = "trainer", "sales"


@dataclass(frozen=True)
class PostgreSQL:
    """A running server with one user and one database.

    Parameters
    ----------
    programs : Path
        The folder of its programs.
    folder : Path
        Its files.
    port : int
        Its port on 127.0.0.1.
    password : str
        The user's.
    """

    programs: Path
    folder: Path
    port: int
    password: str = field(repr=False)

    @property
    def where(self) -> str:
        """The address of the database, which names neither user nor password."""
        return f"postgresql://{HOST}:{self.port}/{DATABASE}"

    @property
    def uri(self) -> str:
        """The address with user and password."""
        return f"postgresql://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{DATABASE}"

    def execute(self, statement: str, database: str = DATABASE) -> str:
        """What psql prints of statements."""
        address = [f"--host={HOST}", f"--port={self.port}", f"--username={USER}", f"--dbname={database}"]
        flags = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        environment = {**os.environ, "PGPASSWORD": self.password}
        command = [self.programs / "psql", *address, *flags, "--command", statement]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        options = f"-p {self.port} -c listen_addresses={HOST} -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a power cut does."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        _run(self.programs / "pg_ctl", "-D", self.folder / "data", *arguments)


def programs() -> Path | None:
    """The folder of the server's programs, which Debian has outside of the search path; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """A new server; skips the test where PostgreSQL is not installed, unless CI=true."""
    found = programs()
    if found is None:
        message = "PostgreSQL is not installed: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # sockets need a short path
    server = PostgreSQL(found, folder, free_port(), f"p@ss/w:rd?{secrets.token_hex(8)}%")
    try:
        (folder / "password").write_text(server.password)
        if owner := _unprivileged():
            for path in (folder, folder / "password"):
                shutil.chown(path, owner)
        access = ("-U", USER, "-A", "scram-sha-256", f"--pwfile={folder / 'password'}")
        _run(found / "initdb", "-D", folder / "data", *access, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        server.start()
        try:
            server.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str | None:
    """The user that runs the server where the tests run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _run(*command: object) -> None:
    result = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        user=_unprivileged(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the server keeps what pg_ctl was given
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
