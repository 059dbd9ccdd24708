from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest

from tabular_bento.errors import LogError
from tabular_bento.schema import Kind
from tabular_bento.traffic import parts
from tabular_bento.traffic.lines import arrow_schema
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import SCHEMA, START, encode, expected, ids, row, write


@pytest.fixture(params=["json", "parquet", "both"])
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """300 rows, one a minute from 22:00 UTC on 1 July: 120 on the first date, 180 on the second."""
    write(tmp_path, range(150))
    if request.param == "both":
        seal(tmp_path)
    write(tmp_path, range(150, 300))
    if request.param == "parquet":
        seal(tmp_path)
    return tmp_path


def test_an_absent_folder_is_an_empty_stream(tmp_path: Path) -> None:
    counts = ScanCounts()
    log = EventLog(tmp_path / "none")
    assert list(log.scan(START, columns=["city"], counts=counts)) == []
    assert log.read(columns=["city"]).schema.names == ["city"]
    assert counts == ScanCounts()


def test_columns_are_typed(stream: Path) -> None:
    table = EventLog(stream).read().sort_by("time")
    assert table.schema == arrow_schema(SCHEMA)
    assert table.num_rows == 300
    assert table.slice(0, 1).to_pylist() == [
        {
            "prediction_id": "id-0",
            "time": START,
            "opened": datetime(2013, 7, 1, 18),
            "number": 0,
            "amount": 0.0,
        }
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START + timedelta(minutes=10), START + timedelta(minutes=200)),
        (datetime(2013, 7, 1, 22, 10), datetime(2013, 7, 2, 1, 20)),
        (datetime(2013, 7, 1, 18, 10, tzinfo=timezone(timedelta(hours=-4))), datetime(2013, 7, 2, 1, 20)),
    ],
)
def test_windows_of_time_are_half_open_and_utc(stream: Path, start: datetime, end: datetime) -> None:
    table = EventLog(stream).read(start, end, columns=["number"])
    assert sorted(table["number"].to_pylist()) == list(range(10, 200))
    assert EventLog(stream).read(start=start).num_rows == 290
    assert EventLog(stream).read(end=end).num_rows == 200


def test_windows_of_local_time(stream: Path) -> None:
    log = EventLog(stream)
    table = log.read(datetime(2013, 7, 1, 19), datetime(2013, 7, 1, 20), columns=["number"], on="opened")
    assert sorted(table["number"].to_pylist()) == list(range(60, 120))
    assert log.read(datetime(2014, 1, 1), on="opened").num_rows == 0


def test_a_window_must_be_of_time(stream: Path) -> None:
    with pytest.raises(LogError, match=r"'number'.*integer"):
        EventLog(stream).read(START, on="number")


def test_dates_outside_the_window_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path, range(0, 4000, 100))
    seal(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("date=*"))] == [f"date=2013-07-0{day}" for day in range(1, 5)]
    counts = ScanCounts()
    EventLog(tmp_path).read(datetime(2013, 7, 2), datetime(2013, 7, 3), counts=counts)
    assert counts.parquet_files == 1
    assert counts.rows == 14


def test_an_unknown_column_is_named(stream: Path) -> None:
    with pytest.raises(LogError, match=r"'colour'.*prediction_id, time"):
        EventLog(stream).scan(columns=["time", "colour"])


def test_columns_that_an_older_schema_lacks_are_null(tmp_path: Path) -> None:
    write(tmp_path, [0])
    newer = (*SCHEMA[:-1], LogColumn("colour", Kind.TEXT, "Colour"), LogColumn("length", Kind.NUMBER, "Length"))
    with LogWriter(tmp_path, newer) as writer:
        writer.append(encode([row(1, colour="B2")]))
    log = EventLog(tmp_path)
    for _ in range(2):
        table = log.read(columns=["colour", "amount", "number"]).sort_by("number")
        assert table.to_pylist() == [
            {"colour": None, "amount": 0.0, "number": 0},
            {"colour": "B2", "amount": None, "number": 1},
        ]
        assert log.read(START, columns=["colour"]).num_rows == 2
        assert log.read().schema.names == [*arrow_schema(SCHEMA).names, "colour", "length"]
        seal(tmp_path)


def test_kinds_that_changed(tmp_path: Path) -> None:
    write(tmp_path, [0])
    widened = (*SCHEMA[:3], LogColumn("number", Kind.NUMBER, "Number"), LogColumn("amount", Kind.TEXT, "Amount"))
    with LogWriter(tmp_path, widened) as writer:
        writer.append(encode([row(1, number=1.5, amount="late")]))
    for _ in range(2):
        assert sorted(EventLog(tmp_path).read(columns=["number"])["number"].to_pylist()) == [0.0, 1.5]
        with pytest.raises(LogError, match=r"'amount'.*number and as text"):
            EventLog(tmp_path).read()
        seal(tmp_path)


def test_a_missing_schema_says_what_to_do(stream: Path) -> None:
    for path in (stream / "schemas").iterdir():
        path.rename(stream / "elsewhere")
    with pytest.raises(LogError, match="restore it"):
        _fresh(stream).scan()


def test_a_changed_schema_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [0])
    (path,) = (tmp_path / "schemas").iterdir()
    path.write_bytes(path.read_bytes().replace(b"number", b"text"))
    with pytest.raises(LogError, match="was changed"):
        EventLog(tmp_path).scan()


@pytest.mark.parametrize("part_bytes", [parts.PART_BYTES, 0], ids=["whole", "in parts"])
@pytest.mark.parametrize("damage", [lambda _: b"nothing", lambda content: b"x" * 500 + content[500:]])
def test_a_damaged_sealed_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int, damage: Callable[[bytes], bytes]
) -> None:
    """Large files are looked into when they are listed, small ones when they are read."""
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    write(tmp_path, range(100))
    seal(tmp_path)
    (path,) = tmp_path.glob("date=*/*.parquet")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LogError, match=rf"{path.name} cannot be read: .* restore it from a copy"):
        EventLog(tmp_path).read()


def _fresh(stream: Path) -> EventLog:
    """A reader under another name of the stream, which has seen none of its schemas."""
    alias = stream.with_name(stream.name + "-alias")
    alias.symlink_to(stream)
    return EventLog(alias)


@pytest.mark.parametrize("batch_rows", [1, 7, 299, 300, 1000])
def test_batches_are_full(stream: Path, batch_rows: int) -> None:
    counts = ScanCounts()
    sizes = [batch.num_rows for batch in EventLog(stream).scan(batch_rows=batch_rows, counts=counts)]
    assert sum(sizes) == counts.rows == 300
    assert all(size == batch_rows for size in sizes[:-1])
    assert sizes[-1] <= batch_rows


def test_memory_is_bounded(tmp_path: Path) -> None:
    def peak(parts: int) -> int:
        """Bytes held at most while a stream of as many log files and Parquet files is scanned."""
        stream = tmp_path / str(parts)
        for part in range(parts):
            write(stream, range(part * 20_000, (part + 1) * 20_000))
        seal(stream)
        for part in range(parts, 2 * parts):
            write(stream, range(part * 20_000, (part + 1) * 20_000))
        rows, arrow, before = 0, 0, pa.total_allocated_bytes()
        tracemalloc.start()
        for batch in EventLog(stream).scan(batch_rows=1000):
            rows += batch.num_rows
            arrow = max(arrow, pa.total_allocated_bytes() - before)
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == 40_000 * parts
        return arrow + python

    assert peak(4) < 1.3 * peak(1)


def test_reading_while_writing(tmp_path: Path) -> None:
    written, stop = 0, threading.Event()

    def work() -> None:
        nonlocal written
        with LogWriter(tmp_path, SCHEMA, roll_bytes=30_000) as writer:
            while not stop.is_set():
                writer.append(encode([row(written)]))
                written += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(30):
            before, counts = written, ScanCounts()
            found = [int(one.removeprefix("id-")) for one in ids(tmp_path, counts)]
            assert len(found) == len(set(found))
            assert set(found) >= set(range(before))
            assert (counts.truncated, counts.bad) == (0, 0)
    finally:
        stop.set()
        thread.join()
    assert ids(tmp_path) == expected(range(written))
