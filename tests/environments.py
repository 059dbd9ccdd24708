"""Environments of their own, beside the project's, for what would not get along with it.

`python -m tests.environments NAME...` makes them, as make does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
INSTALL = ("install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r")


def environment(name: str, *locks: str) -> Path:
    """The Python of `.venv-NAME`, with the requirements of the locks, made again whenever one of them changes."""
    requirements = [_lock(lock) for lock in locks or (name,)]
    folder = ROOT / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / ".locked"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in requirements)).hexdigest()
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
            for path in requirements:
                subprocess.run([*PIP, "--python", python, *INSTALL, path], check=True)
            stamp.write_text(wanted)
        os.utime(stamp)  # make compares it with the locks by age
    return python


def _lock(name: str) -> Path:
    """A lock of this repository's, or one of an image's."""
    path = ROOT / "requirements" / f"{name}.txt"
    return path if path.exists() else ROOT / "tabular_bento" / "serving" / "locks" / f"{name}.txt"


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        environment(wanted)
