"""A real browser without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def rendered(page: Path, profile: Path) -> str:
    """The document of `page` after its scripts have run, as HTML. Skips where there is no browser, but not in CI."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        reason = f"there is no browser: install one of {', '.join(NAMES)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
        "--window-size=1280,2000",
        "--virtual-time-budget=30000",
        "--dump-dom",
        page.resolve().as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout
