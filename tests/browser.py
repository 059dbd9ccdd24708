"""A real browser without a network: headless Chromium, steered over pipes by its DevTools protocol."""

from __future__ import annotations

import atexit
import base64
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

LAPTOP = (1_280, 800)
PHONE = (390, 844)

SCHEMES = ("light", "dark")

_READY = "(!document.getElementById('plotly') || document.documentElement.dataset.ready === 'true')"
"""What a page of the library's templates says when its charts are drawn."""

_INSIDE = ("file:", "data:", "blob:", "about:")
"""Addresses that need no network."""


_CONTRAST = """(() => {
  const rgba = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const linear = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.nodeValue.trim(), node = walker.currentNode.parentElement;
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) || !node.checkVisibility()) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize), drawn = node.closest("svg");
    const ground = behind(drawn ? drawn.parentElement : node);
    const ink = over(rgba(drawn ? style.fill : style.color), ground);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 600);
    const found_ratio = ratio(ink, ground);
    if (found_ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 60)}: ${found_ratio.toFixed(2)}`);
  }
  return found;
})()"""

_OVERFLOW = """(() => {
  const scrolls = (node) => node && (["auto", "scroll", "hidden"].includes(getComputedStyle(node).overflowX)
    || scrolls(node.parentElement));
  return [...document.body.querySelectorAll("*:not(svg *)")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && node.checkVisibility() && !node.matches(".skip, .hidden, .hidden *, #js-plotly-tester")
      && (box.right > innerWidth + 0.5 || box.left < -0.5) && !scrolls(node.parentElement);
  }).map((node) => node.cloneNode().outerHTML.slice(0, 120));
})()"""

_FOCUSED = """(() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const stops = window.stops = window.stops || [];
  const number = stops.includes(node) ? stops.indexOf(node) : stops.push(node) - 1;
  const style = getComputedStyle(node), box = node.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return { number, seen: outlined && inside && box.width > 0, html: node.cloneNode().outerHTML.slice(0, 120) };
})()"""


_NOT_DRAWN = """[...document.querySelectorAll(".plot")]
  .filter((one) => !one.querySelector(".trace, .heatmaplayer image, .scatterlayer, canvas"))
  .map((one) => one.getAttribute("aria-label"))"""

_STOPS = """[...document.querySelectorAll("a[href], summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility()).map((one) => one.cloneNode().outerHTML.slice(0, 120))"""


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

    def low_contrast(self) -> list[str]:
        """Texts whose contrast with what is behind them is below that of WCAG 2 AA, each with its ratio.

        It must be 4.5, or 3 for text of 24 px, or of 18.66 px in bold. Texts of charts are measured too.
        """
        return list(self.value(_CONTRAST))

    def wider_than_its_box(self) -> list[str]:
        """Elements that stand out of the page on the right or left, but for those in a box that scrolls."""
        return list(self.value(_OVERFLOW))

    def tab_stops(self, most: int = 200) -> list[str]:
        """What the Tab key reaches from the start of the page, in order, as the elements' HTML without their content.

        Fails where an element that has the focus does not show it.
        """
        self.value("document.activeElement.blur()")
        found: list[str] = []
        for _ in range(most):
            self.press("Tab")
            stop = self.value(_FOCUSED)
            if stop is None or stop["number"] < len(found):
                return found
            assert stop["seen"], f"focus is not shown: {stop['html']}"
            found.append(stop["html"])
        raise AssertionError(f"more than {most} elements take the focus")

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

    shared: ClassVar[Browser | None] = None
    """The one that waits to be used again."""

    def __init__(self, process: subprocess.Popen[bytes], profile: Path, to: IO[bytes], back: io.BufferedReader) -> None:
        self._process, self._profile = process, profile
        self._to, self._back, self._last = to, back, 0
        self._received = bytearray()
        self._pages: dict[str, Page] = {}
        self._targets: list[str] = []

    def close_pages(self) -> None:
        """Close what was opened."""
        for target in self._targets:
            self.send("Target.closeTarget", {"targetId": target})
        self._targets.clear()
        self._pages.clear()

    def end(self) -> None:
        """End the process; it ends with its pipes."""
        with suppress(OSError):
            self._to.close()
            self._back.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

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
        self._targets.append(target)
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable", session=session)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.send("Emulation.setDeviceMetricsOverride", metrics, session)
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        media = {"features": [{"name": name, "value": value} for name, value in wanted.items()]}
        self.send("Emulation.setEmulatedMedia", media, session)
        self.send("Page.navigate", {"url": path.resolve().as_uri()}, session)
        page.wait_for("document.readyState === 'complete' && " + _READY)
        return page

    def _receive(self) -> dict[str, Any]:
        while (end := self._received.find(b"\0")) < 0:
            more = self._back.read1(1 << 20)
            assert more, "the browser ended"
            self._received += more
        found: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
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


def faults(opened: Browser, path: Path) -> list[str]:
    """What is wrong with a page in windows of a laptop and of a phone, light and dark, with all of its sections open.

    Nothing may be fetched, no error may occur, every chart must be drawn, nothing may be wider than the window, all
    text must have contrast, and the keyboard must reach every link, section and table that scrolls.
    """
    found: list[str] = []
    for size in (LAPTOP, PHONE):
        for scheme in SCHEMES:
            page = opened.open(path, size, scheme)
            page.value("document.querySelectorAll('details:not(.embedded)').forEach((one) => { one.open = true; })")
            wrong = [f"fetched {address}" for address in page.fetched] + page.errors
            wrong += [f"not drawn: {label}" for label in page.value(_NOT_DRAWN)]
            wrong += [f"contrast: {text}" for text in page.low_contrast()]
            wrong += [f"too wide: {element}" for element in page.wider_than_its_box()]
            if page.value("document.documentElement.scrollWidth") != size[0]:
                wrong.append("the page scrolls sideways")
            if scheme == SCHEMES[0]:
                reached, stops = page.tab_stops(), page.value(_STOPS)
                wrong += [f"not reached by Tab: {stop}" for stop in stops if stop not in reached]
            found += [f"{path.name} at {size[0]} px, {scheme}: {one}" for one in wrong]
    return found


def embedded(text: str, name: str = "evidently-page") -> str:
    """The page that is embedded in a page, as HTML; empty where there is none."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', text)
    return gzip.decompress(base64.b64decode(found[1])).decode() if found else ""


@contextmanager
def browser() -> Iterator[Browser]:
    """The process's browser, started for the first who asks. Skips where there is none, but not in CI.

    The pages that were opened are closed behind, and a browser in which a test failed is not used again.
    """
    opened = Browser.shared or _started()
    Browser.shared = None
    try:
        yield opened
        opened.close_pages()
    except BaseException:
        opened.end()
        raise
    Browser.shared = opened


def _started() -> Browser:
    command = next(filter(None, map(shutil.which, NAMES)), None)
    if command is None:
        reason = f"there is no browser: install one of {', '.join(NAMES)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    profile = tempfile.mkdtemp(prefix="browser-")
    read_there, write_here = os.pipe()
    read_here, write_there = os.pipe()
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
    opened = Browser(process, Path(profile), os.fdopen(write_here, "wb"), os.fdopen(read_here, "rb"))
    atexit.register(opened.end)
    return opened


def rendered(page: Path, _: Path | None = None) -> str:
    """The document of a page after its scripts have run, as HTML. Skips where there is no browser, but not in CI."""
    with browser() as opened:
        document: str = opened.open(page).value("document.documentElement.outerHTML")
        return document
