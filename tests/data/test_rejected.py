"""Which lines that cannot be read are of a window; the same whether they are sealed yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from tabular_bento.data.storage import path_of
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.window import Window
from tests.data.traffic import START, encode, row, segments, write_raw

HOUR = timedelta(hours=1)


def counted(log: EventLog, start: datetime, end: datetime, on: str = "time") -> tuple[int, int, int]:
    counts = ScanCounts()
    log.read(start, end, ["prediction_id"], on, counts)
    return counts.rows, counts.bad, counts.torn


@pytest.mark.parametrize("stage", ["live", "sealed", "remote"])
@pytest.mark.parametrize(("on", "ahead"), [("time", timedelta(0)), ("sched_dep", timedelta(hours=4))])
def test_lines_count_in_the_window_of_the_time_that_they_name(
    tmp_path: Path, stage: str, on: str, ahead: timedelta
) -> None:
    """Two hours of rows, of which some hold text for a number, then a line without a time and one cut short."""
    wrong = [row(index, flight="many") if index in (3, 70, 71) else row(index) for index in range(120)]
    write_raw(tmp_path, encode(wrong) + b"nonsense\n" + encode([row(121)])[:70])
    if stage != "live":
        seal(tmp_path)
        assert segments(tmp_path) == []
    log = EventLog(tmp_path)
    if stage == "remote":
        fsspec.filesystem("memory").put(str(tmp_path), f"/{tmp_path.name}", recursive=True)
        log = EventLog(path_of(f"memory://{tmp_path.name}"))
    first = START.replace(tzinfo=None) - ahead
    named = int(on == "time")  # what is left of the torn line
    assert counted(log, first, first + HOUR, on) == (59, 1 + 1, 1 - named)
    assert counted(log, first + HOUR, first + 3 * HOUR, on) == (58, 2 + 1, 1)
    assert counted(log, first + 50 * HOUR, first + 60 * HOUR, on) == (0, 0, 0)
    counts = ScanCounts()
    log.read(counts=counts)
    assert (counts.bad, counts.torn) == (4, 1)
    assert any("flight is not of kind integer" in example for example in counts.examples)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_segment_without_any_time_is_of_when_it_was_begun(tmp_path: Path, sealed: bool) -> None:
    path = write_raw(tmp_path, b"x\ny\n")
    if sealed:
        seal(tmp_path)
    log, now = EventLog(tmp_path), datetime.now(UTC)
    assert counted(log, now - HOUR, now + HOUR) == (0, 2, 0)
    assert counted(log, now - 2 * HOUR, now - HOUR) == (0, 0, 0)
    kept = tmp_path / "rejected" / path.name if sealed else path
    kept.rename(kept.with_name(f"copy-{path.name}"))
    assert counted(log, now - 2 * HOUR, now - HOUR) == (0, 2, 0), "whose name does not say, counts"


def test_lines_of_a_segment_that_is_there_still_count_once(tmp_path: Path) -> None:
    path = write_raw(tmp_path, encode([row(0)]) + b"nonsense\n")
    content = path.read_bytes()
    seal(tmp_path)
    path.write_bytes(content)
    assert counted(EventLog(tmp_path), START, START + HOUR) == (1, 1, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"time": "2013-07-01T22:30:00Z", "x": NaN', True),
        (b'{"time":"2013-07-02T00:30:00+02:00"', True),
        (b'{"time":"2013-07-01T23:00:00Z"', False),
        (b'{"time":"soon"}', None),
        (b'{"time":"\xff"}', None),
        (b'{"time":17}', None),
        (b"", None),
    ],
)
def test_the_time_of_a_line(line: bytes, expected: bool | None) -> None:
    assert Window("time", START, START + HOUR).has_line(line) is expected
