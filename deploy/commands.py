"""Runs other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from deploy.errors import DeployError, ToolError

_QUOTED_LINES = 12


def run(command: Sequence[str], what: str) -> str:
    """Standard output of `command`.

    Raises
    ------
    DeployError
        With the last lines of its output, where it fails at `what`.
    ToolError
        Where the program is not installed.
    """
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ToolError(f"{what} needs {command[0]}, which is not installed.") from None
    if result.returncode:
        words = "\n".join((result.stderr.strip() or result.stdout.strip()).splitlines()[-_QUOTED_LINES:])
        raise DeployError(f"{what} failed: `{' '.join(command[:3])}` ended with {result.returncode}:\n{words}")
    return result.stdout


def podman(*arguments: str, what: str) -> str:
    """Standard output of podman, without the line end."""
    return run(["podman", *arguments], what).strip()
