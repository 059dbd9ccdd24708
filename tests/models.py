"""Models of the flights that tests share, trained once for a state of the code and kept in .cache/tests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import commands

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "tests"
SMALL = ROOT / "tests" / "small.toml"
CONFIGS = {"small": SMALL, "full": ROOT / "training" / "config.toml"}
"""Settings by name of the model: the small one, and the project's own on six months of flights."""

FORGOTTEN_AFTER = 7 * 86_400
"""Seconds after which models of another state of the code are removed."""


def trained_model(name: str, store: Path) -> dict[str, Any]:
    """Put a model into a store as its latest, trained if it is not in the cache.

    Parameters
    ----------
    name : str
        One of `CONFIGS`.
    store : Path
        A store of BentoML.

    Returns
    -------
    dict
        What `tabular-bento train --json` printed.
    """
    cached = _cached(name)
    shutil.copytree(cached / "store", store, dirs_exist_ok=True)
    document: dict[str, Any] = json.loads((cached / "trained.json").read_text())
    return document


def run_command(
    *arguments: str, module: str = "tabular_bento", cwd: Path = ROOT, alone: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS`, by default the command of the library; `alone` in a new interpreter."""
    return commands.run(module, arguments, cwd, {**os.environ, **environment}, alone=alone)


def _cached(name: str) -> Path:
    folder = CACHE / f"{name}-{_key(name)}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:  # workers of a run share what the first one makes
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _forget(name)
            making = CACHE / f"{name}.making"
            shutil.rmtree(making, ignore_errors=True)
            arguments = ("train", "--json", "--config", str(CONFIGS[name]))
            result = run_command(*arguments, BENTOML_HOME=str(making / "store"))
            assert result.returncode == 0, result.stdout + result.stderr
            (making / "trained.json").write_text(result.stdout.splitlines()[-1])
            making.rename(folder)
        os.utime(folder)
    return folder


def _key(name: str) -> str:
    digest = hashlib.sha256(platform.python_version().encode())
    for path in [CONFIGS[name], ROOT / "requirements" / "dev.txt", *_sources()]:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    """All that decides what a training makes."""
    for folder in ("features", "training", "tabular_bento"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def _forget(name: str) -> None:
    for folder in CACHE.glob(f"{name}-*"):
        if time.time() - folder.stat().st_mtime > FORGOTTEN_AFTER:
            shutil.rmtree(folder, ignore_errors=True)
