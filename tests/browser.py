"""A real browser without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


LAPTOP = 1_280

_MEASURE = """<script>setTimeout(() => {
  const right = (of) => Math.round(of.getBoundingClientRect().right);
  document.querySelectorAll("#verdict *").forEach((one) => {
    if (right(one) > right(document.querySelector("#verdict"))) document.body.dataset.beyond = one.outerHTML;
  });
  document.body.dataset.width = document.documentElement.scrollWidth;
}, 10000)</script>"""
"""Notes on the body, once all is drawn, how wide the page is, and what is beyond the right end of its own section."""


def measured(page: Path, profile: Path) -> tuple[int, str | None]:
    """How wide `page` is in a window as wide as a laptop's, in pixels, and an element beyond its section, if any."""
    copy = profile.with_name(f"{profile.name}.html")
    head, end, rest = page.read_text().rpartition("</body>")
    copy.write_text(head + _MEASURE + end + rest)
    body = re.search(r"<body[^>]*>", rendered(copy, profile))
    assert body is not None
    width = re.search(r'data-width="(\d+)"', body[0])
    assert width is not None
    beyond = re.search(r'data-beyond="([^"]*)"', body[0])
    return int(width[1]), beyond[1] if beyond else None


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
        f"--window-size={LAPTOP},2000",
        "--virtual-time-budget=30000",
        "--dump-dom",
        page.resolve().as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout
