"""The page and the rest of what the job hands on, as files and in a real browser."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from tabular_bento.monitoring.drift import evidently, job
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import (
    HISTORY_FILE,
    INDEX_FILE,
    REPORT_FILE,
    RESULT_FILE,
    RUNS,
    Judgement,
    judge,
    run,
)
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.monitoring.files import write_whole
from tabular_bento.monitoring.window.data import Query
from tabular_bento.scoring.package import ModelPackage
from tests.browser import LAPTOP, PHONE, SCHEMES, Page, browser, embedded, faults
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, year
from tests.integration.monitoring.test_history import windowed
from tests.integration.monitoring.verdicts import kinds, strict
from training.source import Flights

ROWS = 3_000


@pytest.fixture(scope="module")
def out(package: ModelPackage, flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job wrote of a window without wind directions; not to be altered."""
    folder = tmp_path_factory.mktemp("page")
    table = drawn(flights, JULY, AUGUST, ROWS)
    predictions = record(folder / "log", package, table, wind_dir=np.full(ROWS, np.nan))
    post(folder / "log", labels_of(table, predictions))
    done = run(year(folder / "log"), folder / "out")
    assert done.complaints == []
    return folder / "out"


FIRST_SCREEN = "#most-drifted .plot", "#error .plot", "#look-first"
"""What is seen without scrolling, beside the verdict."""

TRACES = "svg.main-svg .trace, svg.main-svg .scatterlayer .trace, svg.main-svg .barlayer .trace"


def bottoms(page: Page, selector: str) -> list[float]:
    """Where the elements end below the top of the window, in pixels."""
    found: list[float] = page.value(
        f"[...document.querySelectorAll({selector!r})].map((one) => one.getBoundingClientRect().bottom)"
    )
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_a_browser_without_a_network_draws_it(out: Path, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    """Nothing is fetched or wrong, all charts are drawn, and nothing is wider than the window."""
    with browser() as opened:
        page = opened.open(out / REPORT_FILE, size, scheme)
        page.screenshot(tmp_path / "report.png")
        assert (page.fetched, page.errors) == ([], [])
        assert page.value("document.documentElement.scrollWidth") == size[0]
        drawn = f"[...document.querySelectorAll('.plot')].map((one) => one.querySelectorAll({TRACES!r}).length)"
        traces = page.value(drawn)
        assert len(traces) >= 4
        assert all(traces), traces
        widths = page.value(
            "[...document.querySelectorAll('.plot')].map((one) => one.querySelector('svg').clientWidth)"
        )
        assert max(widths) <= size[0]
        light = page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light == (scheme == "light")
    picture = (tmp_path / "report.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(picture) > 20_000


def test_the_error_over_time_is_drawn_beside_the_band_of_the_reference(july: Judgement, tmp_path: Path) -> None:
    """Every point is inside the chart, on an axis of time."""
    result = july.result.model_copy(update={"performance_band": (10.0, 20.0)})
    write_whole(tmp_path / REPORT_FILE, page(result, None, [Entry.of(result)]))
    with browser() as opened:
        shown = opened.open(tmp_path / REPORT_FILE)
        assert shown.value("document.querySelector('#error .js-plotly-plot')._fullLayout.xaxis.type") == "date"
        points = "document.querySelectorAll('#error .scatterlayer .trace:first-child path.point').length"
        assert shown.value(points) == len(result.performance) > 20
        assert shown.errors == []


def test_the_first_screen_of_a_laptop_says_it_all(out: Path) -> None:
    with browser() as opened:
        page = opened.open(out / REPORT_FILE)
        heading = page.value("document.querySelector('h1').innerText")
        assert re.fullmatch(r"Drift from 1 January 2013 to 1 January 2014, 3,000 rows over \d+ days", heading)
        seen = {selector: bottoms(page, selector) for selector in ("h1", *FIRST_SCREEN)}
        assert [len(found) for found in seen.values()] == [1, 3, 1, 1]
        assert max(max(found) for found in seen.values()) <= LAPTOP[1]
        assert page.value("document.querySelector('#most-drifted h3').innerText").startswith("wind_dir")
        first = page.value("document.querySelector('#look-first li').innerText")
        assert "wind_dir: all of its 3,000 values are missing" in first
        assert "Look first at the source of wind_dir" in first


def test_it_can_be_read_by_keyboard(out: Path) -> None:
    """The first key leads past the heading, focus is seen, and tables scroll."""
    with browser() as opened:
        page = opened.open(out / REPORT_FILE, PHONE)
        page.press("Tab")
        assert page.value("document.activeElement.innerText") == "Skip to content"
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert page.value("document.activeElement.getBoundingClientRect().left") >= 0
        page.press("Enter")
        page.wait_for("location.hash === '#content'")
        assert page.value("[...document.querySelectorAll('.scroll')].every((one) => one.tabIndex === 0)")


def test_it_has_contrast_and_every_control_is_reached_by_keyboard(out: Path) -> None:
    with browser() as opened:
        assert faults(opened, out / REPORT_FILE) == []
        assert faults(opened, out / INDEX_FILE) == []


def test_text_with_too_little_contrast_is_a_fault(tmp_path: Path) -> None:
    """The ratios are those of WCAG 2: on white #767676 has 4.54, #999 2.85 and #949494 3.03."""
    path = tmp_path / "pale.html"
    path.write_text(
        "<!doctype html><title>Pale</title><meta name=viewport content='width=device-width'><body style='color: #111'>"
        "<p style='color: #767676'>grey</p><p style='color: #999'>pale</p><p style='color: #949494'>small</p>"
        "<p style='color: #949494; font-size: 24px'>large</p>"
        "<div style='background: #222'><p>dark on dark</p><p style='color: #fff'>white on dark</p></div>"
        "<svg width=99 height=20><text y=15 fill='#ccc'>in a chart</text></svg></body>"
    )
    with browser() as opened:
        found = faults(opened, path)
    pale = ["pale: 2.85", "small: 3.03", "dark on dark: 1.19", "in a chart: 1.61"]
    assert found == [
        f"pale.html at {size[0]} px, {scheme}: contrast: {text}"
        for size in (LAPTOP, PHONE)
        for scheme in SCHEMES
        for text in pale
    ]


def test_evidently_s_report_opens_without_a_network(out: Path) -> None:
    with browser() as opened:
        page = opened.open(out / REPORT_FILE)
        assert page.value("document.querySelector('iframe')") is None, "nothing of it is drawn before it is asked for"
        page.value("document.querySelector('details.embedded > summary').click()")
        inside = "document.querySelector('iframe')?.contentDocument"
        page.wait_for(f"{inside}?.querySelectorAll('.js-plotly-plot').length > 20")
        page.wait_for("document.querySelector('iframe').clientHeight > 2000")
        assert (page.fetched, page.errors) == ([], [])
        assert "Drift in column 'wind_dir'" not in page.value(f"{inside}.body.innerText")


def test_it_has_all_that_the_verdict_rests_on(out: Path) -> None:
    text = (out / REPORT_FILE).read_text()
    assert len(text.encode()) < 5_000_000
    assert not re.search(r'<(?:script|img|iframe|link)[^>]+(?:src|href)="(?:https?:)?//', text), "nothing is fetched"
    names = ["findings", "columns", "labels", "trend", "rows", "evidently"]
    opening = [text.index(f'<h2 id="{name}">') for name in names]
    assert opening == sorted(opening)
    result = strict((out / RESULT_FILE).read_text())
    findings = [one for one in result["findings"] if one["severity"] != "note"]
    section = text[opening[0] : opening[1]]
    shown = [unescape(found) for found in re.findall(r"<b>(?:alarm|warning|notice)</b><span>([^<]*)", section)]
    assert shown == [one["text"] for one in findings]
    assert shown[0] == "wind_dir: all of its 3,000 values are missing; of the reference, 2.2% are"
    assert text[opening[1] : opening[2]].count("<svg") == len(result["columns"])
    for row in ("historical baseline", "naive baseline", "estimated without labels"):
        assert row in text[opening[2] : opening[3]]


def test_words_without_end_are_broken(july_log: Path, july: Judgement, tmp_path: Path) -> None:
    """Names from outside are of any length: of models, logs, columns and values."""
    query, endless = year(july_log), "x" * 400
    result = judge(Query(july_log, query.start, query.end, query.on, "carrier"), None, DriftSettings()).result
    reported = july.result.findings[0].model_copy(update={"text": endless, "look_at": endless})
    result = result.model_copy(
        update={
            "model": endless,
            "window": result.window.model_copy(update={"log": endless}),
            "findings": [reported, *result.findings],
            "columns": [one.model_copy(update={"reason": endless}) for one in result.columns],
            "segments": [one.model_copy(update={"value": f"{endless}{i}"}) for i, one in enumerate(result.segments)],
        }
    )
    (tmp_path / "page.html").write_text(page(result, None, [Entry.of(result)]))
    with browser() as opened:
        for size in (LAPTOP, PHONE):
            seen = opened.open(tmp_path / "page.html", size)
            assert seen.value("document.documentElement.scrollWidth") == size[0]


def test_plots_come_in_order_of_importance(out: Path) -> None:
    text = embedded((out / REPORT_FILE).read_text())
    columns = strict((out / RESULT_FILE).read_text())["columns"]
    first = [one for one in columns if one["healthy"] and (one["drifted"] or one["role"] != "feature")]
    names = ["prediction" if one["role"] == "prediction" else one["name"] for one in first]
    assert {"wind_speed", "temp", "prediction"} <= set(names)
    plots = [text.index(f"Drift in column '{name}'") for name in names]
    assert plots == sorted(plots)
    assert plots[-1] < text.index("Regression Model Performance") < text.index("Drift in column 'congestion'")


def test_text_from_outside_is_escaped(july: Judgement) -> None:
    reported = july.result.findings[0].model_copy(update={"text": "<script>alert(1)</script>"})
    named = july.result.columns[0].model_copy(update={"name": "</script><script>alert(2)</script>"})
    result = july.result.model_copy(
        update={"findings": [reported], "model": "<b>:1", "columns": [named, *july.result.columns[1:]]}
    )
    text = page(result, None, [Entry.of(result)])
    assert "<script>alert" not in text
    assert "<b>:1" not in text


def test_the_trend_is_drawn(july: Judgement) -> None:
    results = [windowed(july.result, day, "no_drift" if day % 2 else "drift") for day in range(26)]
    unknown = results[3].model_copy(update={"estimate": None})
    entries = [Entry.of(result) for result in (*results[:3], unknown, *results[4:])]
    text = page(results[-1], None, entries)
    section = text[text.index('<h2 id="trend">') : text.index('<h2 id="rows">')]
    assert section.count('<li class="badge') == 26
    charts = [json.loads(found) for found in re.findall(r'<script type="application/json">(.*?)</script>', section)]
    lines = [line for chart in charts for line in chart["data"]]
    assert [len(line["x"]) for line in lines] == [26] * len(lines)
    assert len(lines) == 6
    (estimated,) = (line for line in lines if line["name"] == "estimated without labels")
    assert estimated["y"][3] is None, "the line of estimates has a gap"
    assert sum(value is None for line in lines for value in line["y"]) == 1


def test_the_folder_of_runs_is_a_site(july_log: Path, tmp_path: Path) -> None:
    """Each window's report is kept as long as asked for, and the index leads to all of them."""
    out, outputs = tmp_path / "out", OutputSettings(keep_runs=2)
    for start in (datetime(2013, 7, 1), datetime(2013, 7, 8), datetime(2013, 7, 15), datetime(2013, 7, 15)):
        run(Query(july_log, start, start + timedelta(days=7), "sched_dep"), out, outputs=outputs)
    folders = sorted(path.name for path in (out / RUNS).iterdir() if path.is_dir())
    assert [name[:10] for name in folders] == ["2013-07-08", "2013-07-15"]
    text = (out / INDEX_FILE).read_text()
    links = re.findall(r'<th scope="row" class="window"><a href="([^"]+)"', text)
    assert links == [f"{RUNS}/{name}/{REPORT_FILE}" for name in reversed(folders)]
    assert (out / links[0]).read_text() == (out / REPORT_FILE).read_text()
    assert strict((out / links[0]).with_name(RESULT_FILE).read_text())["format"] == 6
    assert text.count('<tr><th scope="row" class="window">') == 3, "a window whose report is gone is listed"
    with browser() as opened:
        for size in (LAPTOP, PHONE):
            seen = opened.open(out / INDEX_FILE, size)
            assert (seen.fetched, seen.errors) == ([], [])
            assert seen.value("document.documentElement.scrollWidth") == size[0]
        linked = seen.value("document.querySelector('table a').getAttribute('href')")
        assert opened.open(out / linked).value("document.querySelector('#most-drifted') !== null")


def test_an_empty_window_has_a_page(tmp_path: Path) -> None:
    done = run(year(tmp_path / "log"), tmp_path / "out")
    assert (done.result.verdict, done.result.exit_code, done.complaints) == ("not_enough_data", 2, [])
    text = (tmp_path / "out" / REPORT_FILE).read_text()
    assert "Not enough data" in text
    assert "Look first at whether traffic arrives at all" in text


def test_a_held_back_alert_says_so(july: Judgement) -> None:
    alert = july.result.alert.model_copy(update={"alert": False, "after": 2, "of": 3})
    result = july.result.with_alert(alert)
    assert result.exit_code == 0
    text = page(result, None, [Entry.of(result)])
    assert "no alert yet (1 of the last 1 windows drifted, 2 of 3 alert)" in text


def test_failing_plots_keep_the_verdict(july_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no plots\ntoday")

    monkeypatch.setattr(evidently, "plot", fail)
    done = run(year(july_log), tmp_path)
    assert (done.result.verdict, done.result.exit_code, done.written) == ("drift", 1, True)
    assert strict((tmp_path / RESULT_FILE).read_text())["findings"][-1]["kind"] == "page_failed"
    assert "RuntimeError: no plots" in (tmp_path / REPORT_FILE).read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == [
        HISTORY_FILE,
        INDEX_FILE,
        REPORT_FILE,
        RESULT_FILE,
        RUNS,
    ]


def test_a_failing_page_keeps_the_verdict(july_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "page", lambda *_: 1 / 0)
    done = run(year(july_log), tmp_path)
    assert (done.result.exit_code, done.written) == (1, True)
    assert len(done.complaints) == 2
    assert kinds(done.result) >= {"page_failed"}
    assert not (tmp_path / REPORT_FILE).exists()
    assert strict((tmp_path / RESULT_FILE).read_text())["verdict"] == "drift"


def test_outputs_that_fail_are_findings(july_log: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    outputs = OutputSettings(history=blocked / "h", textfile=blocked / "t", workspace=blocked / "w", alert_after=2)
    done = run(year(july_log), tmp_path / "out", outputs=outputs)
    assert (done.result.verdict, done.written) == ("drift", True)
    assert done.result.alert.alert, "without a history, the window alone decides"
    assert kinds(done.result) >= {"history_failed", "textfile_failed", "workspace_failed"}
    text = (tmp_path / "out" / REPORT_FILE).read_text()
    assert "so this window alone decides the alert" in text
    assert kinds(done.result) == {
        one["kind"] for one in strict((tmp_path / "out" / RESULT_FILE).read_text())["findings"] if not one["column"]
    }


def test_a_folder_that_cannot_be_written_hides_no_verdict(july_log: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    done = run(year(july_log), tmp_path / "out", outputs=OutputSettings(history=tmp_path / "history.jsonl"))
    assert (done.result.verdict, done.written) == ("drift", False)
    assert "result_failed" in kinds(done.result)
    assert Entry.model_validate_json((tmp_path / "history.jsonl").read_text()).verdict == "drift"


def test_a_complaint_that_cannot_be_added_hides_no_verdict(
    july_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the first result.json on."""

    def write_once(path: Path, content: str) -> None:
        if (tmp_path / RESULT_FILE).exists():
            raise OSError("No space left on device")
        write_whole(path, content)

    monkeypatch.setattr(job, "write_whole", write_once)
    done = run(year(july_log), tmp_path)
    assert (done.written, done.exit_code) == (True, 1)
    assert [text.split(" (")[0] for text in done.complaints[-1:]] == ["result.json does not tell of what failed"]
    assert strict((tmp_path / RESULT_FILE).read_text())["verdict"] == "drift"


def test_a_rerun_replaces_everything(july_log: Path, tmp_path: Path) -> None:
    outputs = OutputSettings(textfile=tmp_path / "drift.prom", workspace=tmp_path / "workspace")
    for _ in range(2):
        run(year(july_log), tmp_path / "out", outputs=outputs)
    assert len((tmp_path / "out" / HISTORY_FILE).read_text().splitlines()) == 1
    assert len(list((tmp_path / "workspace").glob("*/snapshots/*.json"))) == 1


def test_the_verdict_is_the_same_again(july_log: Path, july: Judgement) -> None:
    again = judge(year(july_log), None, DriftSettings()).result
    skipped = {"made_at", "findings"}
    assert again.model_dump(exclude=skipped) == july.result.model_dump(exclude=skipped)
