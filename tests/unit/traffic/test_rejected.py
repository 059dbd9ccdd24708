"""Which lines that cannot be read are of a window; the same whether they are sealed yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from tabular_bento.data.storage import path_of
from tabular_bento.schema import Kind
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.window import Window
from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import SCHEMA, START, encode, log_files, row, write_raw

HOUR = timedelta(hours=1)


def counted(log: EventLog, start: datetime, end: datetime, on: str = "time") -> tuple[int, int, int]:
    counts = ScanCounts()
    log.read(start, end, ["prediction_id"], on, counts)
    return counts.rows, counts.bad, counts.truncated


@pytest.mark.parametrize("stage", ["live", "sealed", "remote"])
@pytest.mark.parametrize(("on", "ahead"), [("time", timedelta(0)), ("opened", timedelta(hours=4))])
def test_lines_count_in_the_window_of_the_time_that_they_name(
    tmp_path: Path, stage: str, on: str, ahead: timedelta
) -> None:
    """Two hours of rows, of which some hold text for a number, then a line without a time and one cut short."""
    wrong = [row(index, number="many") if index in (3, 70, 71) else row(index) for index in range(120)]
    write_raw(tmp_path, encode(wrong) + b"nonsense\n" + encode([row(121)])[:70])
    if stage != "live":
        seal(tmp_path)
        assert log_files(tmp_path) == []
    log = EventLog(tmp_path)
    if stage == "remote":
        fsspec.filesystem("memory").put(str(tmp_path), f"/{tmp_path.name}", recursive=True)
        log = EventLog(path_of(f"memory://{tmp_path.name}"))
    first = START.replace(tzinfo=None) - ahead
    named = int(on == "time")  # what is left of the truncated line
    assert counted(log, first, first + HOUR, on) == (59, 1 + 1, 1 - named)
    assert counted(log, first + HOUR, first + 3 * HOUR, on) == (58, 2 + 1, 1)
    assert counted(log, first + 50 * HOUR, first + 60 * HOUR, on) == (0, 0, 0)
    counts = ScanCounts()
    log.read(counts=counts)
    assert (counts.bad, counts.truncated) == (4, 1)
    assert any("number is not of kind integer" in example for example in counts.examples)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_log_file_without_any_time_is_of_when_it_was_begun(tmp_path: Path, sealed: bool) -> None:
    path = write_raw(tmp_path, b"x\ny\n")
    if sealed:
        seal(tmp_path)
    log, now = EventLog(tmp_path), datetime.now(UTC)
    assert counted(log, now - HOUR, now + HOUR) == (0, 2, 0)
    assert counted(log, now - 2 * HOUR, now - HOUR) == (0, 0, 0)
    kept = tmp_path / "rejected" / path.name if sealed else path
    kept.rename(kept.with_name(f"copy-{path.name}"))
    assert counted(log, now - 2 * HOUR, now - HOUR) == (0, 2, 0), "whose name does not say, counts"


def test_lines_of_a_log_file_that_is_there_still_count_once(tmp_path: Path) -> None:
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
    assert Window("time", START, START + HOUR).line_reader(SCHEMA)(line) is expected


LISTED = (
    LogColumn("time", Kind.INSTANT),
    LogColumn("input.city", Kind.TEXT, within="inputs"),
    LogColumn("input.number", Kind.INTEGER, within="inputs"),
    LogColumn("input.opened", Kind.LOCAL_TIME, within="inputs"),
    LogColumn("input.listed", Kind.INSTANT, within="inputs"),
    LogColumn("input.built", Kind.DATE, within="inputs"),
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"time":"2013-07-01T22:00:00Z","inputs":["Ulm",1,"2013-07-01T22:30:00",', (True, None, None)),
        (
            b'{"inputs":["a,[\\"b\\"]",null,"2013-07-01T23:30:00","2013-07-02T00:30:00+02:00","2013-07-01"]',
            (False, True, False),
        ),
        (b'{"inputs": [null , 1.5, null, "2013-07-01T22:30:00Z", "2013-07-02"]}', (None, True, False)),
        (b'{"inputs":["2013-07-01T22:30:00"]}', (None, None, None)),
        (b'{"inputs":[NaN,NaN,"soon","2013-07-01T22:30:00Z"]}', (None, True, None)),
        (b'{"inputs":17}', (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_the_time_within_a_list_of_a_line(line: bytes, expected: tuple[bool | None, ...]) -> None:
    found = []
    for name, kind in (("opened", Kind.LOCAL_TIME), ("listed", Kind.INSTANT), ("built", Kind.DATE)):
        window = Window.of(f"input.{name}", kind, START, START + HOUR)
        found.append(window.line_reader(LISTED)(line))
    assert tuple(found) == expected


@pytest.mark.parametrize("sealed", [False, True])
def test_bad_lines_are_of_the_window_of_the_event_time_that_they_name(tmp_path: Path, sealed: bool) -> None:
    first, second = (
        b'{"time":"2013-07-05T00:00:00Z","inputs":["a",1,"2013-07-01T22:00:00",null,null]}\n',
        (b'{"time":"2013-07-05T00:00:00Z","inputs":["a",1.5,"2013-07-01T23:00:00",null,null]}\n'),
    )
    with LogWriter(tmp_path, LISTED) as writer:
        writer.append(first + second)
    if sealed:
        seal(tmp_path)
    start = START.replace(tzinfo=None)
    for hours, expected in ((0, (1, 0)), (1, (0, 1)), (2, (0, 0))):
        counts = ScanCounts()
        begin = start + hours * HOUR
        EventLog(tmp_path).read(begin, begin + HOUR, ["input.city"], "input.opened", counts)
        assert (counts.rows, counts.bad) == expected
