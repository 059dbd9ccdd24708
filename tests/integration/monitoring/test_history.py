"""One line a window, and when the last windows make an alert."""

from __future__ import annotations

import json
import multiprocessing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tabular_bento.monitoring.drift.history import Entry, History, alert
from tabular_bento.monitoring.drift.job import Judgement
from tabular_bento.monitoring.drift.result import EXIT_CODES, DriftResult, Verdict, Window

DAY = datetime(2013, 7, 1)


def windowed(
    result: DriftResult, day: int, verdict: Verdict = "drift", length: int = 1, model: str = "m"
) -> DriftResult:
    """The result as if of the window of `length` days that begins on the day of July numbered so."""
    start = DAY + timedelta(days=day)
    window = Window(start=start, end=start + timedelta(days=length), on="time", log="var/traffic")
    code = EXIT_CODES[verdict]
    return result.model_copy(update={"window": window, "verdict": verdict, "exit_code": code, "model": model})


def test_a_window_has_one_line(tmp_path: Path, july: Judgement) -> None:
    history = History(tmp_path / "history.jsonl")
    for day in (0, 1, 0):
        history.record(windowed(july.result, day), 1, 1)
    history.record(windowed(july.result, 0, "no_drift"), 1, 1)
    lines = history.path.read_text().splitlines()
    assert [json.loads(line)["start"][:10] for line in lines] == ["2013-07-02", "2013-07-01"]
    assert [entry.verdict for entry in history.entries()] == ["no_drift", "drift"]


def test_another_model_or_log_is_another_line(tmp_path: Path, july: Judgement) -> None:
    history = History(tmp_path / "history.jsonl")
    result = windowed(july.result, 0)
    elsewhere = result.model_copy(update={"window": result.window.model_copy(update={"log": "elsewhere"})})
    for one in (result, windowed(july.result, 0, model="other"), elsewhere):
        history.record(one, 1, 1)
    assert len(history.entries()) == 3


def test_lines_that_cannot_be_read_are_kept(tmp_path: Path, july: Judgement) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"of": "a later version"}\ntruncated')
    History(path).record(windowed(july.result, 0), 1, 1)
    assert path.read_text().splitlines()[:2] == ['{"of": "a later version"}', "truncated"]
    assert len(History(path).entries()) == 1


def test_an_entry_is_what_the_result_says(july: Judgement) -> None:
    entry = Entry.of(july.result)
    assert Entry.model_validate_json(entry.model_dump_json()) == entry
    assert july.result.labels.model is not None
    assert july.result.estimate is not None
    assert (entry.rmse, entry.estimated_rmse) == (july.result.labels.model.rmse, july.result.estimate.rmse)
    assert entry.drifted_share == july.result.decision.drifted_share


def _record(path: Path, document: str, first: int) -> None:
    result = DriftResult.model_validate_json(document)
    for day in range(first, first + 5):
        History(path).record(windowed(result, day), 1, 1)
        History(path).record(windowed(result, 99), 1, 1)


def test_processes_at_a_time_lose_no_line(tmp_path: Path, july: Judgement) -> None:
    path, document = tmp_path / "history.jsonl", july.result.to_json()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_record, args=(path, document, first)) for first in (0, 5, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [(entry.start - DAY).days for entry in History(path).entries()] == [*range(15), 99]


@pytest.mark.parametrize(
    ("verdicts", "after", "of", "expected"),
    [
        ("d", 1, 1, True),
        ("n", 1, 1, False),
        ("d", 2, 3, False),
        ("nd", 2, 3, False),
        ("dd", 2, 3, True),
        ("dnd", 2, 3, True),
        ("dnnd", 2, 3, False),
        ("ddn", 2, 3, False),  # this one did not drift: there is nothing to wake anybody for
        ("did", 2, 3, True),  # a window that could not be judged counts as one that did not drift
        ("ddd", 3, 3, True),
    ],
)
def test_alert_after(tmp_path: Path, july: Judgement, verdicts: str, after: int, of: int, expected: bool) -> None:
    history, words = History(tmp_path / "history.jsonl"), {"d": "drift", "n": "no_drift", "i": "invalid_data"}
    for day, letter in enumerate(verdicts):
        result = history.record(windowed(july.result, day, words[letter]), after, of)  # type: ignore[arg-type]
    assert result.alert.alert is expected
    assert history.entries()[-1].alert is expected
    assert result.exit_code == {"d": int(expected), "n": 0, "i": 2}[verdicts[-1]]
    again = history.record(result, after, of)
    assert again.alert == result.alert, "judged again, a window counts once"


def test_alert_wants_windows_in_a_row(july: Judgement) -> None:
    def before(*earlier: DriftResult) -> int:
        entries = [Entry.of(result) for result in earlier]

        class Held(History):
            def entries(self) -> list[Entry]:
                return entries

        entry = Entry.of(windowed(july.result, 10))
        return len(Held(Path()).before(entry, 5))

    assert before(windowed(july.result, 9), windowed(july.result, 8)) == 2
    assert before(windowed(july.result, 8)) == 0, "a gap"
    assert before(windowed(july.result, 9), windowed(july.result, 7)) == 1
    assert before(windowed(july.result, 3, length=7)) == 0, "another length"
    assert before(windowed(july.result, 9, model="other")) == 0
    assert before(windowed(july.result, 11)) == 0, "later"


def test_windows_that_slide_are_in_a_row(july: Judgement) -> None:
    days = [windowed(july.result, day, length=7) for day in range(3)]
    assert Entry.of(days[2]).follows(Entry.of(days[1]))
    assert alert(Entry.of(days[2]), [Entry.of(day) for day in (days[1], days[0])], 3, 3).alert


def test_months_are_of_one_length(july: Judgement) -> None:
    february = windowed(july.result, -150, length=28)
    march = windowed(july.result, -122, length=31)
    assert Entry.of(march).follows(Entry.of(february))


def test_the_trend_ends_with_the_window_and_is_short(tmp_path: Path, july: Judgement) -> None:
    history = History(tmp_path / "history.jsonl")
    for day in range(12):
        history.record(windowed(july.result, day), 1, 1)
    trend = history.trend(Entry.of(windowed(july.result, 9)), 4)
    assert [(entry.start - DAY).days for entry in trend] == [6, 7, 8, 9]
    assert len(history.trend(Entry.of(windowed(july.result, 0)), 4)) == 1
