"""Commands run in processes of their own, forked from one that has imported the libraries that they work with.

Evidently alone takes five seconds of a processor to import, which is more than most commands of the tests take. The
process that is forked is shared by the workers of a run, and is started by the first one that needs it. It imports
nothing of this repository: the library under test, a command's own modules, and those of its project are imported anew
each time. What the tests watch is kept: arguments, folder, environment, output, exit code and the process's end. What
it hides is what libraries print while they are imported, so `alone` has a command run in a new interpreter.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

IMPORTED = (
    "_bentoml_sdk",
    "bentoml._internal.service.loader",
    "bentoml.models",
    "evidently.metrics",
    "evidently.presets",
    "httpx",
    "jinja2.sandbox",
    "pandas",
    "plotly.express",
    "plotly.subplots",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.isotonic",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "typer",
    "xgboost",
)

OWN = ("PYTHON", "OMP_", "OPENBLAS_", "MKL_", "NPY_", "LD_", "MALLOC_", "BENTOML_CONFIG")
"""Beginnings of the variables that decide how an interpreter or a library starts: those of the process are kept."""

NO_OWN = frozenset({"PYTHONPATH"})

_ADDRESS = "TESTS_COMMANDS"
_BEGUN = dict(os.environ)
"""The environment of the tests, before one of them changed it for itself."""


def run(
    module: str, arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], *, alone: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` in a folder and give what it printed and how it ended.

    Parameters
    ----------
    module : str
        The module.
    arguments : tuple of str
        Its arguments.
    cwd : Path
        The folder it is run in.
    environment : mapping
        All of its environment.
    alone : bool
        Whether to start an interpreter for it.
    """
    command = [sys.executable, "-m", module, *arguments]
    if alone or _own(environment) != _own(_BEGUN) or not hasattr(os, "fork"):
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        Path(os.devnull).open() as nothing,
        _connected() as connection,
        connection.makefile() as returned,
    ):
        asked = {"module": module, "arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
        socket.send_fds(connection, [b"0"], [nothing.fileno(), out.fileno(), err.fileno()])
        connection.sendall(json.dumps(asked).encode() + b"\n")
        code = returned.readline()
        assert code, f"the process that runs commands ended: {module} {arguments}"
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, int(code), out.read(), err.read())


def address(folder: Path) -> None:
    """Decide where the process of this run listens, for the workers to inherit; it ends with this one."""
    os.environ.setdefault(_ADDRESS, f"{folder / 'commands'}:{os.getpid()}")


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(OWN) and name not in NO_OWN}


def _connected() -> socket.socket:
    path, owner = os.environ[_ADDRESS].rsplit(":", 1)
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(OSError):
            return _connect(path)
        log = Path(f"{path}.log")
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, str(Path(__file__).resolve()), path, owner],
            _BEGUN,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            with suppress(OSError):
                return _connect(path)
            time.sleep(0.05)
        raise AssertionError(log.read_text())


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _listen(path: str, owner: int) -> None:
    """Fork for every connection, until the process that the run began with is gone."""
    os.setsid()
    for name in IMPORTED:
        import_module(name)
    gc.collect()
    gc.freeze()
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    launcher = _write_launcher(path)
    making = f"{path}.making"
    with socket.socket(socket.AF_UNIX) as listener:
        Path(making).unlink(missing_ok=True)
        listener.bind(making)
        listener.listen()
        listener.settimeout(5)
        os.rename(making, path)  # who can connect need not wait
        while _lives(owner):
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                if not os.fork():
                    listener.close()
                    _serve(connection, launcher)
                connection.close()


def _write_launcher(path: str) -> Path:
    """Write a `python` that has the library's commands forked too, and is the interpreter for all else.

    It is the interpreter of the commands that are forked, so that those that a command runs need not import either.
    """
    launcher = Path(f"{path}.bin", "python")
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(
        f"#!{sys.executable} -IS\n"
        "import json, os, socket, sys\n"
        f"real, path, own = {sys.executable!r}, {path!r}, {_own(os.environ)!r}\n"
        f"beginnings, free = {OWN!r}, {set(NO_OWN)!r}\n"
        "given, environment = sys.argv[1:], dict(os.environ)\n"
        "mine = {k: v for k, v in environment.items() if k.startswith(beginnings) and k not in free}\n"
        "if given[:2] != ['-m', 'tabular_bento'] or mine != own:\n"
        "    os.execv(real, [real, *given])\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.connect(path)\n"
        "socket.send_fds(connection, [b'0'], [0, 1, 2])\n"
        "asked = {'module': given[1], 'arguments': given[2:], 'cwd': os.getcwd(), 'environment': environment}\n"
        "connection.sendall(json.dumps(asked).encode() + b'\\n')\n"
        "code = int(connection.makefile().readline())\n"
        "sys.exit(code if code >= 0 else 128 - code)\n"
    )
    launcher.chmod(0o700)
    return launcher


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _serve(connection: socket.socket, launcher: Path) -> None:
    """Fork for one command, and say how it ended."""
    connection.settimeout(None)
    _, printed, _, _ = socket.recv_fds(connection, 1, 3)
    asked = json.loads(connection.makefile().readline())
    child = os.fork()
    if not child:
        connection.close()
        _become(asked, printed, launcher)
    for number in printed:
        os.close(number)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: dict[str, Any], printed: list[int], launcher: Path) -> None:
    """Be the process of a command."""
    for number, file in enumerate(printed):
        os.dup2(file, number)
        os.close(file)
    sys.executable = str(launcher)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    paths = asked["environment"].get("PYTHONPATH", "")
    sys.path[:] = [asked["cwd"], *filter(None, paths.split(os.pathsep)), *_BASE]
    sys.argv = [asked["module"], *asked["arguments"]]
    status: object = 0
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    except BaseException:  # as the interpreter does
        traceback.print_exc()
        status = 1
    sys.exit(status)  # type: ignore[arg-type]


if __name__ == "__main__":
    _given = {str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
    _BASE = [path for path in sys.path[1:] if str(Path(path).resolve()) not in _given]
    _listen(sys.argv[1], int(sys.argv[2]))
