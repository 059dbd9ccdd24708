"""The page and the rest of what the job hands on, as files and in a real browser."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from tabular_bento.monitoring.drift import job, report
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import HISTORY_FILE, REPORT_FILE, RESULT_FILE, Judgement, judge, run
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.monitoring.files import write_whole
from tabular_bento.monitoring.window.data import Query
from tabular_bento.scoring.package import ModelPackage
from tests.browser import LAPTOP, measured, rendered
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, year
from tests.integration.monitoring.test_history import windowed
from tests.integration.monitoring.verdicts import kinds, strict
from training.source import Flights

ROWS = 3_000


@pytest.fixture
def out(tmp_path: Path, package: ModelPackage, flights: Flights) -> Path:
    """What the job wrote of a window without wind directions."""
    table = drawn(flights, JULY, AUGUST, ROWS)
    answers = record(tmp_path / "log", package, table, wind_dir=np.full(ROWS, np.nan))
    post(tmp_path / "log", labels_of(table, answers))
    done = run(year(tmp_path / "log"), tmp_path / "out")
    assert done.complaints == []
    return tmp_path / "out"


def test_a_browser_without_a_network_renders_it(out: Path, tmp_path: Path) -> None:
    text = (out / REPORT_FILE).read_text()
    assert len(text.encode()) < 8_000_000
    assert not re.search(r'<(?:script|img|iframe|link)[^>]+(?:src|href)="(?:https?:)?//', text), "nothing is fetched"
    document = rendered(out / REPORT_FILE, tmp_path / "profile")
    body = document[document.index("<body") :]
    headings = ["Findings", "Labels", "Trend", "Columns", "Rows"]
    opening = [body.index(f"<h2>{heading}</h2>") for heading in headings]
    assert body.index("<h1") < opening[0]
    assert opening == sorted(opening)
    assert re.search(r"<h1[^>]*>Drift<small>flights:", body)
    result = strict((out / RESULT_FILE).read_text())
    findings = [one for one in result["findings"] if one["severity"] != "note"]
    shown = [unescape(found) for found in re.findall(r"<b>(?:alarm|warning|notice)</b><span>([^<]*)", body)]
    assert shown == [one["text"] for one in findings]
    assert shown[0] == "wind_dir: all of its 3,000 values are missing; of the reference, 2.2% are"
    assert "<em>Look first at the source of wind_dir" in body
    for row in ("historical baseline", "naive baseline", "estimated without labels"):
        assert row in body[opening[1] : opening[2]]
    assert body[opening[2] : opening[3]].count("<circle") == 5, "a window's point in each chart, and the estimate's"
    assert len(re.findall(r'class="[^"]*js-plotly-plot', body[opening[4] :])) > 20, "Evidently's plots are drawn"
    assert "Drift in column 'wind_dir'" not in body


def test_it_is_as_wide_as_a_laptop(out: Path, tmp_path: Path) -> None:
    width, beyond = measured(out / REPORT_FILE, tmp_path / "profile")
    assert (width <= LAPTOP, beyond) == (True, None)


def test_words_without_end_are_broken(july_log: Path, july: Judgement, tmp_path: Path) -> None:
    """Names from outside are of any length: of models, logs, columns and values."""
    query, endless = year(july_log), "x" * 400
    result = judge(Query(july_log, query.start, query.end, query.on, "carrier"), None, DriftSettings()).result
    told = july.result.findings[0].model_copy(update={"text": endless, "look_at": endless})
    result = result.model_copy(
        update={
            "model": endless,
            "window": result.window.model_copy(update={"log": endless}),
            "findings": [told, *result.findings],
            "columns": [one.model_copy(update={"reason": endless}) for one in result.columns],
            "segments": [one.model_copy(update={"value": f"{endless}{i}"}) for i, one in enumerate(result.segments)],
        }
    )
    (tmp_path / "page.html").write_text(page(result, None, [Entry.of(result)]))
    width, beyond = measured(tmp_path / "page.html", tmp_path / "profile")
    assert (width <= LAPTOP, beyond) == (True, None)


def test_plots_come_in_order_of_importance(out: Path) -> None:
    text = (out / REPORT_FILE).read_text()
    columns = strict((out / RESULT_FILE).read_text())["columns"]
    first = [one for one in columns if one["healthy"] and (one["drifted"] or one["role"] != "feature")]
    names = ["prediction" if one["role"] == "prediction" else one["name"] for one in first]
    assert {"wind_speed", "temp", "prediction"} <= set(names)
    plots = [text.index(f"Drift in column '{name}'") for name in names]
    assert plots == sorted(plots)
    assert plots[-1] < text.index("Regression Model Performance") < text.index("Drift in column 'congestion'")


def test_text_from_outside_is_escaped(july: Judgement) -> None:
    finding = july.result.findings[0].model_copy(update={"text": "<script>alert(1)</script>"})
    result = july.result.model_copy(update={"findings": [finding], "model": "<b>:1"})
    text = page(result, None, [Entry.of(result)])
    assert "<script>" not in text
    assert "<b>:1" not in text


def test_the_trend_is_drawn(july: Judgement) -> None:
    results = [windowed(july.result, day, "no_drift" if day % 2 else "drift") for day in range(26)]
    unknown = results[3].model_copy(update={"estimate": None})
    entries = [Entry.of(result) for result in (*results[:3], unknown, *results[4:])]
    text = page(results[-1], None, entries)
    assert text.count("<rect") == 26
    assert text.count("<circle") == 26 * 5 - 1
    assert text.count("<polyline") == 6, "the line of estimates has a gap"
    assert "nan" not in text.lower().replace("nance", "")


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
    assert "Drift, no alert yet (1 of the last 1 windows drifted, 2 of 3 alert)" in text


def test_failing_plots_keep_the_verdict(july_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no plots\ntoday")

    monkeypatch.setattr(report, "plot", fail)
    done = run(year(july_log), tmp_path)
    assert (done.result.verdict, done.result.exit_code, done.written) == ("drift", 1, True)
    assert strict((tmp_path / RESULT_FILE).read_text())["findings"][-1]["kind"] == "page_failed"
    assert "RuntimeError: no plots" in (tmp_path / REPORT_FILE).read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == [
        HISTORY_FILE,
        REPORT_FILE,
        RESULT_FILE,
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
