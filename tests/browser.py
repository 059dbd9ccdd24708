"""A real browser without a network: headless Chromium, steered over pipes by its DevTools protocol."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

LAPTOP = (1_280, 800)
PHONE = (390, 844)

SCHEMES = ("light", "dark")

_READY = "(!document.getElementById('plotly') || document.documentElement.dataset.ready === 'true')"
"""What a page of the library's templates says when its charts are drawn."""

_INSIDE = ("file:", "data:", "blob:", "about:")
"""Addresses that need no network."""


@dataclass
class Page:
    """An opened page: what it asked for, what went wrong in it, and a way to look at it."""

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def fetched(self) -> list[str]:
        """What the page asked a network for."""
        return [address for address in self.requests if not address.startswith(_INSIDE)]

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is; a promise is awaited. Fails where it throws."""
        given = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = self.browser.send("Runtime.evaluate", given, self.session)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, seconds: int = 60) -> None:
        """Wait until a JavaScript expression is true. Fails where it never is."""
        loop = (
            "new Promise((done, failed) => { const end = performance.now() + " + str(seconds * 1000) + "; "
            f"const look = () => ({expression}) ? done(true) : performance.now() > end "
            "? failed(new Error('it never was')) : setTimeout(look, 50); look(); })"
        )
        self.value(loop)

    def screenshot(self, path: Path) -> None:
        """A picture of what is seen without scrolling, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.browser.send("Page.captureScreenshot", {"format": "png"}, self.session)
        path.write_bytes(base64.b64decode(picture["data"]))

    def press(self, key: str) -> None:
        """Press and release a key that is named as in KeyboardEvent.key."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            given = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
            if key == "Enter" and kind == "keyDown":
                given["text"] = "\r"
            self.browser.send("Input.dispatchKeyEvent", given, self.session)


class Browser:
    """A browser's process and its two pipes of messages, each ended by a zero byte."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to, self._back, self._last = to, back, 0
        self._pages: dict[str, Page] = {}

    def send(self, method: str, given: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result; what happens meanwhile is noted on the pages."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": given or {}}
        if session:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            got = self._receive()
            if got.get("id") == self._last:
                assert "error" not in got, (method, got["error"])
                result: dict[str, Any] = got["result"]
                return result
            self._note(got)

    def open(self, path: Path, size: tuple[int, int] = LAPTOP, scheme: str = "light") -> Page:
        """Open a file in a window of that size, for a reader who prefers light or dark, and wait for its charts."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable", session=session)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.send("Emulation.setDeviceMetricsOverride", metrics, session)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.send("Emulation.setEmulatedMedia", media, session)
        self.send("Page.navigate", {"url": path.resolve().as_uri()}, session)
        page.wait_for("document.readyState === 'complete' && " + _READY)
        return page

    def _receive(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser ended"
            message += byte
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is None:
            return
        method, given = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            page.requests.append(given["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            page.errors.append(str(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            page.errors.append(str(given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            page.errors.append(str(given["entry"]["text"]))


def embedded(text: str, name: str = "evidently-page") -> str:
    """The page that is embedded in a page, as HTML; empty where there is none."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', text)
    return gzip.decompress(base64.b64decode(found[1])).decode() if found else ""


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser. Skips where there is none, but not in CI."""
    command = next(filter(None, map(shutil.which, NAMES)), None)
    if command is None:
        reason = f"there is no browser: install one of {', '.join(NAMES)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    read_there, write_here = os.pipe()
    read_here, write_there = os.pipe()
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        arguments = [
            command,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        # The protocol's pipes are file descriptors 3 and 4 of the browser.
        shell = f'exec "$@" 3<&{read_there} 4>&{write_there}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *arguments],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_there)
        os.close(write_there)
        try:
            with os.fdopen(write_here, "wb") as to, os.fdopen(read_here, "rb") as back:
                yield Browser(to, back)
        finally:
            try:
                process.wait(timeout=5)  # it ends with its pipes
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def rendered(page: Path, _: Path | None = None) -> str:
    """The document of a page after its scripts have run, as HTML. Skips where there is no browser, but not in CI."""
    with browser() as opened:
        document: str = opened.open(page).value("document.documentElement.outerHTML")
        return document
