"""How what is not installed is installed, for messages."""

from __future__ import annotations

import sys
from pathlib import Path

_WHEELS, _LOCK = "wheels", "requirements.txt"
"""What a project has beside its environment that `tabular-bento new` made."""


def install_command(requirement: str) -> str:
    """The command that installs a requirement where this process runs.

    In the environment of a project that `tabular-bento new` made, which `make` builds from a lock that lacks it, that
    is the environment's own pip.

    Parameters
    ----------
    requirement : str
        Such as `tabular-bento[keras]`.
    """
    quoted = f"'{requirement}'" if "[" in requirement else requirement
    python, root = Path(sys.prefix) / "bin" / "python", Path(sys.prefix).parent
    if not ((root / _WHEELS).is_dir() and (root / _LOCK).is_file()):
        return f"pip install {quoted}"
    here = Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    return f"{shown} -m pip install {quoted}"
