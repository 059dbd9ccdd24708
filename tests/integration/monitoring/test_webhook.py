"""The webhook, posted to a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.errors import OutputError
from tabular_bento.monitoring.drift import webhook
from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE, Judgement, run
from tabular_bento.monitoring.drift.settings import OutputSettings
from tests.integration.monitoring.logs import year


@dataclass
class Hook:
    """A server that responds with the codes given, the last one for ever, and holds what it was sent."""

    codes: list[int]
    seconds: float = 0.0
    url: str = ""
    received: list[Any] = field(default_factory=list)


@contextmanager
def hook(*codes: int, seconds: float = 0.0) -> Iterator[Hook]:
    served = Hook(list(codes), seconds)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            served.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(served.seconds)
            self.send_response(served.codes.pop(0) if len(served.codes) > 1 else served.codes[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PAUSE_SECONDS", 0.01)


def test_an_alert_is_posted(july_log: Path, tmp_path: Path) -> None:
    with hook(204) as served:
        done = run(year(july_log), tmp_path, outputs=OutputSettings(webhook=served.url))
    (posted,) = served.received
    assert done.complaints == []
    assert (posted["verdict"], posted["alert"]["alert"], posted["exit_code"]) == ("drift", True, 1)
    assert posted["text"].startswith(f"drift of {done.result.model}: ")
    assert {finding["severity"] for finding in posted["findings"]} <= {"alarm", "warning", "notice"}
    assert posted["findings"][0]["look_at"]
    assert posted["links"]["report"] == (tmp_path / REPORT_FILE).as_uri()


def test_no_alert_is_not_posted(july_log: Path, tmp_path: Path) -> None:
    with hook(204) as served:
        outputs = OutputSettings(webhook=served.url, alert_after=2, alert_of=3)
        done = run(year(july_log), tmp_path, outputs=outputs)
    assert served.received == []
    assert (done.result.verdict, done.result.exit_code) == ("drift", 0)


def test_a_failing_webhook_hides_nothing(july_log: Path, tmp_path: Path) -> None:
    with hook(500) as served:
        done = run(year(july_log), tmp_path, outputs=OutputSettings(webhook=served.url, webhook_attempts=2))
    assert len(served.received) == 2
    assert (done.result.verdict, done.result.exit_code, done.written) == ("drift", 1, True)
    (complaint,) = done.complaints
    assert "after 2 attempt(s): it returned 500" in complaint
    assert done.result.findings[-1].kind == "webhook_failed"
    written = json.loads((tmp_path / RESULT_FILE).read_text())
    assert "webhook_failed" not in {finding["kind"] for finding in written["findings"]}
    assert (tmp_path / REPORT_FILE).exists()


@pytest.mark.parametrize(("codes", "tries"), [((503, 204), 2), ((429, 500, 200), 3), ((200,), 1)])
def test_what_may_pass_is_tried_again(codes: tuple[int, ...], tries: int) -> None:
    with hook(*codes) as served:
        webhook.post(served.url, {}, 3, 5)
    assert len(served.received) == tries


@pytest.mark.parametrize("code", [400, 404, 301])
def test_what_cannot_pass_is_not_tried_again(code: int) -> None:
    with hook(code) as served, pytest.raises(OutputError, match=f"after 1 attempt.*{code}"):
        webhook.post(served.url, {}, 3, 5)
    assert len(served.received) == 1


def test_a_slow_webhook_is_left() -> None:
    with hook(200, seconds=1.0) as served, pytest.raises(OutputError, match=r"after 2 attempt.*ReadTimeout"):
        webhook.post(served.url, {}, 2, 0.05)


def test_no_server_and_no_address() -> None:
    with pytest.raises(OutputError, match="ConnectError"):
        webhook.post("http://127.0.0.1:9/hook", {}, 2, 1)
    with pytest.raises(OutputError, match="after 1 attempt"):
        webhook.post("no address", {}, 2, 1)


def test_links_may_be_public(july: Judgement) -> None:
    links = webhook.links(Path("out/result.json"), Path("out/report.html"), "https://drift.example/july/")
    assert links["report"] == "https://drift.example/july/report.html"
    assert webhook.message(july.result, links)["text"].endswith(links["report"])
