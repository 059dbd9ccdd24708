"""The commit of the code that runs: what a package was trained by, and what a bento was built from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit_of(checkout: Path | None = None) -> str | None:
    """The commit of a checkout.

    Parameters
    ----------
    checkout : Path, optional
        A folder in it; by default the working folder.

    Returns
    -------
    str or None
        With `-dirty` where files differ from it; None outside of a checkout, or without git.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() or None
